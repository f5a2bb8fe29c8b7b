package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
)

// This file records what became of the state directory, of sources and of whole backends.

// stateFailed records what kept the state from being read or written: in the log once, until
// it is written again.
func (a *Agent) stateFailed(err error) {
	h := happening{level: slog.LevelWarn, attrs: []any{"dir", a.opts.StateDir, "err", err}, count: (*metrics.Metrics).StateWriteFailed}
	if !a.stateFault.Swap(true) {
		h.line = "state directory cannot be used; going on without it"
	}
	a.record(h)
}

func (a *Agent) stateWritten() {
	if a.stateFault.Swap(false) {
		a.record(happening{line: "state directory is written", attrs: []any{"dir", a.opts.StateDir}})
	}
}

// sourceFailed records an error of a source: in the log if the one before was of another class.
func (a *Agent) sourceFailed(b *backend, f *feed, err error) {
	class := discovery.ClassOf(err)
	h := happening{count: func(m *metrics.Metrics) { m.SourceFailed(f.Name, b.Proxy, string(class)) }}
	if f.failing == nil || discovery.ClassOf(f.failing) != class {
		h.level, h.line = slog.LevelWarn, "source does not answer; what is known stays in force"
		h.attrs = []any{"source", f.Source.String(), "err", err}
		h.event = api.Event{Kind: api.EventSourceFailing, Backend: b.Name, Source: f.Name, Fields: map[string]string{"class": string(class)},
			Text: f.Source.String() + " does not answer; what is known stays in force: " + err.Error()}
	}
	a.record(h)
}

// maxRejectionsLogged bounds the lines about what one answer names and must not be used.
const maxRejectionsLogged = 10

// sourceAnswered records an answer; before is the feed as it was.
func (a *Agent) sourceAnswered(b *backend, f *feed, before feed) {
	if before.failing != nil {
		silent := ago(f.answered, before.failedAt)
		a.record(happening{line: "source answers again", attrs: []any{"source", f.Source.String(), "after", silent},
			event: api.Event{Kind: api.EventSourceAnswering, Backend: b.Name, Source: f.Name, Text: f.Source.String() + " answers again, after " + silent}})
	}
	if slices.Equal(f.refused, before.refused) {
		return
	}
	old := make(map[discovery.Rejection]bool, len(before.refused))
	for _, x := range before.refused {
		old[x] = true
	}
	fresh, about := 0, api.Event{Backend: b.Name}
	for _, x := range f.refused {
		if old[x] {
			continue
		}
		h := happening{count: func(m *metrics.Metrics) { m.Rejected(f.Name, b.Proxy, x.Reason) }}
		if fresh++; fresh <= maxRejectionsLogged {
			h.level, h.line, h.event = slog.LevelWarn, "endpoint rejected: it gets no traffic", about
			h.attrs = []any{"source", f.Name, "reason", x.Reason, "why", discovery.WhyRefused(x.Reason), "name", x.Name, "value", x.Value}
		}
		a.record(h)
	}
	if more := fresh - maxRejectionsLogged; more > 0 {
		a.record(happening{level: slog.LevelWarn, line: "more endpoints rejected: they get no traffic", event: about,
			attrs: []any{"source", f.Name, "not_named", more, "rejected_now", len(f.refused), "to_see_them", "slotsync status -o json"}})
	}
}

// failedOver records which feeds of b are in use.
func (a *Agent) failedOver(b *backend) {
	h := happening{line: "the primary source lists enough endpoints again", attrs: []any{"primary", b.Failover.Primary},
		event: api.Event{Kind: api.EventFailback, Backend: b.Name, Source: b.Failover.Primary}}
	if b.at.FailedOver {
		h.level, h.line = slog.LevelWarn, "the primary source lists too few endpoints; the others stand in"
		lists, needs := 0, cmp.Or(b.Failover.Min, sources.DefaultFailoverMin)
		if f := b.feed(b.Failover.Primary); f != nil {
			lists = discovery.CountReady(f.known.Set().Listed())
		}
		in := strings.Join(b.standIns(), ", ")
		h.attrs = append(h.attrs, "lists", lists, "needs", needs, "in_use", in)
		h.event.Kind = api.EventFailover
		h.event.Text = fmt.Sprintf("%s lists %s and needs %d; in use now: %s", b.Failover.Primary, discovery.Count(lists, "ready endpoint"), needs, in)
	}
	a.record(h)
}

// standIns names the sources besides the primary that are in use.
func (b *backend) standIns() (names []string) {
	for _, f := range b.feeds {
		if f.used && f.Name != b.Failover.Primary {
			names = append(names, f.Name)
		}
	}
	return names
}

// tableChanged records that endpoints have no slot, or have one again; overflowed had none
// before.
func (a *Agent) tableChanged(b *backend, overflowed int) {
	switch n := len(b.placement.Overflow()); {
	case n == overflowed:
	case n == 0:
		a.record(happening{line: "every endpoint has a slot again", event: api.Event{Kind: api.EventOverflowEnded, Backend: b.Name}})
	default:
		to := "HAProxy is reloaded with more, if reload and max_slots allow it"
		if !a.renders(b) {
			to = raiseSlots
		}
		a.record(happening{level: slog.LevelWarn, line: "more endpoints than slots", attrs: []any{"slots", len(b.placement.Table()), "waiting", n, "to_end_it", to},
			event: api.Event{Kind: api.EventOverflow, Backend: b.Name, Text: fmt.Sprintf("%d slots, and %d endpoints wait for one: %s", len(b.placement.Table()), n, to)}})
	}
}

// takeoverChanged records that addresses wait to be taken over, where there were none, or that
// none do any more.
func (a *Agent) takeoverChanged(b *backend) {
	id, before := a.takeoverID(b), b.takeoverSize
	b.takeoverSize = len(a.unmanagedOf(b))
	e := api.Event{Backend: b.Name, Fields: map[string]string{"hold": api.HoldTakeover, "id": id}}
	switch n := b.takeoverSize; {
	case n > 0 && before == 0:
		e.Kind = api.EventHoldBegun
		e.Text = fmt.Sprintf("held (takeover): %d slots serve addresses that no source has ever listed; slotsync accept %s %s has them go", n, b.Name, id)
		a.record(happening{level: slog.LevelWarn, line: "takeover: slots serve addresses that no source has ever listed; they are left alone", event: e,
			attrs: []any{"addresses", strings.Join(a.unmanagedWords(b), ", "), "nothing_is_written", b.misfit,
				"id", id, "to_end_it", "slotsync accept " + b.Name + " " + id}})
	case n == 0 && before > 0:
		e.Kind = api.EventHoldEnded
		a.record(happening{line: "no slot waits to be taken over any more", event: e})
	}
}

// unmanagedWords are the live addresses that no source has ever listed, each with its slot.
func (a *Agent) unmanagedWords(b *backend) (words []string) {
	for _, number := range slices.Sorted(maps.Keys(b.unmanaged)) {
		words = append(words, a.slotName(b, number)+" "+b.unmanaged[number].String())
	}
	return words
}
