package agent

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// strange starts with two instances that serve 80 and 81, and has another process at b, met
// by another agent, that serves 7 and 8 in the same slots.
func (w *world) strange(b *fakeConn) {
	w.t.Helper()
	w.source.reading = discovery.Complete(eps(80, 81)...)
	w.start()
	w.want(b, "web1=:80 web2=:81")
	w.stop()
	b.with(func() { b.process.Pid++; b.process.Started += 10; b.addBackend("web", 5) })
	for i, port := range []int{7, 8} {
		b.set([]string{"web1", "web2"}[i], func(s *slots.Server) { s.Addr, s.Class = addr(port), slots.Ready })
	}
}

// TestTakeoverOutlivesTheAgent: what nobody ever listed and was left alone is not taken for
// something that somebody put there while nobody looked, however often the agent starts, and
// whether its source has spoken before it ended or not.
func TestTakeoverOutlivesTheAgent(t *testing.T) {
	for _, silent := range []bool{false, true} {
		a, b := newFake("a", "web", 5), newFake("b", "web", 5)
		inWorld(t, func(w *world) {
			w.strange(b)
			w.source.asked = silent // a fake answers once
			w.start()
			w.pass(time.Minute)
			w.stop()
			for range 2 {
				w.source.asked = false
				w.start()
				w.pass(time.Minute)
				w.want(b, "web1=:7 web2=:8 web3=:80 web4=:81")
				w.want(a, "web1=:80 web2=:81")
				if h := w.status().Backends[0].Takeover; h == nil || len(h.WouldRemove) != 2 {
					w.t.Errorf("takeover: %+v", h)
				}
				w.stop()
			}
			w.start()
		}, a, b)
	}
}

// TestTakeoverOfAnInstanceThatComesBack: what somebody put into the slots of a backend while an
// instance did not serve it is looked for when it does again.
func TestTakeoverOfAnInstanceThatComesBack(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		serve := func(instances ...string) {
			next := w.opts
			next.Backends = []Backend{next.Backends[0]}
			next.Backends[0].Instances = instances
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				w.t.Fatal(err)
			}
			w.pass(time.Minute)
		}
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		serve("a")
		b.set("web5", func(s *slots.Server) { s.Addr, s.Class = addr(7), slots.Ready })
		serve("a", "b")
		w.want(b, "web1=:80 web2=:81 web5=:7")
		if h := w.status().Backends[0].Takeover; h == nil || len(h.WouldRemove) != 1 {
			w.t.Errorf("takeover: %+v", h)
		}
	}, a, b)
}

// TestTakeoverIsOfEachInstance: where a slot is left alone at two instances and somebody
// changes it at one, it is corrected there.
func TestTakeoverIsOfEachInstance(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	for _, c := range []*fakeConn{a, b} {
		c.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(7), slots.Ready })
		c.set("web2", func(s *slots.Server) { s.Addr, s.Class = addr(80), slots.Ready })
	}
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(time.Minute)
		w.want(b, "web1=:7 web2=:80")
		b.set("web1", func(s *slots.Server) { s.Addr = addr(9) })
		w.pass(time.Minute)
		w.want(a, "web1=:7 web2=:80")
		w.want(b, "web2=:80")
	}, a, b)
}

// TestHeldIsServedOnce: endpoints of a source that is taken out of the configuration are held,
// and nobody's. They are served where they are, and nobody's no more when it is back.
func TestHeldIsServedOnce(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		other := w.second(newMute())
		w.start()
		other.list(90, 91, 92, 93)
		w.settle()
		w.want(a, "web1=:80 web2=:90 web3=:91 web4=:92 web5=:93")
		feeds := w.opts.Backends[0].Feeds
		for n, what := range []string{"without it", "with it again"} {
			next := w.opts
			next.Backends = []Backend{next.Backends[0]}
			next.Backends[0].Feeds = feeds[:1+n]
			other.asked = false
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				w.t.Fatal(err)
			}
			w.pass(5 * time.Second)
			w.want(a, "web1=:80 web2=:90 web3=:91 web4=:92 web5=:93")
			b := w.status().Backends[0]
			if held := what == "without it"; (b.Hold != nil) != held || (b.Takeover != nil) != held {
				w.t.Errorf("%s: hold %+v, takeover %+v", what, b.Hold, b.Takeover)
			}
		}
	}, a)
}

// TestTakeoverWithoutABackend: an address that a source lists by now is nobody's no more, also
// where no HAProxy has the backend any longer.
func TestTakeoverWithoutABackend(t *testing.T) {
	a := newFake("a", "web", 5)
	a.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(7), slots.Ready })
	a.set("web2", func(s *slots.Server) { s.Addr, s.Class = addr(80), slots.Ready })
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(time.Minute)
		if h := w.status().Backends[0].Takeover; h == nil {
			w.t.Fatal("no takeover")
		}
		a.with(func() { a.process.Pid++; delete(a.servers, "web") })
		w.pass(time.Minute)
		w.source.list(7, 80)
		w.pass(time.Minute)
		if h := w.status().Backends[0].Takeover; h != nil {
			w.t.Errorf("takeover of what is listed: %+v", h)
		}
	}, a)
}

// TestTakenOverTwoRestarts: what somebody put into a slot while the agent was down is corrected
// when a source has spoken, however often the agent was started before.
func TestTakenOverTwoRestarts(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.want(a, "web1=:80 web2=:81")
		w.stop()
		a.set("web2", func(s *slots.Server) { s.Addr = addr(7) })
		w.source.asked = true // a fake answers once: it is silent
		w.start()
		w.pass(time.Minute)
		w.stop()
		w.source.asked = false
		w.start()
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
		if h := w.status().Backends[0].Takeover; h != nil {
			w.t.Errorf("takeover: %+v", h)
		}
	}, a)
}

// TestTakeoverEndsInMetricsToo: where nothing can be decided any more, the gauge and the event
// say the same as the status.
func TestTakeoverEndsInMetricsToo(t *testing.T) {
	a := newFake("a", "web", 5)
	a.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(7), slots.Ready })
	a.set("web2", func(s *slots.Server) { s.Addr, s.Class = addr(80), slots.Ready })
	inWorld(t, func(w *world) {
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		registry := w.measured()
		w.source.list(80)
		w.pass(time.Minute)
		if n := gauge(w.t, registry, "slotsync_guard_held"); n != 1 {
			w.t.Errorf("%v are held, want the takeover", n)
		}
		a.with(func() { a.process.Pid++; delete(a.servers, "web") })
		w.pass(time.Minute)
		w.source.list(7, 80)
		w.pass(time.Minute)
		if got := w.events(api.EventHoldBegun, api.EventHoldEnded); len(got) != 2 || got[1] != api.EventHoldEnded {
			w.t.Errorf("events: %q", got)
		}
		if n := gauge(w.t, registry, "slotsync_guard_held"); n != 0 {
			w.t.Errorf("%v are held", n)
		}
	}, a)
}

// TestTakeoverIsAcceptedAsItWasShown: by an id from before, those go that it stood for and that
// are still there; what came or was found since stays.
func TestTakeoverIsAcceptedAsItWasShown(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	for i, port := range []int{80, 7, 8} {
		a.set("web"+strconv.Itoa(i+1), func(s *slots.Server) { s.Addr, s.Class = addr(port), slots.Ready })
		b.set("web"+strconv.Itoa(i+1), func(s *slots.Server) { s.Addr, s.Class = addr(port), slots.Ready })
	}
	b.err = absent()
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(10 * time.Second)
		first := w.status().Backends[0].Takeover.ID
		a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		b.set("web2", func(s *slots.Server) { s.Addr = addr(9) })
		b.with(func() { b.err = nil })
		w.pass(time.Minute)
		if h := w.status().Backends[0].Takeover; h == nil || h.ID == first || !slices.Equal(h.WouldRemove, []string{addr(8).String(), addr(9).String()}) {
			w.t.Fatalf("takeover: %+v", h)
		}
		done, err := w.agent.Accept(w.t.Context(), "web", first, "ann")
		if err != nil || portsOf(done.Removed) != "8" {
			w.t.Fatalf("%+v, %v", done, err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		w.want(b, "web1=:80 web2=:9")
		if h := w.status().Backends[0].Takeover; h == nil || !slices.Equal(h.WouldRemove, []string{addr(9).String()}) {
			w.t.Errorf("takeover: %+v", h)
		}
		if _, err := w.agent.Accept(w.t.Context(), "web", "t000000", "ann"); !errors.Is(err, api.ErrNoSuchID) {
			w.t.Errorf("an unknown id: %v", err)
		}
	}, a, b)
}

// TestTakeoverEndsWithTheSourceThatListed: an address that looked like nobody's is taken out once
// the source has answered that listed it before, also if another instance has another one in that
// slot.
func TestTakeoverEndsWithTheSourceThatListed(t *testing.T) {
	a, b := newFake("a", "web", 6), newFake("b", "web", 6)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.second(newSource(90))
		w.start()
		w.pass(3 * time.Second)
		w.source.list(80)
		w.pass(30 * time.Second)
		w.stop()
		a.restart(false)
		b.restart(false)
		a.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(81), slots.Ready })
		b.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(9001), slots.Ready })
		w.source = newMute()
		second := newMute()
		w.opts.Backends[0].Feeds[0].Source, w.opts.Backends[0].Feeds[1].Source = w.source, second
		w.start()
		second.say(discovery.Complete(eps(90)...), nil)
		w.settle()
		w.source.say(discovery.Complete(eps(80)...), nil)
		w.pass(time.Minute)
		w.wantPorts(a, 80, 90)
		w.wantPorts(b, 80, 90, 9001)
	}, a, b)
}
