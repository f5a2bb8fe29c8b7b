package page

import (
	"fmt"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

const (
	// chartSpan is how far back the charts go, chartStep what one bar stands for.
	chartSpan = 10 * time.Minute
	chartStep = 10 * time.Second
	chartBars = int(chartSpan / chartStep)
	// Of one chart, in its own units.
	chartHeight, barWidth = 48, 5
)

// A chart is bars for the last ten minutes, the newest on the right.
type chart struct {
	Title, Words  string
	Width, Height int
	Bars          []chartBar
}

type chartBar struct {
	X, Y, W, H int
	Title      string
}

// charts draws what the events tell of changed slots. There are no more than are kept:
// after very many of them the charts begin later.
func charts(events []api.Event, now time.Time) []chart {
	var changes, slowest [chartBars]float64
	var all, worst float64
	for _, e := range events {
		back := now.Sub(e.At)
		if e.Kind != api.EventSlotsChanged || back >= chartSpan {
			continue
		}
		at := chartBars - 1 - max(int(back/chartStep), 0)
		for _, n := range e.Changes {
			changes[at] += float64(n)
			all += float64(n)
		}
		if took, err := time.ParseDuration(e.Fields["propagation"]); err == nil {
			slowest[at] = max(slowest[at], took.Seconds())
			worst = max(worst, took.Seconds())
		}
	}
	return []chart{
		drawn("Changes", fmt.Sprintf("%d in ten minutes", int(all)), changes[:], func(v float64) string { return fmt.Sprintf("%d changes", int(v)) }),
		drawn("Propagation to an instance", atMost(worst), slowest[:], discovery.AboutSeconds),
	}
}

func drawn(title, words string, values []float64, say func(float64) string) chart {
	c := chart{Title: title, Words: words, Width: len(values) * barWidth, Height: chartHeight}
	var most float64
	for _, v := range values {
		most = max(most, v)
	}
	for i, v := range values {
		if v <= 0 {
			continue
		}
		h := max(int(v/most*(chartHeight-2)), 2)
		back := time.Duration(len(values)-i) * chartStep
		c.Bars = append(c.Bars, chartBar{X: i * barWidth, Y: chartHeight - h, W: barWidth - 1, H: h, Title: say(v) + ", " + discovery.About(back) + " ago"})
	}
	return c
}

func atMost(seconds float64) string {
	if seconds == 0 {
		return "none in ten minutes"
	}
	return "at most " + discovery.AboutSeconds(seconds)
}
