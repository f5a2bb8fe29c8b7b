package reconciler

import (
	"maps"
	"slices"
	"time"
)

// This file says when what is done next, and with which backends.

// Earlier returns the earlier of two times, of which zero stands for never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// schedule sets when to do what next, after a round that went well.
func (r *Reconciler) schedule(report *Report, which scope) {
	now := time.Now()
	report.At = now
	if report.Restarted {
		r.alertUntil = now.Add(alertFor)
	}
	r.schedulePoll(now)
	if which == all || r.nextResync.IsZero() {
		r.nextResync = now.Add(spread(r.spec.Timing.Resync, 0.1))
	}
	r.refusals++
	if !slices.ContainsFunc(r.names(), func(n string) bool { return r.backends[n].drifted && len(r.backends[n].refused) > 0 }) {
		r.refusals = 0
	} else if soon := now.Add(min(time.Second<<min(r.refusals, 10), r.spec.Timing.Resync)); soon.Before(r.nextResync) {
		r.nextResync = soon
	}
	for _, b := range r.backends { // the end of a pause
		for _, until := range b.conflictsUntil(now) {
			r.nextResync = Earlier(r.nextResync, until)
		}
		for _, at := range b.barred { // one that takes no address may be tried again
			if until := at.Add(barredFor); until.After(now) {
				r.nextResync = Earlier(r.nextResync, until)
			}
		}
	}
	r.scheduleSessions(now, which)
}

// hasten has what is to be done more often from now on not wait for as long as it would have.
func (r *Reconciler) hasten(next Timing) {
	now, before := time.Now(), r.spec.Timing
	if next.Poll < before.Poll && !r.nextPoll.IsZero() {
		r.nextPoll = Earlier(r.nextPoll, now.Add(next.Poll))
	}
	if next.Resync < before.Resync && !r.nextResync.IsZero() {
		r.nextResync = Earlier(r.nextResync, now.Add(spread(next.Resync, 0.1)))
	}
}

// scheduleSessions sets when sessions are read next: soon after something was
// emptied, sooner if something waits for it, then ever less often.
func (r *Reconciler) scheduleSessions(now time.Time, which scope) {
	if !r.awaitsSessions(r.names()) {
		r.nextSessions, r.sessionsEvery = time.Time{}, 0
		return
	}
	first := sessionsLater
	if slices.ContainsFunc(r.names(), func(n string) bool { return r.backends[n].waiting > 0 }) {
		first = sessionsFirst
	}
	switch {
	case r.nextSessions.IsZero() || len(r.changes) > 0:
		r.sessionsEvery = first
	case which != fresh:
		r.sessionsEvery = min(max(first, 2*r.sessionsEvery), sessionsMost)
	}
	if next := now.Add(r.sessionsEvery); which != fresh || r.nextSessions.IsZero() || next.Before(r.nextSessions) {
		r.nextSessions = next
	}
}

// names returns the backends of the instance in a fixed order.
func (r *Reconciler) names() []string { return slices.Sorted(maps.Keys(r.backends)) }

// inScope returns the backends of a scope; all of an instance that was away.
func (r *Reconciler) inScope(which scope) []string {
	return slices.DeleteFunc(r.names(), func(n string) bool {
		switch b := r.backends[n]; {
		case which == all || !r.up:
			return false
		case which == pendingSessions:
			return b.waiting == 0 && len(b.sessionsPending) == 0
		default:
			return b.done >= b.spec.Generation && !b.drifted && b.waiting == 0 && !b.unobserved()
		}
	})
}

// hasUnobserved reports whether there are backends that were not looked at yet.
func (r *Reconciler) hasUnobserved() bool {
	return slices.ContainsFunc(r.names(), func(n string) bool { return r.backends[n].unobserved() })
}

// awaitsSessions reports whether sessions have to be read: of slots that were emptied
// or that something waits for.
func (r *Reconciler) awaitsSessions(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		b := r.backends[n]
		return b.waiting > 0 || len(b.sessionsPending) > 0
	})
}

// proxies returns HAProxy's names of the backends, each once.
func (r *Reconciler) proxies(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, r.backends[n].spec.Proxy)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
