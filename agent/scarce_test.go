package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// TestOverflowEndsWhenWhatHasNoSlotIsOnlyKept: the gauge and the event follow, though no
// slot changes.
func TestOverflowEndsWhenWhatHasNoSlotIsOnlyKept(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, []int{90, 91})
		w.start()
		registry := w.measured()
		w.source.say(families([]int{80, 81}, []int{90, 91, 92}), nil)
		w.settle()
		if n := gauge(w.t, registry, "slotsync_overflow_endpoints"); n != 2 {
			w.t.Errorf("%v have no slot", n)
		}
		w.source.say(gap(80, 81), nil)
		w.pass(time.Minute)
		w.wantPorts(a, 80, 81, 90)
		if n := gauge(w.t, registry, "slotsync_overflow_endpoints"); n != 0 || len(w.status().Backends[0].Overflow) > 0 {
			w.t.Errorf("%v have no slot, want none but kept ones", n)
		}
		if got := w.events(api.EventOverflow, api.EventOverflowEnded); len(got) == 0 || got[len(got)-1] != api.EventOverflowEnded {
			w.t.Errorf("events: %q", got)
		}
	}, a)
}

// yields starts with three slots, and has 90, which is only kept by then, give its to 82.
func (w *world) yields(a *fakeConn) {
	w.t.Helper()
	w.source.reading = families([]int{80, 81}, []int{90})
	w.start()
	w.source.say(gap(80, 81), nil)
	w.settle()
	w.source.say(gap(80, 81, 82), nil)
	w.pass(5 * time.Second)
	w.wantPorts(a, 80, 81, 82)
	w.wantKept("90", "90")
}

// dynamic has the backend get servers at run time from now on.
func (w *world) dynamic() {
	w.t.Helper()
	next := w.opts
	next.Backends = []Backend{next.Backends[0]}
	next.Backends[0].Dynamic = true
	if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
		w.t.Fatal(err)
	}
}

// TestKeptTakesItsSlotBack: when there is room again, and when it is listed again, with
// nothing else that changes.
func TestKeptTakesItsSlotBack(t *testing.T) {
	for name, back := range map[string]func(w *world, a *fakeConn){
		"the template has grown": func(_ *world, a *fakeConn) { a.grow(5) },
		"it is listed again":     func(w *world, _ *fakeConn) { w.source.say(families([]int{80, 81, 82}, []int{90}), nil) },
		"servers can be added":   func(w *world, _ *fakeConn) { w.dynamic() },
		"another has left":       func(w *world, _ *fakeConn) { w.source.say(gap(80, 81), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 3)
			inWorld(t, func(w *world) {
				w.yields(a)
				if name == "it is listed again" {
					a.grow(4)
					a.set("web4", func(s *slots.Server) { s.Class = slots.Maint })
				}
				back(w, a)
				w.pass(time.Minute)
				want := []int{80, 81, 82, 90}
				if name == "another has left" {
					want = []int{80, 81, 90}
				}
				w.wantPorts(a, want...)
				for _, k := range w.kept() {
					if len(k.Yielded) > 0 {
						w.t.Errorf("still without a slot: %+v", k)
					}
				}
			}, a)
		})
	}
}

// TestKeptWithoutASlotIsAdded: a template that shrinks while writing is paused takes the slot
// of a kept endpoint, and that is added afterwards as a listed one would be.
func TestKeptWithoutASlotIsAdded(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Dynamic = true
		w.source.reading = families([]int{80, 81}, []int{90})
		w.start()
		w.source.say(gap(80, 81), nil)
		w.settle()
		if _, err := w.agent.Pause(w.t.Context(), "web", true, api.Who{For: 30 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		a.with(func() { a.process.Pid++; a.addBackend("web", 1) })
		w.pass(time.Minute)
		w.wantPorts(a, 80, 81, 90)
		w.wantSync("a", true)
	}, a)
}

// TestListedAgainIsDecidedAnew: what gave its slot up and is listed again is decided about,
// though what is in force is the same.
func TestListedAgainIsDecidedAnew(t *testing.T) {
	b := newBackend(Backend{Name: "web"})
	p, now := b.placement, time.Now()
	p.Adopt([][]slots.Server{{{Name: "web1", Number: 1, Addr: addr(90), Class: slots.Ready}}}, eps(90), now)
	p.Assign(eps(80, 90), now)
	kept := func(a netip.AddrPort) (since time.Time, is bool) { return now, a == addr(90) }
	if !p.Yield(kept, nil) || !p.Yielded(addr(90)) {
		t.Fatalf("nothing gave way: %v", p.Table())
	}
	if !b.setKept(nil) || p.Yielded(addr(90)) || b.setKept(nil) {
		t.Errorf("it is not told: %v", p.Yielded(addr(90)))
	}
}

// TestUnmanagedAddressKeepsNothingElseOut: where one instance alone has an unmanaged address in a slot, what
// the slot is for is served in another one there, and in its own elsewhere.
func TestUnmanagedAddressKeepsNothingElseOut(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.want(b, "web1=:80 web2=:81")
		b.with(func() { b.err = absent() })
		w.pass(time.Minute)
		w.stop()
		b.restart(false)
		b.with(func() { b.err = nil })
		b.set("web2", func(s *slots.Server) { s.Addr, s.Class = addr(95), slots.Ready })
		b.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(80), slots.Ready })
		w.source = newSource(80, 81)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		if h := w.status().Backends[0].Hold; h == nil || h.Kind != api.HoldTakeover || !slices.Equal(h.WouldRemove, []string{addr(95).String()}) {
			w.t.Fatalf("hold: %+v", h)
		}
		w.want(a, "web1=:80 web2=:81")
		w.want(b, "web1=:80 web2=:95 web3=:81")

		w.source.list(80) // its slot is emptied where it has it
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		w.want(b, "web1=:80 web2=:95")
	}, a, b)
}

// TestHoldThatIsOverSaysSo: one that a restart finds with its time over waits for nothing
// but to be confirmed.
func TestHoldThatIsOverSaysSo(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, _ *fakeConn) {
		weak := func() (discovery.Reading, error) { return partial(eps(80)...), nil } // which confirms nothing
		w.source.onConfirm(weak)
		w.source.list(80)
		w.pass(2 * guard.DefaultRemovalHold)
		w.stop()
		w.source = newSource(80)
		w.source.onConfirm(weak)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Second)
		all, reader, err := w.agent.Events().Read(1)
		if err != nil {
			w.t.Fatal(err)
		}
		reader.Close()
		all = slices.DeleteFunc(all, func(e api.Event) bool { return e.Kind != api.EventHoldBegun })
		if len(all) != 1 || !strings.Contains(fmt.Sprint(all[0]), "as soon as it is confirmed") {
			w.t.Errorf("events: %+v", all)
		}
	})
}

// TestListedAgainWithoutRoomIsOverflow: what gave its slot up and is listed again has none,
// and that is said at once.
func TestListedAgainWithoutRoomIsOverflow(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.yields(a)
		w.source.say(families([]int{80, 81, 82}, []int{90}), nil)
		w.settle()
		if n := len(w.status().Backends[0].Overflow); n != 1 {
			w.t.Errorf("%d have no slot, want the one that is listed again", n)
		}
	}, a)
}

// TestTakeoverElsewhereKeepsNoSlot: a slot that holds an address which no source ever listed
// is left alone at that instance; at the others it is like any.
func TestTakeoverElsewhereKeepsNoSlot(t *testing.T) {
	a, b := newFake("a", "web", 4), newFake("b", "web", 4)
	a.servers["web"][0].Addr, a.servers["web"][0].Class = addr(90), slots.Ready
	for _, c := range []*fakeConn{a, b} {
		c.servers["web"][1].Addr, c.servers["web"][1].Class = addr(80), slots.Ready
	}
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(time.Second)
		w.want(a, "web1=:90 web2=:80")
		b.set("web1", func(s *slots.Server) { s.Addr, s.Class = addr(99), slots.Ready })
		w.pass(2 * DefaultResync)
		w.want(a, "web1=:90 web2=:80")
		w.want(b, "web2=:80")
	}, a, b)
}
