package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// These tests are about a source that is silent since the restart: the stored set is all
// that is known.

// silent restarts the agent with a source that fails, after meanwhile.
func (w *world) silent(meanwhile func()) {
	w.t.Helper()
	w.pass(2 * time.Second)
	w.stop()
	meanwhile()
	for _, c := range w.conns {
		c.takeWrites()
	}
	w.source = newMute()
	w.source.fail()
	w.opts.Backends[0].Feeds[0].Source = w.source
	w.start()
	if phase := w.status().Backends[0].Phase; phase != phaseRestored {
		w.t.Fatalf("phase %s", phase)
	}
}

// TestKeptIsCountedRightAfterARestart: what was stored is kept before any source has
// spoken.
func TestKeptIsCountedRightAfterARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, []int{90})
		w.start()
		w.silent(func() {})
		if n := gauge(w.t, w.measured(), "slotsync_source_kept"); n != 3 {
			w.t.Errorf("the metric says %v", n)
		}
	}, newFake("a", "web", 5))
}

// TestDrainOfAStoredEndpoint: what operators ask for reaches a HAProxy that serves, and
// nothing else of the stored set does.
func TestDrainOfAStoredEndpoint(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, []int{82})
		w.start()
		w.silent(func() { a.set("web3", func(s *slots.Server) { s.Class = slots.Maint }) })
		w.pass(time.Minute)
		wrote := func(want ...string) {
			t.Helper()
			writes := slices.Compact(slices.Sorted(slices.Values(a.takeWrites())))
			for _, one := range writes {
				if !slices.ContainsFunc(want, func(slot string) bool { return strings.HasSuffix(one, " "+slot) }) {
					t.Errorf("written: %q, want %q alone", writes, want)
				}
			}
			if len(writes) == 0 && len(want) > 0 {
				t.Errorf("nothing is written, want %q", want)
			}
		}
		wrote()
		w.state("web2", api.StateDrain, api.Who{})
		w.want(a, "web1=:80 web2=:81/drain")
		wrote("web2")
		w.state("web2", api.StateReady, api.Who{}) // its end is written, too
		w.want(a, "web1=:80 web2=:81")
		wrote("web2")
		w.pass(time.Hour)
		wrote()

		a.restart(false) // what comes back empty is filled with all of it
		w.pass(2 * time.Second)
		w.want(a, "web1=:80 web2=:81 web3=:82")
	}, a)
}

// TestDrainFromBeforeARestartReachesWhoServes: also where the wish is older than the
// silence, and only its instance serves by it.
func TestDrainFromBeforeARestartReachesWhoServes(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, nil)
		w.start()
		w.state("web2", api.StateDrain, api.Who{})
		w.silent(func() { a.set("web2", func(s *slots.Server) { s.Class = slots.Ready }) })
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81/drain")
	}, a)
}

// TestServerAddedToAStoredSet: it takes a slot that is free, and none that serves or that
// somebody took out.
func TestServerAddedToAStoredSet(t *testing.T) {
	for size, want := range map[int]string{
		3: "web2=:81 web3=:95",
		4: "web2=:81 web3=:95 web4=:90",
	} {
		a, b := newFake("a", "web", 3), newFake("b", "web", size)
		inWorld(t, func(w *world) {
			w.source.reading = families([]int{80, 81}, nil)
			w.start()
			// What serves at b in the slot that is free elsewhere is nobody's, for all that is known.
			w.silent(func() {
				b.set("web3", func(s *slots.Server) { s.Addr, s.Class = addr(95), slots.Ready })
				b.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
			})
			if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
				w.t.Fatal(err)
			}
			w.pass(time.Minute)
			w.want(a, "web1=:80 web2=:81 web3=:90")
			w.want(b, want)
		}, a, b)
	}
}

// TestDrainWhereTheOrderIsAnother: an instance that has the endpoints in other slots than the
// table serves each where it has it.
func TestDrainWhereTheOrderIsAnother(t *testing.T) {
	a, b := newFake("a", "web", 2), newFake("b", "web", 2)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, nil)
		w.start()
		w.silent(func() {
			b.set("web1", func(s *slots.Server) { s.Addr = addr(81) })
			b.set("web2", func(s *slots.Server) { s.Addr = addr(80) })
		})
		w.state(addr(80).String(), api.StateDrain, api.Who{})
		w.pass(time.Minute)
		w.want(a, "web1=:80/drain web2=:81")
		w.want(b, "web1=:81 web2=:80/drain")
		w.state(addr(80).String(), api.StateReady, api.Who{})
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
		w.want(b, "web1=:81 web2=:80")
	}, a, b)
}

// TestTemplateThatIsNotDisabledIsFilled: slots that stand ready at the template's own address
// serve nobody: the stored set goes in.
func TestTemplateThatIsNotDisabledIsFilled(t *testing.T) {
	a := newFake("a", "web", 4)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, nil)
		w.start()
		w.silent(func() {
			a.with(func() {
				a.process.Pid++
				a.addBackend("web", 4)
				for i := range a.servers["web"] {
					a.servers["web"][i].Class, a.servers["web"][i].Disabled = slots.Ready, false
				}
			})
		})
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestServerAddedToAStoredSetThatFillsAllSlots: nothing that serves gives way to it.
func TestServerAddedToAStoredSetThatFillsAllSlots(t *testing.T) {
	a := newFake("a", "web", 2)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, nil)
		w.start()
		w.silent(func() {})
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestServerAddedToNothingThatServesDoesNotKeepTheStoredSetOut: an instance that serves
// nothing else was not adopted with it.
func TestServerAddedToNothingThatServesDoesNotKeepTheStoredSetOut(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, nil)
		w.start()
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.silent(func() {
			for _, slot := range []string{"web1", "web2"} {
				a.set(slot, func(s *slots.Server) { s.Class, s.Addr = slots.Maint, parked })
			}
		})
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81 web3=:90")
	}, a)
}
