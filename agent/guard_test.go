package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func span(from, to int) []int {
	var out []int
	for p := from; p <= to; p++ {
		out = append(out, p)
	}
	return out
}

func (w *world) count(c *fakeConn) int {
	n := 0
	c.with(func() {
		for _, s := range c.servers["web"] {
			if s.Class == slots.Ready {
				n++
			}
		}
	})
	return n
}

func (w *world) wantReady(c *fakeConn, n int) {
	w.t.Helper()
	if got := w.count(c); got != n {
		w.t.Fatalf("%d slots are ready, want %d: %s", got, n, c.show())
	}
}

// guardWorld runs body with 10 endpoints in 20 slots.
func guardWorld(t *testing.T, g guard.Rules, body func(w *world, a *fakeConn)) {
	t.Helper()
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Guard = g
		w.opts.Poll, w.opts.Resync = time.Minute, 10*time.Minute // it is the source that counts
		w.source.reading = discovery.Complete(eps(span(80, 89)...)...)
		w.start()
		w.wantReady(a, 10)
		body(w, a)
	}, a)
}

func TestGuardLetsFewGoAtOnce(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(span(80, 88)...)
		w.settle()
		w.wantReady(a, 9)
		w.source.list(span(80, 84)...)
		w.settle()
		w.wantReady(a, 5)
	})
}

func TestGuardHoldsManyUntilConfirmedThreeTimes(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(span(80, 83)...)
		w.pass(29 * time.Second)
		w.wantReady(a, 10)
		hold := w.status().Backends[0].Hold
		if hold == nil || hold.Kind != "removal" || len(hold.WouldRemove) != 6 || hold.Confirmations != 2 {
			w.t.Fatalf("hold: %+v", hold)
		}
		w.pass(2 * time.Second)
		w.wantReady(a, 4)
		if w.status().Backends[0].Hold != nil {
			w.t.Error("still held")
		}
		if w.source.confirmed() != 3 {
			w.t.Errorf("confirmed %d times, want 3", w.source.confirmed())
		}
	})
}

func TestGuardHoldsEmptyForFiveMinutes(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list()
		w.pass(5*time.Minute - time.Second)
		w.wantReady(a, 10)
		w.pass(2 * time.Second)
		w.wantReady(a, 0)
	})
}

func TestGuardStopsAStepwiseCollapse(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		for last := 88; last >= 80; last-- {
			w.source.list(span(80, last)...)
			w.pass(50 * time.Millisecond)
		}
		w.source.list()
		w.pass(time.Minute)
		w.wantReady(a, 5)
		w.pass(5 * time.Minute)
		w.wantReady(a, 0)
	})
}

func TestGuardLetsAdditionsAndMaintenanceThrough(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		set := append(eps(80, 81, 99)[:0:0], eps(80, 81, 99)...)
		set[0].State, set[0].Reason = discovery.Drain, "maintenance"
		w.source.say(discovery.Complete(set...), nil)
		w.settle()
		w.wantReady(a, 10) // 10 - 1 in maintenance + 1 new
		if !slices.ContainsFunc(a.servers["web"], func(s slots.Server) bool { return s.Class == slots.Drain && s.Addr == addr(80) }) {
			w.t.Errorf("maintenance waited: %s", a.show())
		}
	})
}

func TestGuardDoesNotCountTimeWithoutAnAnswer(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(80)
		w.pass(5 * time.Second)
		w.source.fail()
		w.pass(10 * time.Minute)
		w.wantReady(a, 10)
		w.source.list(80)
		w.pass(20 * time.Second)
		w.wantReady(a, 10)
		w.pass(20 * time.Second)
		w.wantReady(a, 1)
	})
}

// Nor does time in which the part does not answer that listed them, while another one does.
func TestGuardDoesNotCountTimeWithoutAnAnswerOfThePart(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, span(90, 95))
		w.start()
		w.source.say(families([]int{80, 81}, nil), nil)
		w.pass(5 * time.Second)
		w.source.say(gap(80, 81), nil)
		w.pass(time.Minute)
		w.source.say(families([]int{80, 81}, nil), nil)
		w.pass(22 * time.Second)
		w.wantReady(a, 8)
		w.pass(5 * time.Second)
		w.wantPorts(a, 80, 81)
	}, a)
}

func TestGuardEndsWhenTheEndpointsAreBack(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.onConfirm(func() (discovery.Reading, error) {
			return discovery.Complete(eps(span(80, 89)...)...), nil
		})
		w.source.list()
		w.pass(2 * time.Minute)
		w.wantReady(a, 10)
		if hold := w.status().Backends[0].Hold; hold != nil {
			w.t.Errorf("a false empty answer is still held after a confirmation said otherwise: %+v", hold)
		}
	})
}

func TestGuardHoldsWhatComesBackAPieceAtATime(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list() // the catalogue was lost, and everything registers again
		w.pass(10 * time.Second)
		for last := 80; last <= 89; last++ {
			w.source.list(span(80, last)...)
			w.pass(100 * time.Millisecond)
			w.wantReady(a, 10)
		}
		if hold := w.status().Backends[0].Hold; hold != nil {
			w.t.Errorf("still held: %+v", hold)
		}
	})
}

func TestGuardDoesNotCountWeakConfirmations(t *testing.T) {
	t.Parallel()
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.onConfirm(func() (discovery.Reading, error) { return partial(), nil })
		w.source.list()
		w.pass(time.Hour)
		w.wantReady(a, 10)
	})
}

func TestGuardNeverAndOff(t *testing.T) {
	guardWorld(t, guard.Rules{EmptyHold: guard.Never}, func(w *world, a *fakeConn) {
		w.source.list()
		w.pass(8 * time.Hour)
		w.wantReady(a, 10)
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.wantReady(a, 0)
	})
	guardWorld(t, guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}, func(w *world, a *fakeConn) {
		w.source.list()
		w.settle()
		w.wantReady(a, 0)
		if w.source.confirmed() != 0 {
			w.t.Errorf("confirmed %d times with the hold off", w.source.confirmed())
		}
	})
}

func TestGuardHoldsLossOfHealth(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		set := eps(span(80, 89)...)
		for i := range 6 {
			set[i].State, set[i].Reason = discovery.Down, "critical"
		}
		w.source.say(discovery.Complete(set...), nil)
		w.pass(25 * time.Second)
		w.wantReady(a, 10)
		w.pass(10 * time.Second)
		w.wantReady(a, 4)
	})
}

func TestHoldIsCarriedOverARestart(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(80)
		w.pass(20 * time.Second)
		w.stop()
		time.Sleep(time.Hour) // in which nobody looked
		w.source = newSource(80)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.wantReady(a, 10)
		w.pass(5 * time.Second)
		w.wantReady(a, 10)
		w.pass(10 * time.Second)
		w.wantReady(a, 1)
	})
}

// A set that is replaced whole stays until the new one works: for 15 s where nobody
// checks.
func TestReplacementIsHeldUntilItWorks(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(span(80, 89)...)...)
		w.start()
		w.source.list(span(100, 109)...)
		w.pass(guard.DefaultTurnover - time.Second)
		w.wantReady(a, 20)
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != guard.Removal {
			w.t.Errorf("held: %+v", hold)
		}
		w.pass(3 * time.Second)
		w.wantPorts(a, span(100, 109)...)
		if hold := w.status().Backends[0].Hold; hold != nil {
			w.t.Errorf("held: %+v", hold)
		}
	}, a)
}
