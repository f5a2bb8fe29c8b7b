package agent

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/reconciler"
)

// This file makes events of what happens.

// Events are what changes, from the start of the process on. It does not block.
func (a *Agent) Events() *event.Log { return a.events }

func (a *Agent) addAll(events []Event) {
	for _, e := range events {
		a.events.Add(e)
	}
}

func sourceEvent(kind string, b *backend, f *feed, words, class string) Event {
	return Event{Kind: kind, Backend: b.Name, Source: f.Name, Text: f.Source.String() + " " + words, Fields: map[string]string{"class": class}}
}

func holdEvent(b *backend, h guard.Hold, held bool, until string) Event {
	if !held {
		return Event{Kind: EventHoldEnded, Backend: b.Name, Text: "nothing is held any more"}
	}
	gone := addressStrings(h.WouldRemove)
	return Event{Kind: EventHoldBegun, Backend: b.Name,
		Text:   fmt.Sprintf("held (%s): %d endpoints would be removed; slotsync accept %s %s has them go", h.Kind, len(gone), b.Name, h.ID),
		Fields: map[string]string{"hold": h.Kind, "id": h.ID, "ends": until, "would_remove": strings.Join(gone, " ")}}
}

// keptEvent tells of endpoints that are kept, or are not any more.
func keptEvent(kind string, b *backend, s keptSet, addrs []netip.AddrPort) Event {
	list := strings.Join(addressStrings(addrs), " ")
	if kind == EventKeptEnded {
		return Event{Kind: kind, Backend: b.Name, Text: "not kept any more: " + list}
	}
	part := s.source
	if s.part != "" {
		part += ", " + s.part
	}
	return Event{Kind: kind, Backend: b.Name, Source: s.source, Text: fmt.Sprintf("kept: %s (%s: %s); slotsync accept %s %s has them go", list, part, s.reason, b.Name, s.id),
		Fields: map[string]string{"id": s.id, "part": s.part, "reason": s.reason}}
}

func failoverEvent(b *backend) Event {
	e := Event{Kind: EventFailback, Backend: b.Name, Source: b.Failover.Primary, Text: "the primary source lists enough endpoints again"}
	if b.at.FailedOver {
		e.Kind, e.Text = EventFailover, "the primary source lists too few endpoints; the others stand in"
	}
	return e
}

// tableEvents tell what changed besides the slots: how many endpoints have none, and
// how many slots wait to be taken over.
func tableEvents(b *backend, surplusBefore, takenBefore int, takeoverID string) (out []Event) {
	switch n := len(b.placement.Overflow()); {
	case n == surplusBefore:
	case n == 0:
		out = append(out, Event{Kind: EventOverflowEnded, Backend: b.Name, Text: "every endpoint has a slot again"})
	default:
		out = append(out, Event{Kind: EventOverflow, Backend: b.Name, Text: fmt.Sprintf("%d slots, and %d endpoints without one", len(b.placement.Table()), n)})
	}
	hold := map[string]string{"hold": holdTakeover, "id": takeoverID}
	switch n := len(b.unmanaged); {
	case n > 0 && takenBefore == 0:
		out = append(out, Event{Kind: EventHoldBegun, Backend: b.Name, Fields: hold,
			Text: fmt.Sprintf("held (takeover): %d slots serve addresses that no source has ever listed; slotsync accept %s %s has them go", n, b.Name, takeoverID)})
	case n == 0 && takenBefore > 0:
		out = append(out, Event{Kind: EventHoldEnded, Backend: b.Name, Text: "no slot is to be taken over any more", Fields: hold})
	}
	return out
}

// reportEvents tell what a reconciler did, and how long it took after the news of it.
func reportEvents(in *instance, before, r reconciler.Report, short []string, propagated map[string]time.Duration) (out []Event) {
	add := func(e Event) {
		e.Instance = in.Name
		out = append(out, e)
	}
	process := map[string]string{"pid": itoa(r.Process.Pid), "version": r.Process.Version}
	switch {
	case r.Err != nil && (before.Err == nil || faultOf(before.Err) != faultOf(r.Err)):
		add(Event{Kind: EventInstanceDown, Text: "cannot be kept in step: " + r.Err.Error()})
	case r.Err == nil && (before.Err != nil || before.At.IsZero()):
		add(Event{Kind: EventInstanceUp, Text: "answers", Fields: process})
	}
	if r.Restarted {
		add(Event{Kind: EventInstanceRestarted, Text: "runs a new process", Fields: process})
	}
	for _, name := range slices.Sorted(maps.Keys(r.Changes)) {
		took := map[string]string{"took": r.Took.Round(time.Microsecond).String()}
		if p, ok := propagated[name]; ok {
			took["propagation"] = p.Round(time.Microsecond).String()
		}
		add(Event{Kind: EventSlotsChanged, Backend: name, Text: "slots changed: " + r.Changes[name].String(),
			Changes: countsByKind(r.Changes[name]), Slots: r.Moved[name], Fields: took})
	}
	for _, name := range short {
		e := Event{Kind: EventOverflowEnded, Backend: name, Text: "every endpoint has a slot there again"}
		if n := r.Backends[name].Overflow; n > 0 {
			e.Kind, e.Text = EventOverflow, fmt.Sprintf("its template has fewer slots than others: %d endpoints have none there", n)
		}
		add(e)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Drift)) {
		add(Event{Kind: EventDrift, Backend: name, Text: "corrected what nobody asked for: " + r.Drift[name].String(), Changes: countsByKind(r.Drift[name])})
	}
	for _, n := range r.Events {
		add(Event{Kind: kindOf(n.Kind), Backend: n.Backend, Slot: n.Slot, Text: n.Text, Fields: map[string]string{"detail": n.Detail}})
	}
	return out
}

func stepEvent(in *instance) Event {
	e := Event{Kind: EventInstanceInStep, Instance: in.Name, Text: "every slot is as it should be"}
	if !in.inStep {
		e.Kind, e.Text = EventInstanceBehind, "not every slot is as it should be yet"
	}
	return e
}

func overrideEvent(kind string, o Override) Event {
	e := Event{Kind: kind, Backend: o.Backend, Text: o.Address + ": " + o.Words(),
		Fields: map[string]string{"address": o.Address, "override": o.Kind, "by": o.By, "reason": o.Reason}}
	switch kind {
	case EventOverrideEnded:
		e.Text = o.Address + ": what an operator asked for ends"
	case EventOverrideOver:
		e.Text = o.Address + ": the time is over of " + o.Words()
	}
	return e
}

func pauseEvents(kind string, pauses []Pause) (out []Event) {
	for _, p := range pauses {
		words := map[string]string{
			EventPaused: p.Words(), EventResumed: "writing goes on",
			EventPauseOver: "the pause is over: writing goes on",
		}
		out = append(out, Event{Kind: kind, Backend: p.Backend, Text: words[kind], Fields: map[string]string{"by": p.By, "reason": p.Reason}})
	}
	return out
}

func reloadEvent(kind string, r *reloading, l launch, text string) Event {
	return Event{Kind: kind, Text: text, Fields: map[string]string{"reload": r.Name, "reason": l.reason, "by": l.by}}
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
		return EventExternalTaken
	case reconciler.SlotGivenBack:
		return EventExternalGiven
	case reconciler.Noted:
	}
	return EventNote
}
