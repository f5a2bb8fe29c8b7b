package agent

import (
	"strconv"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestExternalIsKeptWhileTheInstanceIsAway(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		a.err = absent()
		w.start()
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.stop()
		a.err = nil
		w.start()
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.want(a, "web2=:81 web3=:82")
	}, a)
}

func TestExternalEndsThatWasGivenBackWhileTheAgentWasAway(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Ready })
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// What is out of service when the agent comes back is somebody's doing if it was in service
// when the agent was last seen, and the agent's own, or HAProxy's, if not.
func TestOutOfServiceAtTheStart(t *testing.T) {
	out := func(c slots.Class) func(*slots.Server) { return func(s *slots.Server) { s.Class, s.Served = c, true } }
	tests := []struct {
		name string
		do   func(w *world, a *fakeConn) // from 127.0.0.9:80 to :82 in web1 to web3 on
		want string
		held int // slots that are somebody's
	}{
		{"somebody stops a slot", func(w *world, a *fakeConn) { w.stop(); a.set("web3", out(slots.Maint)) }, "web1=:80 web2=:81", 1},
		{"somebody drains a slot", func(w *world, a *fakeConn) { w.stop(); a.set("web3", out(slots.Drain)) }, "web1=:80 web2=:81 web3=:82/drain", 1},
		{"somebody stops all", func(w *world, a *fakeConn) {
			w.stop()
			for _, s := range []string{"web1", "web2", "web3"} {
				a.set(s, out(slots.Maint))
			}
		}, "", 3},
		{"the agent is killed before", func(w *world, a *fakeConn) {
			w.pass(3 * time.Second)
			w.crash()
			a.set("web3", out(slots.Maint))
		}, "web1=:80 web2=:81", 1},
		{"HAProxy is another afterwards", func(w *world, a *fakeConn) {
			w.stop()
			a.restart(true)
			a.set("web3", out(slots.Maint))
		}, "web1=:80 web2=:81 web3=:82", 0},
		{"an endpoint was critical", func(w *world, a *fakeConn) {
			set := eps(80, 81, 82)
			set[2].State = discovery.Down
			w.source.say(discovery.Complete(set...), nil)
			w.settle()
			a.set("web3", func(s *slots.Server) { s.Served = true })
			w.stop()
			w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		}, "web1=:80 web2=:81 web3=:82", 0},
		{"an endpoint had just become critical", func(w *world, a *fakeConn) {
			set := eps(80, 81, 82)
			set[2].State = discovery.Down
			w.source.say(discovery.Complete(set...), nil)
			w.settle()
			a.set("web3", func(s *slots.Server) { s.Served = true })
			w.crash()
			w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		}, "web1=:80 web2=:81 web3=:82", 0},
		{"an endpoint becomes critical just after something else", func(w *world, a *fakeConn) {
			w.source.list(80, 81, 82, 83)
			w.pass(300 * time.Millisecond)
			set := eps(80, 81, 82, 83)
			set[2].State = discovery.Down
			w.source.say(discovery.Complete(set...), nil)
			w.settle()
			a.set("web3", func(s *slots.Server) { s.Served = true })
			w.crash()
			w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		}, "web1=:80 web2=:81 web3=:82 web4=:83", 0},
		{"an operator's drain is over by then", func(w *world, a *fakeConn) {
			w.state("web3", api.StateDrain, api.Who{For: time.Minute})
			w.settle()
			a.set("web3", func(s *slots.Server) { s.Served = true })
			w.stop()
			w.pass(time.Hour)
		}, "web1=:80 web2=:81 web3=:82", 0},
		{"an endpoint had just left", func(w *world, a *fakeConn) {
			w.source.list(80, 81)
			w.settle()
			a.set("web3", func(s *slots.Server) { s.Served = true })
			w.crash()
			w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		}, "web1=:80 web2=:81 web3=:82", 0},
		{"the agent is killed before a slot that had served is ready", func(w *world, a *fakeConn) {
			w.crash()
			a.set("web4", func(s *slots.Server) { s.Addr, s.Served = addr(83), true })
			w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		}, "web1=:80 web2=:81 web3=:82 web4=:83", 0},
		{"nothing is known, and the slot has served", func(w *world, a *fakeConn) {
			w.stop()
			w.opts.StateDir = stateDir(w.t)
			a.set("web3", out(slots.Maint))
		}, "web1=:80 web2=:81", 1},
		{"nothing is known, and it never had a session", func(w *world, a *fakeConn) {
			w.stop()
			w.opts.StateDir = stateDir(w.t)
			a.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		}, "web1=:80 web2=:81 web3=:82", 0},
		{"nothing is known, and nothing serves", func(w *world, a *fakeConn) {
			w.stop()
			w.opts.StateDir = stateDir(w.t)
			for _, s := range []string{"web1", "web2", "web3"} {
				a.set(s, out(slots.Maint))
			}
		}, "web1=:80 web2=:81 web3=:82", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81, 82)...)
				w.start()
				w.pass(10 * time.Second)
				tt.do(w, a)
				said := w.source.reading
				w.source = newMute()
				w.opts.Backends[0].Feeds[0].Source = w.source
				w.start()
				w.pass(time.Second)
				w.source.say(said, nil)
				w.pass(time.Minute)
				w.want(a, tt.want)
				if n := w.status().Instances[0].External; n != tt.held {
					w.t.Errorf("%d slots are somebody's, want %d", n, tt.held)
				}
				w.wantSync("a", true)
				for i := range tt.held {
					w.state("web"+strconv.Itoa(3-i), api.StateReady, api.Who{})
				}
				w.settle()
				if tt.held > 0 {
					w.want(a, "web1=:80 web2=:81 web3=:82")
				}
			}, a)
		})
	}
}

// An agent that ends before it has decided anything leaves what it was told of when it began.
func TestWhatWasInServiceOutlivesABriefLife(t *testing.T) {
	for name, met := range map[string]bool{"the instance answers": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			a, b := newFake("a", "web", 5), newFake("b", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81, 82)...)
				w.start()
				w.pass(10 * time.Second)
				w.stop()
				b.with(func() { b.err = absent() }) // it is waited for, with all decisions
				if !met {
					a.with(func() { a.err = absent() })
				}
				a.set("web3", func(s *slots.Server) { s.Class, s.Served = slots.Maint, true })
				said := w.source.reading
				for range 2 {
					w.source = newMute()
					w.opts.Backends[0].Feeds[0].Source = w.source
					w.start()
					w.pass(9 * time.Millisecond)
					w.stop()
				}
				a.with(func() { a.err = nil })
				w.start()
				w.source.say(said, nil)
				w.pass(time.Minute)
				w.want(a, "web1=:80 web2=:81")
			}, a, b)
		})
	}
}

// What serves while no source speaks is in service, whoever put it there, listed or not.
func TestWhatWasInServiceInSilence(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.source.list(80, 81)
		w.pass(10 * time.Second)
		w.stop()
		a.set("web3", func(s *slots.Server) { s.Class = slots.Ready })
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81 web3=:82")
		w.state("127.0.0.9:81", api.StateMaint, api.Who{For: time.Hour})
		w.pass(time.Minute)
		w.stop()
		a.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		w.start()
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		w.pass(time.Hour)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestExternalEndsWithItsEndpoint: also if that left while nobody looked.
func TestExternalEndsWithItsEndpoint(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		w.stop()
		a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		w.source = newSource(80)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestExternalOverAnotherTimeout: another reconciler goes on with what the one before saw in service.
func TestExternalOverAnotherTimeout(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		next := w.opts
		next.Instances = []Instance{{Name: "a", Conn: a, Key: "another timeout"}}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80")
	}, a)
}

// TestExternalOutlivesADay: what was stored more than a day ago is too old to be filled from, and
// what is not known for that has not left before every source has spoken.
func TestExternalOutlivesADay(t *testing.T) {
	for name, tt := range map[string]struct {
		lists []int // by the second source, when it speaks
		want  string
	}{
		"it is listed":            {[]int{81, 82}, "web1=:80 web3=:82"},
		"it left, and comes back": {[]int{82}, "web1=:80 web2=:81 web3=:82"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				sources := func(first, second *fakeSource) {
					w.opts.Backends[0].Feeds = []Feed{{Name: "first", Source: first, Key: "first"}, {Name: "second", Source: second, Key: "second"}}
				}
				second := newMute()
				sources(newSource(80), second)
				w.start()
				second.list(81, 82)
				w.pass(10 * time.Second)
				w.want(a, "web1=:80 web2=:81 web3=:82")
				a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
				w.pass(time.Minute)
				w.stop()
				time.Sleep(26 * time.Hour)
				second = newMute()
				sources(newSource(80), second)
				w.start()
				w.pass(time.Minute)
				w.stop()
				second = newMute()
				sources(newSource(80), second)
				w.start()
				w.pass(time.Minute)
				second.list(tt.lists...)
				w.pass(time.Minute)
				second.list(81, 82)
				w.pass(time.Minute)
				w.want(a, tt.want)
			}, a)
		})
	}
}

// TestExpiredIsOfItsAddress: what is left alone for an endpoint that may not have left is the slot
// that has it, and not whatever another process has there.
func TestExpiredIsOfItsAddress(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		second := newMute()
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.second(second)
		w.start()
		second.list(90)
		w.pass(10 * time.Second)
		w.source.list(80)
		w.want(a, "web1=:80 web2=:81 web3=:90")
		w.pass(time.Minute)
		w.want(a, "web1=:80 web3=:90")
		a.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		time.Sleep(26 * time.Hour)
		first, _ := w.again(0)
		first.list(80)
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		a.restart(false)
		a.set("web3", func(s *slots.Server) { s.Addr, s.Class = addr(81), slots.Ready })
		w.pass(time.Minute)
		w.want(a, "web1=:80")
	}, a)
}

// TestInstanceThatIsConfiguredAgain: what the agent drained there before is nobody's doing, and
// what somebody took out stays so.
func TestInstanceThatIsConfiguredAgain(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Leave = slots.Drain
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(10 * time.Second)
		for _, s := range []string{"web1", "web2", "web3"} {
			a.set(s, func(s *slots.Server) { s.Served = true })
		}
		a.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.source.list(80, 82)
		w.settle()
		w.want(a, "web1=:80 web2=:81/drain")
		all, one := w.opts, w.opts
		one.Instances = all.Instances[1:]
		for _, next := range []Options{one, one, all} {
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				w.t.Fatal(err)
			}
			w.source.list(80, 81, 82)
			w.pass(2 * time.Second)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
		w.state("web3", api.StateReady, api.Who{})
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:82")
	}, a, b)
}

// A HAProxy that comes under the name of one that left, at another socket, is another one.
func TestNewHAProxyUnderAnOldName(t *testing.T) {
	a, b, c := newFake("a", "web", 5), newFake("b", "web", 5), newFake("c", "web", 5)
	c.process.Pid += 1000
	inWorld(t, func(w *world) {
		all := w.opts.Instances
		w.opts.Instances = all[:2]
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(10 * time.Second)
		a.set("web3", func(s *slots.Server) { s.Class, s.Served = slots.Maint, true })
		w.pass(time.Minute)
		one, again := w.opts, w.opts
		one.Instances = all[1:2]
		again.Instances = []Instance{{Name: "a", Conn: c, Key: "other socket"}, all[1]}
		for _, next := range []Options{one, again} {
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				w.t.Fatal(err)
			}
			w.pass(time.Hour)
		}
		w.want(c, "web1=:80 web2=:81 web3=:82")
	}, a, b, c)
}
