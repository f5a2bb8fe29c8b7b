package agent

import (
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/metrics"
)

// Events are what changes, from the start of the process on. It does not block.
func (a *Agent) Events() *event.Log { return a.events }

// A happening is one change, and all that is said of it: a line of the log, an event, and
// what is counted.
type happening struct {
	line  string // of the log; "" for none
	warn  bool
	attrs []any     // of the line
	event api.Event // of no kind: there is none
	count func(*metrics.Metrics)
}

// record writes h to the log, to the events and to the metrics.
func (a *Agent) record(h happening) {
	switch {
	case h.line == "":
	case h.warn:
		a.opts.Log.Warn(h.line, h.attrs...)
	default:
		a.opts.Log.Info(h.line, h.attrs...)
	}
	if h.event.Kind != "" {
		a.events.Add(h.event)
	}
	if h.count != nil {
		h.count(a.opts.Metrics)
	}
}

func (a *Agent) addAll(events []api.Event) {
	for _, e := range events {
		a.events.Add(e)
	}
}

func overrideEvent(kind string, o api.Override) api.Event {
	e := api.Event{Kind: kind, Backend: o.Backend, Text: o.Address + ": " + o.Words(),
		Fields: map[string]string{"address": o.Address, "override": o.Kind, "by": o.By, "reason": o.Reason}}
	switch kind {
	case api.EventOverrideEnded:
		e.Text = o.Address + ": what an operator asked for ends"
	case api.EventOverrideOver:
		e.Text = o.Address + ": the time is over of " + o.Words()
	}
	return e
}

func pauseEvents(kind string, pauses []api.Pause) (out []api.Event) {
	for _, p := range pauses {
		words := map[string]string{
			api.EventPaused: p.Words(), api.EventResumed: "writing goes on",
			api.EventPauseOver: "the pause is over: writing goes on",
		}
		out = append(out, api.Event{Kind: kind, Backend: p.Backend, Text: words[kind], Fields: map[string]string{"by": p.By, "reason": p.Reason}})
	}
	return out
}

func reloadEvent(kind string, r *reloading, l launch, text string) api.Event {
	return api.Event{Kind: kind, Text: text, Fields: map[string]string{"reload": r.Name, "reason": l.reason, "by": l.by}}
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
	case reconciler.Noted:
	}
	return api.EventNote
}
