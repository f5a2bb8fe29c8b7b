package agent

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file changes an instance and takes what came of it.

// apply makes the changes and takes what came of them. It reports whether any
// was refused for good.
func (w *worker) apply(ctx context.Context, changes []slots.Change, clean map[string]bool) (refused bool, err error) {
	now := time.Now()
	touched := map[string]bool{}
	for _, c := range changes {
		name, l := w.owner(c)
		touched[name] = true
		l.sent(c)
		l.written = now
		if clean[name] && c.Kind != slots.Remove && l.correct(c.Slot, now) {
			w.note(note{text: "somebody else keeps changing this slot; writing to the backend pauses", backend: name, slot: c.Slot, detail: l.pause.String(), warn: true})
		}
	}
	w.alertUntil = now.Add(alertFor)
	out, err := w.conn.Apply(ctx, w.process, changes)
	w.counts, w.said = append(w.counts, out.Commands...), append(w.said, out.Exchanges...)
	if err != nil {
		return false, err
	}
	w.observe(slices.Sorted(maps.Keys(touched)), out.View)
	w.tally(changes, out.Refusals, clean)
	return w.refuse(out.Refusals), nil
}

// tally counts the changes that were made.
func (w *worker) tally(changes []slots.Change, refused []slots.Refusal, clean map[string]bool) {
	for _, c := range changes {
		same := func(r slots.Refusal) bool { return r.Change.Backend == c.Backend && r.Change.Slot == c.Slot }
		if len(refused) > 0 && slices.ContainsFunc(refused, same) {
			continue
		}
		name, _ := w.owner(c)
		w.made.add(name, c.Kind)
		w.moved.add(name, c.Slot)
		if clean[name] {
			w.drift.add(name, c.Kind)
		}
	}
}

// owner returns the backend that a change belongs to.
func (w *worker) owner(c slots.Change) (string, *local) {
	for name, l := range w.locals {
		if l.want.proxy == c.Backend && strings.HasPrefix(c.Slot, l.prefix) && len(slots.Own([]slots.Server{{Name: c.Slot}}, l.prefix)) == 1 {
			return name, l
		}
	}
	panic("agent: change of a slot that no backend owns: " + c.Backend + "/" + c.Slot)
}

// refuse notes what HAProxy refused, and reports whether that is more than
// weights.
func (w *worker) refuse(refusals []slots.Refusal) bool {
	serious := false
	for _, r := range refusals {
		name, l := w.owner(r.Change)
		switch r.Cause {
		case slots.Busy:
			l.busy(r.Change.Slot)
			serious = true // for now
			continue
		case slots.NoDynamic:
			if l.undynamic == "" {
				w.note(note{text: "no server can be added to the backend", backend: name, detail: r.Reply, warn: true})
			}
			l.undynamic = r.Reply
			continue
		case slots.NoWeights:
			if !l.weightless {
				w.note(note{text: "weights unsupported: the backend's algorithm takes none", backend: name, detail: r.Reply, warn: true})
			}
			l.weightless = true
			continue
		}
		serious = true
		l.refused[r.Change.Slot] = r
		if !l.told[string(r.Cause)] {
			w.note(note{text: "HAProxy refuses to change slots; slotsync status shows which", backend: name, slot: r.Change.Slot, detail: string(r.Cause) + ": " + r.Reply, warn: true})
		}
		l.told[string(r.Cause)] = true
	}
	return serious
}
