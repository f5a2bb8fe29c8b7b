package reloadpolicy

import (
	"testing"
	"time"
)

func TestTargetSize(t *testing.T) {
	for _, c := range []struct{ have, wanted, most, want int }{
		{0, 0, 1000, 0}, {0, 1, 1000, 10}, {4, 10, 1000, 20}, {20, 21, 1000, 40}, {20, 60, 1000, 90},
		{20, 21, 25, 25}, {20, 21, 10, 20}, {1000, 2000, 1000, 1000},
	} {
		if got := TargetSize(c.have, c.wanted, c.most); got != c.want {
			t.Errorf("TargetSize(%d, %d, %d) = %d, want %d", c.have, c.wanted, c.most, got, c.want)
		}
	}
}

func TestNeedsSettle(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	n := needs{}
	n.observe("web", 4, 5, true, at(0))
	n.observe("web", 4, 5, true, at(1.5))
	if got := n.settled([]string{"web"}); !got.Equal(at(2)) {
		t.Errorf("settled at %s", got)
	}
	for s := 1.0; s < 30; s++ { // grows all the time
		n.observe("web", 4, 5+int(s), true, at(s))
	}
	if got := n.settled([]string{"web"}); !got.Equal(at(10)) {
		t.Errorf("settled at %s", got)
	}
	n.observe("web", 20, 40, true, at(40)) // other slots: another need
	if got := n.settled([]string{"web"}); !got.Equal(at(42)) {
		t.Errorf("settled at %s", got)
	}
	n.observe("web", 80, 40, false, at(50))
	if len(n) != 0 {
		t.Errorf("left: %v", n)
	}
}

func TestBudget(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	done := []time.Time{start, start.Add(10 * time.Minute), start.Add(20 * time.Minute)}
	for _, c := range []struct {
		r    Rules
		want time.Duration
	}{
		{Rules{}, 20 * time.Minute}, {Rules{30 * time.Second, 10, 0}, 20*time.Minute + 30*time.Second},
		{Rules{30 * time.Second, 3, 0}, time.Hour}, {Rules{time.Minute, 2, 0}, 70 * time.Minute},
	} {
		if got := c.r.next(done); !got.Equal(start.Add(c.want)) {
			t.Errorf("%+v: next at %s", c.r, got.Sub(start))
		}
	}
	if got := (Rules{time.Hour, 1, 0}).next(nil); !got.IsZero() {
		t.Errorf("the first one waits until %s", got)
	}
}

// A reload counts for an hour, also in what is shown, and one that is dated tomorrow, of a
// clock that was ahead, counts not at all.
func TestRecentReloads(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	done := []time.Time{now.Add(-61 * time.Minute), now.Add(-50 * time.Minute), now.Add(-40 * time.Minute), now.Add(24 * time.Hour)}
	r := Rules{30 * time.Second, 3, 0}
	for range 2 { // what is asked for changes nothing
		if got := recent(done, now); len(got) != 2 {
			t.Fatalf("%v count", got)
		}
		if got := r.next(recent(done, now)); !got.Equal(now.Add(-40*time.Minute + 30*time.Second)) {
			t.Errorf("next at %s", got)
		}
	}
	if len(done) != 4 || done[3].IsZero() {
		t.Errorf("what was done is %v", done)
	}
}
