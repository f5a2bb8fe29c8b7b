package agent

import (
	"maps"
	"slices"
	"time"
)

// This file says when a worker does what next, and with which backends.

// pace sets when to do what next, after a round that went well.
func (w *worker) pace(r *report, which scope) {
	now := time.Now()
	r.at = now
	if r.restarted {
		w.alertUntil = now.Add(alertFor)
	}
	w.paceLooks(now)
	if which == all || w.nextResync.IsZero() {
		w.nextResync = now.Add(spread(w.want.timing.resync, 0.1))
	}
	w.refused++
	if !slices.ContainsFunc(w.names(), func(n string) bool { return w.locals[n].drifted && len(w.locals[n].refused) > 0 }) {
		w.refused = 0
	} else if soon := now.Add(min(time.Second<<min(w.refused, 10), w.want.timing.resync)); soon.Before(w.nextResync) {
		w.nextResync = soon
	}
	for _, l := range w.locals { // the end of a pause
		for _, until := range l.fightsUntil(now) {
			w.nextResync = earlier(w.nextResync, until)
		}
		for _, at := range l.barred { // one that takes no address may be tried again
			if until := at.Add(barredFor); until.After(now) {
				w.nextResync = earlier(w.nextResync, until)
			}
		}
	}
	w.paceSessions(now, which)
}

// paceSessions sets when sessions are read next: soon after something was
// emptied, sooner if something waits for it, then ever less often.
func (w *worker) paceSessions(now time.Time, which scope) {
	if !w.awaiting(w.names()) {
		w.nextSessions, w.sessionsEvery = time.Time{}, 0
		return
	}
	first := sessionsLater
	if slices.ContainsFunc(w.names(), func(n string) bool { return w.locals[n].waiting > 0 }) {
		first = sessionsFirst
	}
	switch {
	case w.nextSessions.IsZero() || len(w.made) > 0:
		w.sessionsEvery = first
	case which != fresh:
		w.sessionsEvery = min(max(first, 2*w.sessionsEvery), sessionsMost)
	}
	if next := now.Add(w.sessionsEvery); which != fresh || w.nextSessions.IsZero() || next.Before(w.nextSessions) {
		w.nextSessions = next
	}
}

// names returns the backends of the instance in a fixed order.
func (w *worker) names() []string { return slices.Sorted(maps.Keys(w.locals)) }

// within returns the backends of a scope; all of an instance that was away.
func (w *worker) within(which scope) []string {
	return slices.DeleteFunc(w.names(), func(n string) bool {
		switch l := w.locals[n]; {
		case which == all || !w.up:
			return false
		case which == ebbs:
			return l.waiting == 0 && len(l.ebbing) == 0
		default:
			return l.done >= l.want.gen && !l.drifted && l.waiting == 0 && !l.unseen()
		}
	})
}

// blind reports whether there are backends that were not looked at yet.
func (w *worker) blind() bool {
	return slices.ContainsFunc(w.names(), func(n string) bool { return w.locals[n].unseen() })
}

// awaiting reports whether sessions have to be read: of slots that were emptied
// or that something waits for.
func (w *worker) awaiting(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		l := w.locals[n]
		return l.waiting > 0 || len(l.ebbing) > 0
	})
}

// proxies returns HAProxy's names of the backends, each once.
func (w *worker) proxies(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, w.locals[n].want.proxy)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
