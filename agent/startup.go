package agent

import (
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/reconciler"
)

// startGrace is how long an instance that cannot answer is waited for at the start, once
// another one has answered: they may have been started together.
const startGrace = time.Second

// openBarrier lets decisions be made once every instance was met, or the time for that is over.
func (a *Agent) openBarrier(now time.Time) {
	if a.barrierOpen {
		return
	}
	if a.firstMet.IsZero() && slices.ContainsFunc(a.instances, func(in *instance) bool { return in.met }) {
		a.firstMet = now
	}
	if now.Before(a.barrierUntil()) {
		return
	}
	a.barrierOpen = true
	for _, b := range a.backends {
		b.due = true
	}
}

// barrierUntil is until when decisions wait for instances that were not met yet; the zero time
// if all were. A dead one must not hold up the others for as long as a slow one may.
func (a *Agent) barrierUntil() time.Time {
	missing, slow := false, false
	for _, in := range a.instances {
		missing = missing || !in.met
		slow = slow || !in.met && in.mayAnswer()
	}
	switch most := a.begun.Add(a.timing.Timeout); {
	case !missing:
		return time.Time{}
	case slow || a.firstMet.IsZero():
		return most
	default:
		return reconciler.Earlier(most, a.firstMet.Add(startGrace))
	}
}
