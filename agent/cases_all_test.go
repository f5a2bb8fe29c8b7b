package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file has what the agent must do whatever its sources are.

func TestX1_StartWithHAProxyFullAndTheSourceDown(t *testing.T) {
	a := newFake("a", "web", 5)
	a.servers["web"][1].Addr, a.servers["web"][1].Class = addr(81), slots.Ready
	inWorld(t, func(w *world) {
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		for range 10 {
			w.source.fail()
			w.pass(10 * time.Minute)
		}
		w.wantPorts(a, 81)
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("written: %v", writes)
		}
	}, a)
}

func TestX2_FirstAnswerIsEmptyAndHAProxyIsFull(t *testing.T) {
	fill := func(a *fakeConn) {
		for i := range 8 {
			a.servers["web"][i].Addr, a.servers["web"][i].Class = addr(80+i), slots.Ready
		}
	}
	t.Run("never seen otherwise", func(t *testing.T) {
		a := newFake("a", "web", 10)
		fill(a)
		inWorld(t, func(w *world) {
			w.start()
			w.pass(time.Hour)
			w.wantReady(a, 8)
		}, a)
	})
	t.Run("known from before", func(t *testing.T) {
		a := newFake("a", "web", 10)
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(span(80, 87)...)...)
			w.start()
			w.stop()
			w.source = newSource()
			w.opts.Backends[0].Feeds[0].Source = w.source
			w.start()
			w.pass(guard.DefaultEmptyHold - time.Second)
			w.wantReady(a, 8)
			w.pass(2 * time.Second)
			w.wantReady(a, 0)
		}, a)
	})
}

func TestX3_HAProxyComesBackEmptyWhileTheSourceIsDown(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprint("agent restarted ", restarted), func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				w.source.fail()
				w.pass(time.Minute)
				if restarted {
					w.stop()
					w.source = newMute()
					w.opts.Backends[0].Feeds[0].Source = w.source
					w.start()
					w.source.fail()
					w.pass(time.Minute)
				}
				a.restart(false)
				w.pass(time.Second)
				w.wantPorts(a, 80, 81)
			}, a)
		})
	}
}

func TestX6_SourceThatPanics(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		bad := w.second(newSource())
		bad.reading = discovery.Complete(eps(90)...)
		bad.onNext(func() { panic("boom") })
		w.start()
		w.wantPorts(a, 80)
		w.source.list(80, 81)
		w.settle()
		w.wantPorts(a, 80, 81)
		if s := w.status().Sources[1]; s.State != "failing" || !strings.Contains(s.LastError, "boom") || s.Next.IsZero() {
			w.t.Errorf("source: %+v", s)
		}
		bad.onNext(nil)
		w.pass(time.Minute)
		bad.list(90)
		w.settle()
		w.wantPorts(a, 80, 81, 90)
	}, a)
}

func TestX8_FiveHundredBackendsChangeAtOnce(t *testing.T) {
	t.Parallel()
	const n = 500
	a := newFake("a", "web", 0)
	inWorld(t, func(w *world) {
		w.opts.Backends = nil
		sources := make([]*fakeSource, n)
		for i := range n {
			name := fmt.Sprintf("be%d", i)
			a.addBackend(name, 4)
			sources[i] = newSource(1000 + i)
			w.opts.Backends = append(w.opts.Backends, Backend{Name: name, Proxy: name, Prefix: "web", Feeds: []Feed{{Name: "test", Source: sources[i], Key: name}}})
		}
		w.start()
		w.pass(time.Second)
		a.with(func() { a.applies = 0 })
		a.takeWrites()
		for i, s := range sources {
			s.list(1000+i, 2000+i)
		}
		w.pass(2 * time.Second)
		for i := range n {
			if got, want := showServers(a.servers[fmt.Sprintf("be%d", i)]), fmt.Sprintf("web1=:%d web2=:%d", 1000+i, 2000+i); got != want {
				w.t.Fatalf("backend %d: %q, want %q", i, got, want)
			}
		}
		// Each backend was written once, and many of them in one batch.
		writes := len(a.takeWrites())
		a.with(func() {
			if writes != n || a.applies > n/4 {
				w.t.Errorf("%d changes in %d batches for %d backends", writes, a.applies, n)
			}
		})
	}, a)
}

func TestX9_AdditionsWhileSomethingIsHeld(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(80)
		w.settle()
		w.source.list(80, 95, 96)
		w.settle()
		w.wantReady(a, 12)
		if hold := w.status().Backends[0].Hold; hold == nil || len(hold.WouldRemove) != 9 {
			w.t.Errorf("hold: %+v", hold)
		}
	})
}

func TestX10_SourceFailsForTenMinutesWhileSomethingIsHeld(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list()
		w.pass(time.Minute)
		w.source.fail()
		w.pass(10 * time.Minute)
		w.wantReady(a, 10)
		w.source.list()
		w.pass(4*time.Minute - 5*time.Second)
		w.wantReady(a, 10)
		w.pass(20 * time.Second)
		w.wantReady(a, 0)
	})
}

func TestX11_MoreEndpointsThanSlots(t *testing.T) {
	a := newFake("a", "web", 4)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(90, 91, 92, 93)...)
		w.start()
		w.want(a, "web1=:90 web2=:91 web3=:92 web4=:93")
		a.takeWrites()
		random := rand.New(rand.NewPCG(3, 4))
		for range 50 { // what has no slot comes and goes
			ports := span(90, 93)
			for p := 80; p < 90; p++ {
				if random.IntN(2) == 0 {
					ports = append(ports, p)
				}
			}
			w.source.list(ports...)
			w.pass(time.Second)
		}
		w.want(a, "web1=:90 web2=:91 web3=:92 web4=:93")
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("written: %v", writes)
		}
	}, a)
}

func TestX5_EndpointThatFlaps(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.takeWrites()
		const seconds = 60
		for i := range 10 * seconds {
			w.source.list(append([]int{80}, [][]int{{81}, {}}[i%2]...)...)
			time.Sleep(100 * time.Millisecond)
		}
		w.source.list(80)
		w.pass(time.Second)
		w.want(a, "web1=:80")
		// There is no quiet time to wait for: each flap goes through, none twice.
		if n := len(a.takeWrites()); n > 10*seconds {
			w.t.Errorf("%d writes for %d flaps", n, 10*seconds)
		}
	}, a)
}

func TestX7_InstanceThatHangsForAMinute(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.with(func() { a.hang = make(chan struct{}) })
		for i := range 60 {
			w.source.list(80, 81+i%5)
			w.pass(time.Second)
		}
		if err := w.agent.ask(w.t.Context(), func(context.Context) {
			if n := len(w.agent.instances[0].pending); n > maxPending {
				w.t.Errorf("%d generations are waited for", n)
			}
		}); err != nil {
			w.t.Fatal(err)
		}
		a.with(func() { a.applies = 0 })
		a.wakeUp()
		w.pass(200 * time.Millisecond)
		w.wantPorts(a, 80, 85)
		a.with(func() {
			if a.applies > 3 { // the newest set, and not the history
				w.t.Errorf("%d batches after it was back", a.applies)
			}
		})
	}, a)
}
