package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file changes an instance and takes what came of it.

// apply makes the changes and takes what came of them. It reports whether any
// was refused for good.
func (w *worker) apply(ctx context.Context, b batch, clean map[string]bool) (refused bool, err error) {
	now := time.Now()
	touched := map[string]bool{}
	for i, c := range b.changes {
		name := b.owners[i]
		l := w.locals[name]
		touched[name] = true
		l.sent(c)
		l.written = now
		if clean[name] && c.Kind != slots.Remove && l.correct(c.Number, now) {
			w.note(note{text: "somebody else keeps changing this slot; writing to it pauses", backend: name, slot: c.Slot, detail: l.fights[c.Number].pause.String(), warn: true})
		}
	}
	w.alertUntil = now.Add(alertFor)
	out, err := w.conn.Apply(ctx, w.process, b.changes)
	w.counts, w.said = append(w.counts, out.Commands...), append(w.said, out.Exchanges...)
	if err != nil {
		return false, err
	}
	w.readied(b, out.Refusals)
	w.observe(slices.Sorted(maps.Keys(touched)), out.View)
	w.tally(b, out.Refusals, clean)
	return w.refuse(b, out.Refusals), nil
}

// readied notes which slots with an agent-check were made ready: if one reads back
// otherwise, that is its agent's word. After a batch of unknown outcome nothing is noted:
// a fill that was never made must not be taken for that.
func (w *worker) readied(b batch, refused []slots.Refusal) {
	for i, c := range b.changes {
		if !c.From.Agent || !c.SetClass || c.Class != slots.Ready || isRefused(refused, c) {
			continue
		}
		addr := c.From.Addr
		if c.Addr.IsValid() {
			addr = c.Addr
		}
		w.locals[b.owners[i]].readied[c.Number] = addr
	}
}

// isRefused reports whether HAProxy refused any change of the slot of c.
func isRefused(refused []slots.Refusal, c slots.Change) bool {
	return slices.ContainsFunc(refused, func(r slots.Refusal) bool { return r.Change.Backend == c.Backend && r.Change.Slot == c.Slot })
}

// A batch is changes of several backends, each with the backend that it belongs to.
type batch struct {
	changes []slots.Change
	owners  []string
}

func (b *batch) add(owner string, changes ...slots.Change) {
	for _, c := range changes {
		b.changes, b.owners = append(b.changes, c), append(b.owners, owner)
	}
}

// refusals gives f those refusals that are about changes of b, with their backend.
func (b batch) refusals(refused []slots.Refusal, f func(owner string, r slots.Refusal)) {
	if len(refused) == 0 {
		return
	}
	owners := make(map[toldSlot]string, len(b.changes))
	for i, c := range b.changes {
		owners[toldSlot{c.Backend, c.Slot}] = b.owners[i]
	}
	for _, r := range refused {
		if owner, ok := owners[toldSlot{r.Change.Backend, r.Change.Slot}]; ok {
			f(owner, r)
		}
	}
}

// tally counts the changes that were made.
func (w *worker) tally(b batch, refused []slots.Refusal, clean map[string]bool) {
	for i, c := range b.changes {
		if isRefused(refused, c) {
			continue
		}
		name := b.owners[i]
		w.made.add(name, c.Kind)
		w.moved.add(name, c.Slot)
		if clean[name] {
			w.drift.add(name, c.Kind)
		}
	}
}

// refuse notes what HAProxy refused, and reports whether that is more than weights and
// slots that others can stand in for.
func (w *worker) refuse(b batch, refusals []slots.Refusal) bool {
	serious := false
	b.refusals(refusals, func(name string, r slots.Refusal) {
		l := w.locals[name]
		switch r.Cause {
		case slots.Busy:
			l.busy(r.Change.Number)
			serious = true // for now
			return
		case slots.NoDynamic:
			if l.undynamic == "" {
				w.note(note{text: "no server can be added to the backend", backend: name, detail: r.Reply, warn: true})
			}
			l.undynamic = r.Reply
			l.refit(time.Now())
			return
		case slots.NoWeights:
			if !l.weightless {
				w.note(note{text: "weights unsupported: the backend's algorithm takes none", backend: name, detail: r.Reply, warn: true})
			}
			l.weightless = true
			return
		}
		if _, taken := l.externals[r.Change.Number]; taken && r.Change.From.Agent && r.Change.Class == slots.Ready {
			return // its agent took it out at once
		}
		serious = !l.bar(r, time.Now()) || serious
		l.refused[r.Change.Number] = r
		if !l.told[string(r.Cause)] {
			w.note(note{text: "HAProxy refuses to change slots; slotsync status shows which", backend: name, slot: r.Change.Slot, detail: string(r.Cause) + ": " + r.Reply, warn: true})
		}
		l.told[string(r.Cause)] = true
	})
	return serious
}

// bar notes that a slot took no address, so that its endpoint goes to another one. It
// reports whether that is news, and may help.
func (l *local) bar(r slots.Refusal, now time.Time) bool {
	if !r.Change.Addr.IsValid() || r.Change.Kind == slots.Add {
		return false
	}
	switch r.Cause {
	case slots.NoAddress, slots.Unproved, slots.OtherCause:
	default:
		return false
	}
	if s := finder(l.own, serverNumber)(r.Change.Number); s == nil || s.Addr == r.Change.Addr {
		return false // it is something else that is refused
	}
	at, before := l.barred[r.Change.Number]
	l.barred[r.Change.Number] = now
	l.refit(now)
	return !before || now.Sub(at) >= barredFor
}
