package agent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
)

// This file has what the agent must do with the answers of hostile days, as the
// sources give them.

func TestC32_EmptyConfirmedThreeTimesIsObeyedAfterTheHold(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list()
		w.pass(guard.DefaultEmptyHold - time.Second)
		w.wantReady(a, 10)
		if w.source.confirmed() != 2 {
			w.t.Errorf("confirmed %d times, want 2", w.source.confirmed())
		}
		w.pass(2 * time.Second)
		w.wantReady(a, 0)
	})
}

func TestC33_FourStepsToNothingAreHeld(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(span(80, 83)...)...)
		w.start()
		for last := 82; last >= 79; last-- {
			w.source.list(span(80, last)...)
			w.pass(50 * time.Millisecond)
		}
		w.wantPorts(a, 80, 81)
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != guard.Empty {
			w.t.Errorf("hold: %+v", hold)
		}
		w.pass(guard.DefaultEmptyHold)
		w.wantPorts(a)
	}, a)
}

func TestC34_TenToFourAfterThirtySeconds(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(span(80, 83)...)
		w.pass(guard.DefaultRemovalHold - time.Second)
		w.wantReady(a, 10)
		w.pass(2 * time.Second)
		w.wantReady(a, 4)
	})
}

func TestC35_TenToNineAtOnce(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(span(80, 88)...)
		w.settle()
		w.wantReady(a, 9)
	})
}

// A graceful restart of an agent deregisters what is on its node for 6 to 9 s,
// and has it back as critical for a moment. A service on one node is empty then.
func TestC36_RollingRestartOfNodeAgents(t *testing.T) {
	for _, n := range []int{1, 4} {
		t.Run(fmt.Sprint(n, " nodes"), func(t *testing.T) {
			a := newFake("a", "web", 10)
			inWorld(t, func(w *world) {
				all := span(80, 79+n)
				w.source.reading = discovery.Complete(eps(all...)...)
				w.start()
				for i := range n {
					set := eps(all...)
					w.source.say(discovery.Complete(slices.Delete(slices.Clone(set), i, i+1)...), nil)
					w.pass(8 * time.Second)
					w.wantReady(a, max(1, n-1))
					set[i].State, set[i].Reason = discovery.Down, "critical"
					w.source.say(discovery.Complete(set...), nil)
					w.pass(600 * time.Millisecond)
					w.wantReady(a, max(1, n-1))
					w.source.list(all...)
					w.settle()
					w.wantReady(a, n)
				}
			}, a)
		})
	}
}

func TestC40_GossipStormMarksMostNodes(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		set := eps(span(80, 89)...)
		copy(set, states(set[:6], discovery.Down, "critical"))
		w.source.say(discovery.Complete(set...), nil)
		w.pass(guard.DefaultRemovalHold - time.Second)
		w.wantReady(a, 10)
		w.source.list(span(80, 89)...) // it is over
		w.settle()
		w.wantReady(a, 10)
		if hold := w.status().Backends[0].Hold; hold != nil {
			w.t.Errorf("hold: %+v", hold)
		}
	})
}

func TestC50_MaintenanceIsNeverHeld(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		w.start()
		for _, n := range []int{1, 3, 4} {
			set := eps(80, 81, 82, 83)
			copy(set, states(set[:n], discovery.Drain, "maintenance"))
			w.source.say(discovery.Complete(set...), nil)
			w.settle()
			w.wantReady(a, 4-n)
			if hold := w.status().Backends[0].Hold; hold != nil {
				w.t.Errorf("%d of 4: %+v", n, hold)
			}
		}
		w.want(a, "web1=:80/drain web2=:81/drain web3=:82/drain web4=:83/drain")
	}, a)
}

// The agent asks no catalogue which services there are: a service that is in none
// is one whose own watch says so, and one whose watch fails is not known.
func TestC56_ServiceThatIsGoneFromTheCatalogueWhileItsWatchFails(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.say(discovery.Reading{}, discovery.Errorf(discovery.Server, "No cluster leader"))
		w.pass(time.Hour)
		w.wantPorts(a, 80, 81)
	}, a)
}

func TestD12_NXDomainOnceAndThenRecords(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		a.takeWrites()
		w.source.say(discovery.Reading{Parts: discovery.Complete().Parts, Note: "NXDOMAIN"}, nil)
		w.pass(5 * time.Second)
		w.source.list(span(80, 89)...)
		w.pass(time.Hour)
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("written: %v", writes)
		}
	})
}

func TestD14_NXDomainForSixMinutes(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		for range 72 { // as often as a negative answer is asked again
			w.source.say(discovery.Reading{Parts: discovery.Complete().Parts, Note: "NXDOMAIN from 2 servers"}, nil)
			w.pass(5 * time.Second)
		}
		w.wantReady(a, 0)
	})
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		for range 59 {
			w.source.say(discovery.Reading{Parts: discovery.Complete().Parts, Note: "NXDOMAIN from 2 servers"}, nil)
			w.pass(5 * time.Second)
		}
		w.wantReady(a, 10)
	})
}

func TestD15_ServfailForADay(t *testing.T) {
	t.Parallel()
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.say(discovery.Reading{}, discovery.Errorf(discovery.Server, "SERVFAIL"))
		w.pass(24 * time.Hour)
		w.wantReady(a, 10)
		if s := w.status().Sources[0]; s.State != "failing" || s.AgeSeconds < 86400 || s.LastError == "" {
			w.t.Errorf("source: %+v", s)
		}
		if n := w.warned.of("source does not answer; what is known stays in force"); n != 1 {
			w.t.Errorf("warned %d times, want once", n)
		}
	})
}

// A source that is told 8 of 20 at a time says them weakly, and what it has not
// seen for long enough it says, strongly, to be gone.
func TestD20_EightOfTwentyAtRandom(t *testing.T) {
	a := newFake("a", "web", 30)
	inWorld(t, func(w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		all := span(80, 99)
		w.source.reading = discovery.Complete(eps(all[:8]...)...)
		w.start()
		most := 0
		for range 100 {
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			w.source.say(partial(eps(all[:8]...)...), nil)
			w.pass(5 * time.Second)
			if w.count(a) < most {
				w.t.Fatalf("%d are ready after %d", w.count(a), most)
			}
			most = w.count(a)
		}
		w.wantReady(a, 20)
		w.source.list(span(80, 98)...)
		w.settle()
		w.wantReady(a, 19)
	}, a)
}

// A complete replacement of the same size is no mass removal: the new ones are
// added first, and the old ones leave once one of those serves.
func TestD35_AllRecordsReplacedAtOnce(t *testing.T) {
	a := newFake("a", "web", 20)
	a.checked(true)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.source.list(90, 91, 92)
		w.settle()
		w.wantPorts(a, 80, 81, 82, 90, 91, 92)
		w.pass(guard.DefaultTurnover)
		w.wantPorts(a, 90, 91, 92)

		// To fewer than half it is one, and delays only those who leave.
		w.source.list(span(100, 109)...)
		w.pass(guard.DefaultTurnover)
		w.source.list(70, 71)
		w.settle()
		w.wantReady(a, 12)
		w.pass(guard.DefaultRemovalHold + time.Second)
		w.wantPorts(a, 70, 71)
	}, a)
}
