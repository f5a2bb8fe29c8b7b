package reconciler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file changes an instance and takes what came of it.

// apply makes the changes and takes what came of them. It reports whether any
// was refused for good.
func (r *Reconciler) apply(ctx context.Context, todo batch, converged map[string]bool) (refused bool, err error) {
	now := time.Now()
	touched := map[string]bool{}
	for i, c := range todo.changes {
		name := todo.owners[i]
		b := r.backends[name]
		touched[name] = true
		b.onSend(c)
		b.written = now
		if converged[name] && c.Kind != slots.Remove && b.noteCorrection(c.Number, now) {
			r.event(Event{Text: "somebody else keeps changing this slot: nothing is written to it for a while", Backend: name, Slot: c.Slot,
				Detail: "for " + b.conflicts[c.Number].pause.String() + ", or until slotsync resume " + name, Warn: true})
		}
	}
	r.alertUntil = now.Add(alertFor)
	out, err := r.execute(ctx, todo.changes)
	if err != nil {
		return false, err
	}
	r.noteReady(todo, out.Refusals)
	r.observe(slices.Sorted(maps.Keys(touched)), out.View)
	r.count(todo, out.Refusals, converged)
	return r.onRefusals(todo, out.Refusals), nil
}

// execute makes the changes, and notes if their outcome is not known: also where the time for
// it, or for this reconciler, is over in between. That of a process that is gone does not matter.
func (r *Reconciler) execute(ctx context.Context, changes []slots.Change) (slots.Outcome, error) {
	before := r.uncertain
	r.uncertain = true
	out, err := r.conn.Apply(ctx, r.process, changes)
	cut := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if fault, sent := slots.FaultOf(err); err == nil || fault == slots.Restarted || !sent && !cut {
		r.uncertain = before
	}
	r.commands, r.exchanges = append(r.commands, out.Commands...), append(r.exchanges, out.Exchanges...)
	return out, err
}

// noteReady notes which slots with an agent-check were made ready: if one reads back
// otherwise, that is its agent's word. After a batch of unknown outcome nothing is noted:
// a fill that was never made must not be taken for that.
func (r *Reconciler) noteReady(todo batch, refused []slots.Refusal) {
	for i, c := range todo.changes {
		if !c.From.Agent || !c.SetClass || c.Class != slots.Ready || refusalOf(c, refused) != nil {
			continue
		}
		addr := c.From.Addr
		if c.Addr.IsValid() {
			addr = c.Addr
		}
		r.backends[todo.owners[i]].lastReady[c.Number] = addr
	}
}

// refusalOf returns why HAProxy refused a change of the slot of c; nil if it did not.
func refusalOf(c slots.Change, refused []slots.Refusal) *slots.Refusal {
	i := slices.IndexFunc(refused, func(refusal slots.Refusal) bool {
		return refusal.Change.Backend == c.Backend && refusal.Change.Slot == c.Slot
	})
	if i < 0 {
		return nil
	}
	return &refused[i]
}

// A slotName names a slot by HAProxy's names.
type slotName struct{ proxy, slot string }

// A batch is changes of several backends, each with the backend that it belongs to.
type batch struct {
	changes []slots.Change
	owners  []string
}

func (todo *batch) add(owner string, changes ...slots.Change) {
	for _, c := range changes {
		todo.changes, todo.owners = append(todo.changes, c), append(todo.owners, owner)
	}
}

// refusals gives f those refusals that are about changes of the batch, with their backend.
func (todo batch) refusals(refused []slots.Refusal, f func(owner string, refusal slots.Refusal)) {
	if len(refused) == 0 {
		return
	}
	owners := make(map[slotName]string, len(todo.changes))
	for i, c := range todo.changes {
		owners[slotName{c.Backend, c.Slot}] = todo.owners[i]
	}
	for _, refusal := range refused {
		if owner, ok := owners[slotName{refusal.Change.Backend, refusal.Change.Slot}]; ok {
			f(owner, refusal)
		}
	}
}

// count counts the changes that were made.
func (r *Reconciler) count(todo batch, refused []slots.Refusal, converged map[string]bool) {
	for i, c := range todo.changes {
		if refusalOf(c, refused) != nil {
			continue
		}
		name := todo.owners[i]
		r.changes.add(name, c.Kind)
		r.moved.add(name, c, converged[name])
		if converged[name] {
			r.drift.add(name, c.Kind)
		}
	}
}

// onRefusals notes what HAProxy refused, for the status and, once for each cause and backend,
// for an event. It reports whether that is more than weights and slots that others can stand
// in for.
func (r *Reconciler) onRefusals(todo batch, refusals []slots.Refusal) bool {
	serious := false
	todo.refusals(refusals, func(name string, refusal slots.Refusal) {
		b := r.backends[name]
		switch refusal.Cause {
		case slots.Busy:
			b.onBusy(refusal.Change.Number)
			serious = true // for now
			return
		case slots.NoDynamic:
			if b.addUnsupported == "" {
				r.event(Event{Text: "no server can be added to the backend", Backend: name, Detail: refusal.Reply, Warn: true})
			}
			b.addUnsupported = refusal.Reply
			b.fitTargets(time.Now())
			return
		case slots.NoWeights:
			if !b.weightsUnsupported {
				r.event(Event{Text: "weights unsupported: the `balance` algorithm of the backend takes none, so that all servers get the same share", Backend: name, Detail: refusal.Reply, Warn: true})
			}
			b.weightsUnsupported = true
			return
		}
		if _, taken := b.externals[refusal.Change.Number]; taken && refusal.Change.From.Agent && refusal.Change.Class == slots.Ready {
			return // its agent took it out at once
		}
		serious = !b.bar(refusal, time.Now()) || serious
		b.refused[refusal.Change.Number] = refusal
		if !b.reportedCauses[string(refusal.Cause)] {
			r.event(Event{Text: "HAProxy refuses to change slots", Backend: name, Slot: refusal.Change.Slot,
				Detail: string(refusal.Cause) + ": " + refusal.Reply + "; " + explains(name), Warn: true})
		}
		b.reportedCauses[string(refusal.Cause)] = true
	})
	return serious
}

// explains names the command that says more of a backend.
func explains(backend string) string { return "slotsync explain " + backend + " says more" }

// bar notes that a slot took no address, so that its endpoint goes to another one. It
// reports whether that is news, and may help.
func (b *backendState) bar(refusal slots.Refusal, now time.Time) bool {
	if !refusal.Change.Addr.IsValid() || refusal.Change.Kind == slots.Add {
		return false
	}
	switch refusal.Cause {
	case slots.NoAddress, slots.Unproved, slots.OtherCause:
	default:
		return false
	}
	if s := slots.FindServer(b.own)(refusal.Change.Number); s == nil || s.Addr == refusal.Change.Addr {
		return false // it is something else that is refused
	}
	at, before := b.barred[refusal.Change.Number]
	b.barred[refusal.Change.Number] = now
	b.fitTargets(now)
	return !before || now.Sub(at) >= barredFor
}
