package reconciler

import (
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file is about slots that somebody else keeps changing.

const (
	// conflictCount corrections of one slot within conflictWindow are a conflict with
	// somebody else who writes; writing to the slot pauses for conflictPause, doubling up
	// to conflictPauseMost, and from the start again after conflictPauseMost of peace.
	conflictCount     = 3
	conflictWindow    = time.Minute
	conflictPause     = time.Minute
	conflictPauseMost = time.Hour
)

// A conflict is what is known of the corrections of one slot.
type conflict struct {
	// corrected is when the slot was put right although nothing new was wanted.
	corrected []time.Time
	// begins: the pause begins with the end of this round.
	begins bool
	pause  time.Duration
	// began is when writing paused, until for how long, and target is what was wanted
	// then: something else that is wanted is written.
	began, until time.Time
	target       slots.Target
}

// noteCorrection notes that a slot was put right although nothing new was wanted, and
// reports whether that is a conflict: it happens too often.
func (b *backendState) noteCorrection(number int, now time.Time) bool {
	f := b.conflicts[number]
	if f == nil {
		f = &conflict{}
		b.conflicts[number] = f
	}
	recent := slices.DeleteFunc(f.corrected, func(at time.Time) bool { return now.Sub(at) > conflictWindow })
	if f.corrected = append(recent, now); len(f.corrected) < conflictCount {
		return false
	}
	if now.Sub(f.until) > conflictPauseMost {
		f.pause = 0
	}
	f.pause = min(max(conflictPause, 2*f.pause), conflictPauseMost)
	f.begins, f.corrected = true, nil
	return true
}

// beginConflicts lets the pauses begin that are due.
func (b *backendState) beginConflicts(now time.Time) {
	target := slots.FindTarget(b.fitted)
	for number, f := range b.conflicts {
		if f.begins {
			f.begins, f.began, f.until = false, now, now.Add(f.pause)
			if t := target(number); t != nil {
				f.target = *t
			}
		}
	}
}

// endConflicts ends those of slots of which something else is wanted now, and those that an
// operator ended.
func (b *backendState) endConflicts() {
	if len(b.conflicts) == 0 {
		return
	}
	target := slots.FindTarget(b.fitted)
	for number, f := range b.conflicts {
		t := target(number)
		if t == nil || !f.until.IsZero() && (*t != f.target || !f.began.After(b.spec.Resumed)) {
			delete(b.conflicts, number)
		}
	}
}

// inConflict reports whether a conflict keeps the agent from writing to a slot.
func (b *backendState) inConflict(number int, now time.Time) bool {
	f := b.conflicts[number]
	return f != nil && now.Before(f.until)
}

// conflictsUntil are until when which slots are not written to; nil if there are none.
func (b *backendState) conflictsUntil(now time.Time) map[int]time.Time {
	var out map[int]time.Time
	for number, f := range b.conflicts {
		if now.Before(f.until) {
			if out == nil {
				out = map[int]time.Time{}
			}
			out[number] = f.until
		}
	}
	return out
}

// withoutConflicts drops what must not be written now because of a conflict.
func (b *backendState) withoutConflicts(p slots.Plan, now time.Time) slots.Plan {
	if len(b.conflicts) == 0 {
		return p
	}
	keep := func(from []slots.Change) []slots.Change {
		return slices.DeleteFunc(slices.Clone(from), func(c slots.Change) bool { return b.inConflict(c.Number, now) })
	}
	p.Changes, p.Waiting = keep(p.Changes), keep(p.Waiting)
	return p
}
