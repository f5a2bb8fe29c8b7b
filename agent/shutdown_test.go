package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// shuts returns the slots whose sessions were ended since it was asked last.
func (f *fakeConn) shuts() []string {
	return slices.DeleteFunc(f.takeWrites(), func(w string) bool { return w[:min(5, len(w))] != "shut " })
}

func (w *world) wantShuts(c *fakeConn, want ...string) {
	w.t.Helper()
	if got := c.shuts(); !slices.Equal(got, want) {
		w.t.Fatalf("sessions were ended by %q, want %q", got, want)
	}
}

// busyWorld is one with two endpoints in service, of which the second has sessions.
func busyWorld(t *testing.T, a *fakeConn, configure func(*Backend), body func(*world)) {
	t.Helper()
	inWorld(t, func(w *world) {
		configure(&w.opts.Backends[0])
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web2", func(s *slots.Server) { s.Sessions = 3 })
		body(w)
	}, a)
}

func shutting(b *Backend) { b.Shutdown = true }

func TestSessionsEndAfterDrain(t *testing.T) {
	t.Parallel()
	critical := func(w *world) {
		set := eps(80, 81)
		set[1].State, set[1].Reason = discovery.Down, "critical"
		w.source.say(discovery.Complete(set...), nil)
	}
	gone := func(w *world) { w.source.list(80) }
	for name, c := range map[string]struct {
		leave slots.Class
		left  func(*world)
		after string
	}{
		"gone":           {slots.Maint, gone, "web1=:80"},
		"critical":       {slots.Maint, critical, "web1=:80"},
		"drained":        {slots.Drain, gone, "web1=:80 web2=:81/drain"},
		"drain critical": {slots.Drain, critical, "web1=:80 web2=:81/drain"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 3)
			busyWorld(t, a, func(b *Backend) { b.Shutdown, b.Leave = true, c.leave }, func(w *world) {
				c.left(w)
				w.pass(DefaultDrain - time.Second)
				w.want(a, c.after)
				w.wantShuts(a)
				w.pass(3 * time.Second)
				w.want(a, "web1=:80")
				w.wantShuts(a, "shut web2")
				w.wantSync("a", true)
				a.set("web2", func(s *slots.Server) { s.Sessions = 2 }) // as if they would not end
				w.pass(time.Hour)
				w.wantShuts(a) // once
			})
		})
	}
}

func TestSessionsStayUnlessConfigured(t *testing.T) {
	a := newFake("a", "web", 3)
	busyWorld(t, a, func(b *Backend) { b.Leave = slots.Drain }, func(w *world) {
		w.source.list(80)
		w.pass(time.Hour)
		w.wantShuts(a)
	})
}

func TestSessionsOfOthersStay(t *testing.T) {
	t.Parallel()
	for name, during := range map[string]func(*world, *fakeConn){
		"it came back": func(w *world, _ *fakeConn) {
			w.source.list(80)
			w.settle()
			w.source.list(80, 81)
		},
		"an operator stops it": func(w *world, _ *fakeConn) { w.state("127.0.0.9:81", api.StateMaint, api.Who{}) },
		"an operator drains it": func(w *world, _ *fakeConn) {
			w.state("127.0.0.9:81", api.StateDrain, api.Who{})
		},
		"somebody else took it out": func(_ *world, a *fakeConn) {
			a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		},
		"maintenance at the source": func(w *world, _ *fakeConn) {
			set := eps(80, 81)
			set[1].State, set[1].Reason = discovery.Drain, "maintenance"
			w.source.say(discovery.Complete(set...), nil)
		},
		"the slot is another endpoint's": func(w *world, a *fakeConn) {
			w.source.list(80)
			w.settle()
			a.set("web2", func(s *slots.Server) { s.Sessions = 0 })
			w.source.list(80, 82, 83)
			w.pass(2 * time.Second)
			w.want(a, "web1=:80 web2=:83 web3=:82")
			a.set("web2", func(s *slots.Server) { s.Sessions = 5 })
		},
		"HAProxy was restarted": func(w *world, a *fakeConn) {
			w.source.list(80)
			w.settle()
			a.restart(true)
			a.set("web2", func(s *slots.Server) { s.Sessions = 5 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 3)
			busyWorld(t, a, shutting, func(w *world) {
				during(w, a)
				w.pass(time.Hour)
				w.wantShuts(a)
			})
		})
	}
}

// TestSessionsEndAfterARestart: the agent remembers what is to end.
func TestSessionsEndAfterARestart(t *testing.T) {
	a := newFake("a", "web", 3)
	busyWorld(t, a, shutting, func(w *world) {
		w.source.list(80)
		w.pass(2 * time.Second)
		w.stop()
		w.source = newSource(80)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(DefaultDrain - 5*time.Second)
		w.wantShuts(a)
		w.pass(6 * time.Second)
		w.wantShuts(a, "shut web2")
	})
}

// TestSessionsEndWhereAnotherWaits: with all slots taken, the endpoint that comes waits for
// the sessions of the one that left, which end in time.
func TestSessionsEndWhereAnotherWaits(t *testing.T) {
	for name, leave := range map[string]slots.Class{"maint": slots.Maint, "drain": slots.Drain} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 2)
			busyWorld(t, a, func(b *Backend) { b.Shutdown, b.Leave = true, leave }, func(w *world) {
				w.source.list(80, 82)
				w.pass(DefaultDrain - time.Second)
				w.wantShuts(a)
				w.pass(3 * time.Second)
				w.want(a, "web1=:80 web2=:82")
				if !slices.Contains(a.takeWrites(), "shut web2") {
					t.Error("no sessions were ended")
				}
				w.wantSync("a", true)
			})
		})
	}
}
