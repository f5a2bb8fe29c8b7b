package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file says what happened: to the log and as an event, where something changed,
// and to the metrics, always.

// stateFailed counts what kept the state from being read or written, and warns
// once until it is written again.
func (a *Agent) stateFailed(err error) {
	a.opts.Metrics.StateWriteFailed()
	if a.stateFault.Swap(true) {
		return
	}
	a.opts.Log.Warn("state directory cannot be used; going on without it", "dir", a.opts.StateDir, "err", err)
}

func (a *Agent) stateWritten() {
	if a.stateFault.Swap(false) {
		a.opts.Log.Info("state directory is written", "dir", a.opts.StateDir)
	}
}

func (a *Agent) sourceFailed(b *backend, f *feed, err error) {
	class := discovery.ClassOf(err)
	a.opts.Metrics.SourceFailed(f.Name, b.Proxy, string(class))
	if was := f.failing; was == nil || discovery.ClassOf(was) != class {
		a.record(happening{warn: true, line: "source does not answer; what is known stays in force",
			attrs: []any{"backend", b.Name, "source", f.Source.String(), "err", err},
			event: api.Event{Kind: api.EventSourceFailing, Backend: b.Name, Source: f.Name, Fields: map[string]string{"class": string(class)},
				Text: f.Source.String() + " does not answer; what is known stays in force: " + err.Error()}})
	}
}

// maxRejectionsTold bounds the lines about what one answer names and must not be used.
const maxRejectionsTold = 10

// sourceAnswered tells of an answer; before is the feed as it was.
func (a *Agent) sourceAnswered(b *backend, f *feed, before feed) {
	if before.failing != nil {
		a.record(happening{line: "source answers again", attrs: []any{"backend", b.Name, "source", f.Source.String()},
			event: api.Event{Kind: api.EventSourceAnswering, Backend: b.Name, Source: f.Name, Text: f.Source.String() + " answers again"}})
	}
	if slices.Equal(f.refused, before.refused) {
		return
	}
	old := make(map[discovery.Rejection]bool, len(before.refused))
	for _, x := range before.refused {
		old[x] = true
	}
	fresh := 0
	for _, x := range f.refused {
		if old[x] {
			continue
		}
		a.opts.Metrics.Rejected(f.Name, b.Proxy, x.Reason)
		if fresh++; fresh <= maxRejectionsTold {
			a.opts.Log.Warn("endpoint rejected", "backend", b.Name, "source", f.Name, "reason", x.Reason, "name", x.Name, "value", x.Value)
		}
	}
	if more := fresh - maxRejectionsTold; more > 0 {
		a.opts.Log.Warn("more endpoints rejected", "backend", b.Name, "source", f.Name, "not_named", more, "rejected_now", len(f.refused),
			"to_see_them", "slotsync status -o json")
	}
}

// failedOver tells which feeds of b are in use.
func (a *Agent) failedOver(b *backend) {
	h := happening{line: "the primary source lists enough endpoints again", attrs: []any{"backend", b.Name, "primary", b.Failover.Primary},
		event: api.Event{Kind: api.EventFailback, Backend: b.Name, Source: b.Failover.Primary, Text: "the primary source lists enough endpoints again"}}
	if b.at.FailedOver {
		h.warn, h.line = true, "the primary source lists too few endpoints; the others stand in"
		h.event.Kind, h.event.Text = api.EventFailover, h.line
	}
	a.record(h)
}

// decided tells of a new table, and how many endpoints had no slot before.
func (a *Agent) decided(b *backend, surplusBefore int) {
	switch n := len(b.placement.Overflow()); {
	case n == surplusBefore:
	case n == 0:
		a.record(happening{line: "every endpoint has a slot again", attrs: []any{"backend", b.Name},
			event: api.Event{Kind: api.EventOverflowEnded, Backend: b.Name, Text: "every endpoint has a slot again"}})
	default:
		a.record(happening{warn: true, line: "more endpoints than slots",
			attrs: []any{"backend", b.Name, "slots", len(b.placement.Table()), "left_over", n},
			event: api.Event{Kind: api.EventOverflow, Backend: b.Name, Text: fmt.Sprintf("%d slots, and %d endpoints without one", len(b.placement.Table()), n)}})
	}
	a.takeoverChanged(b)
}

// takeoverChanged tells of addresses that wait to be taken over, where there were none.
func (a *Agent) takeoverChanged(b *backend) {
	id, before := a.takeoverID(b), b.takeoverTold
	b.takeoverTold = len(a.unmanagedOf(b))
	e := api.Event{Backend: b.Name, Fields: map[string]string{"hold": holdTakeover, "id": id}}
	switch n := b.takeoverTold; {
	case n > 0 && before == 0:
		e.Kind = api.EventHoldBegun
		e.Text = fmt.Sprintf("held (takeover): %d slots serve addresses that no source has ever listed; slotsync accept %s %s has them go", n, b.Name, id)
		a.record(happening{warn: true, line: "takeover: slots serve addresses that no source has ever listed; they are left alone", event: e,
			attrs: []any{"backend", b.Name, "addresses", strings.Join(addressStrings(a.unmanagedOf(b)), " "), "nothing_is_written", b.misfit,
				"id", id, "to_end_it", "slotsync accept " + b.Name + " " + id}})
	case n == 0 && before > 0:
		e.Kind, e.Text = api.EventHoldEnded, "no slot is to be taken over any more"
		a.record(happening{line: "no slot waits to be taken over any more", attrs: []any{"backend", b.Name}, event: e})
	}
}

func faultOf(err error) slots.Fault { f, _ := slots.FaultOf(err); return f }

func (a *Agent) proxyOf(name string) string {
	if b := a.backend(name); b != nil {
		return b.Proxy
	}
	return ""
}

// recordBehind records which instances are no longer in step. Each change leaves an instance
// behind for a moment: that is told only if it lasts for two ticks.
func (a *Agent) recordBehind() {
	for _, in := range a.instances {
		a.recordInStep(in)
		if in.behind++; a.inSync(in) {
			in.behind = 0
		}
		if in.inStep && in.behind > 1 {
			in.inStep = false
			a.record(step(in))
		}
	}
}

// recordInStep records that in is in step, if it was not.
func (a *Agent) recordInStep(in *instance) {
	if !in.inStep && a.inSync(in) {
		in.inStep = true
		a.record(step(in))
	}
}

// hasConflict reports whether a conflict keeps the agent from writing to a slot of b
// somewhere.
func (a *Agent) hasConflict(b *backend, now time.Time) bool {
	return slices.ContainsFunc(a.of(b), func(in *instance) bool {
		for _, until := range in.at(b.Name).Conflicts {
			if until.After(now) {
				return true
			}
		}
		return false
	})
}
