package agent

import (
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file is about slots that somebody else keeps changing.

const (
	// fightCount corrections of one slot within fightWindow are a fight with
	// somebody else who writes; writing to the slot pauses for fightPause, doubling up
	// to fightPauseMost, and from the start again after fightPauseMost of peace.
	fightCount     = 3
	fightWindow    = time.Minute
	fightPause     = time.Minute
	fightPauseMost = time.Hour
)

// A fight is what is known of the corrections of one slot.
type fight struct {
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

// correct notes that a slot was put right although nothing new was wanted, and
// reports whether that is a fight: it happens too often.
func (l *local) correct(number int, now time.Time) bool {
	f := l.fights[number]
	if f == nil {
		f = &fight{}
		l.fights[number] = f
	}
	recent := f.corrected[:0]
	for _, at := range f.corrected {
		if now.Sub(at) <= fightWindow {
			recent = append(recent, at)
		}
	}
	if f.corrected = append(recent, now); len(f.corrected) < fightCount {
		return false
	}
	if now.Sub(f.until) > fightPauseMost {
		f.pause = 0
	}
	f.pause = min(max(fightPause, 2*f.pause), fightPauseMost)
	f.begins, f.corrected = true, nil
	return true
}

// pauseFights lets the pauses begin that are due.
func (l *local) pauseFights(now time.Time) {
	target := finder(l.fitted, targetNumber)
	for number, f := range l.fights {
		if f.begins {
			f.begins, f.began, f.until = false, now, now.Add(f.pause)
			if t := target(number); t != nil {
				f.target = *t
			}
		}
	}
}

// endFights ends those of slots of which something else is wanted now, and those that an
// operator ended.
func (l *local) endFights() {
	if len(l.fights) == 0 {
		return
	}
	target := finder(l.fitted, targetNumber)
	for number, f := range l.fights {
		t := target(number)
		if t == nil || !f.until.IsZero() && (*t != f.target || !f.began.After(l.want.resumed)) {
			delete(l.fights, number)
		}
	}
}

// paused reports whether a fight keeps the agent from writing to a slot.
func (l *local) paused(number int, now time.Time) bool {
	f := l.fights[number]
	return f != nil && now.Before(f.until)
}

// fightsUntil are until when which slots are not written to; nil if there are none.
func (l *local) fightsUntil(now time.Time) map[int]time.Time {
	var out map[int]time.Time
	for number, f := range l.fights {
		if now.Before(f.until) {
			if out == nil {
				out = map[int]time.Time{}
			}
			out[number] = f.until
		}
	}
	return out
}

// spare drops what must not be written now because of a fight.
func (l *local) spare(p slots.Plan, now time.Time) slots.Plan {
	if len(l.fights) == 0 {
		return p
	}
	keep := func(from []slots.Change) (out []slots.Change) {
		for _, c := range from {
			if !l.paused(c.Number, now) {
				out = append(out, c)
			}
		}
		return out
	}
	p.Changes, p.Waiting = keep(p.Changes), keep(p.Waiting)
	return p
}
