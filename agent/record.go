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

// sourceFailed is an error of a source: in the log if the one before was of another class.
func (b *backend) sourceFailed(f *feed, err error) happening {
	class := discovery.ClassOf(err)
	h := happening{count: func(m *metrics.Metrics) { m.SourceFailed(f.Name, b.Proxy, string(class)) }}
	if f.failing == nil || discovery.ClassOf(f.failing) != class {
		h.level, h.line = slog.LevelWarn, "source does not answer; what is known stays in force"
		h.attrs = []any{"source", f.Source.String(), "err", err}
		h.event = api.Event{Kind: api.EventSourceFailing, Backend: b.Name, Source: f.Name, Fields: map[string]string{"class": string(class)},
			Text: f.Source.String() + " does not answer; what is known stays in force: " + err.Error()}
	}
	return h
}

// maxRejectionsLogged bounds the lines about what one answer names and must not be used.
const maxRejectionsLogged = 10

// sourceAnswered is what an answer changed; before is the feed as it was.
func (b *backend) sourceAnswered(f *feed, before feed) (out []happening) {
	if before.failing != nil {
		silent := ago(f.answered, before.failedAt)
		out = append(out, happening{line: "source answers again", attrs: []any{"source", f.Source.String(), "after", silent},
			event: api.Event{Kind: api.EventSourceAnswering, Backend: b.Name, Source: f.Name, Text: f.Source.String() + " answers again, after " + silent}})
	}
	if slices.Equal(f.refused, before.refused) {
		return out
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
		out = append(out, h)
	}
	if more := fresh - maxRejectionsLogged; more > 0 {
		out = append(out, happening{level: slog.LevelWarn, line: "more endpoints rejected: they get no traffic", event: about,
			attrs: []any{"source", f.Name, "not_named", more, "rejected_now", len(f.refused), "to_see_them", "slotsync status -o json"}})
	}
	return out
}

// failedOver is which feeds of b are in use.
func (b *backend) failedOver() happening {
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
	return h
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

// tableChanged is that endpoints have no slot, or have one again; overflowed had none before.
// renders: a reload can give more.
func (b *backend) tableChanged(overflowed int, renders bool) happening {
	n := len(b.placement.Overflow())
	switch n {
	case overflowed:
		return happening{}
	case 0:
		return happening{line: "every endpoint has a slot again", event: api.Event{Kind: api.EventOverflowEnded, Backend: b.Name}}
	}
	to := "HAProxy is reloaded with more, if reload and max_slots allow it"
	if !renders {
		to = raiseSlots
	}
	return happening{level: slog.LevelWarn, line: "more endpoints than slots", attrs: []any{"slots", len(b.placement.Table()), "waiting", n, "to_end_it", to},
		event: api.Event{Kind: api.EventOverflow, Backend: b.Name, Text: fmt.Sprintf("%d slots, and %d endpoints wait for one: %s", len(b.placement.Table()), n, to)}}
}

// takeoverChanged is that addresses wait to be taken over, where there were none, or that none do
// any more.
func (b *backend) takeoverChanged() happening {
	id, before := b.takeoverID(), b.takeoverSize
	b.takeoverSize = len(b.unmanagedOf())
	e := api.Event{Backend: b.Name, Fields: map[string]string{"hold": api.HoldTakeover, "id": id}}
	switch n := b.takeoverSize; {
	case n > 0 && before == 0:
		e.Kind = api.EventHoldBegun
		e.Text = fmt.Sprintf("held (takeover): %d slots serve addresses that no source has ever listed; slotsync accept %s %s has them go", n, b.Name, id)
		return happening{level: slog.LevelWarn, line: "takeover: slots serve addresses that no source has ever listed; they are left alone", event: e,
			attrs: []any{"addresses", strings.Join(b.unmanagedWords(), ", "), "nothing_is_written", b.misfit,
				"id", id, "to_end_it", "slotsync accept " + b.Name + " " + id}}
	case n == 0 && before > 0:
		e.Kind = api.EventHoldEnded
		return happening{line: "no slot waits to be taken over any more", event: e}
	}
	return happening{}
}

// unmanagedWords are the live addresses that no source has ever listed, each with its slot.
func (b *backend) unmanagedWords() (words []string) {
	for _, number := range slices.Sorted(maps.Keys(b.unmanaged)) {
		for _, in := range b.served { // each may have another one there
			a, ok := in.at(b.Name).unmanaged[number]
			if word := b.slotName(number) + " " + a.String(); ok && !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return words
}
