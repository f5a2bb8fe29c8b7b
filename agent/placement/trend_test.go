package placement

import (
	"testing"
	"time"
)

func TestTrend(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var g trend
	if g.perHour() != 0 || g.fullIn(5) != 0 {
		t.Error("something grows that was never seen")
	}
	for m := range 180 {
		g.observe(10+m, start.Add(time.Duration(m)*time.Minute))
	}
	if got := g.perHour(); got != 59 {
		t.Errorf("grows by %d an hour", got)
	}
	if got := g.fullIn(59); got != time.Hour {
		t.Errorf("full in %s", got)
	}
	var burst trend
	burst.observe(1, start)
	burst.observe(10, start.Add(time.Minute))
	if pace, full := burst.perHour(), burst.fullIn(18); pace != 9 || full != 2*time.Hour {
		t.Errorf("%d an hour fill 18 slots in %s", pace, full)
	}
	g.observe(5, start.Add(24*time.Hour)) // a gap: what was is long ago
	if g.perHour() != 0 || len(g.counts) > trendMinutes {
		t.Errorf("grows by %d over %d minutes", g.perHour(), len(g.counts))
	}
}
