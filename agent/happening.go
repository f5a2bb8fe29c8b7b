package agent

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
)

// Events are what changes, from the start of the process on. It does not block.
func (a *Agent) Events() *event.Log { return a.events }

// A happening is one change. All that is said of it is made from it: the line of the log,
// the event, and what is counted. The zero value says nothing.
type happening struct {
	level slog.Level
	line  string // of the log; "" for none
	// attrs are those of the line besides the instance, backend and slot of the event.
	attrs []any
	event api.Event // of no kind: there is none; without a text it has that of the line
	count func(*metrics.Metrics)
}

// record writes changes to the log, to the events and to the metrics.
func (a *Agent) record(all ...happening) {
	for _, h := range all {
		if h.line != "" {
			var where []any
			for _, at := range [][2]string{{"instance", h.event.Instance}, {"backend", h.event.Backend}, {"slot", h.event.Slot}} {
				if at[1] != "" {
					where = append(where, at[0], at[1])
				}
			}
			a.opts.Log.Log(context.Background(), h.level, h.line, append(where, h.attrs...)...)
		}
		if h.event.Kind != "" {
			h.event.Text = cmp.Or(h.event.Text, h.line)
			a.events.Add(h.event)
		}
		if h.count != nil {
			h.count(a.opts.Metrics)
		}
	}
}

// countsByKind are the counts with kinds as texts.
func countsByKind(k reconciler.KindCounts) map[string]int {
	out := make(map[string]int, len(k))
	for kind, n := range k {
		out[string(kind)] = n
	}
	return out
}

// kindOf is the kind of the event for what happened at an instance.
func kindOf(k reconciler.EventKind) string {
	switch k {
	case reconciler.SlotTaken:
		return api.EventExternalTaken
	case reconciler.SlotGivenBack:
		return api.EventExternalGiven
	case reconciler.Noted, reconciler.StateFileFailed:
	}
	return api.EventNote
}

// ago is how long before now at was.
func ago(now, at time.Time) string { return discovery.About(now.Sub(at)) }
