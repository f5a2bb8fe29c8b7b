package agent

import (
	"math"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Kinds of hold.
const (
	holdEmpty     = "empty"
	holdRemoval   = "removal"
	holdTakeover  = "takeover"
	holdUnhealthy = "unhealthy"
)

// holdKinds lists the kinds, for metrics.
var holdKinds = [...]string{holdEmpty, holdRemoval, holdTakeover, holdUnhealthy}

const (
	// smallest is how many endpoints a set must lack to be held as a removal:
	// one or two are a deployment, not an accident.
	smallest = 3
	// confirmations is how many strong readings in a row must agree.
	confirmations = 3
	// retryConfirm is the pause after a confirmation that could not be had.
	retryConfirm = time.Second
)

// A held is a set that is kept back.
type held struct {
	kind      string
	since     time.Time
	paused    time.Duration // in which a feed did not answer
	failing   time.Time     // since when one does not answer now; zero: all do
	confirmed int
	asked     time.Time // when a confirmation was last asked for
	candidate []discovery.Endpoint
}

// count is how many endpoints were present from a moment on.
type count struct {
	At time.Time `json:"at"`
	N  int       `json:"n"`
}

// guarded is what the feeds of one backend are believed to say. Its methods are
// pure but for the receiver: the time is an argument.
type guarded struct {
	rules Guard
	// keeps: what served last goes on when all that is registered is unhealthy.
	keeps     bool
	published []discovery.Endpoint
	history   []count
	hold      *held
	ailing    *ailing
	turning   *turning
	// carried is a hold from before a restart, until the first answer.
	carried *storedHold
}

// reading takes one combination and returns whether what is published changed.
//
//	set            | none held before       | held                        | confirmation, held
//	as before      | nothing                | the hold ends               | the hold ends
//	more           | publish                | publish the additions       | same
//	fewer, some    | publish                | additions; the hold stays   | counted; third: publish
//	fewer, many    | hold; publish additions| additions; the hold stays   | counted; third: publish
//	none           | hold                   | the hold stays              | counted; third: publish
//	weak           | publish the additions  | publish the additions       | not counted
//
// Before that, [guarded.spare] takes loss of health for none where all are lost.
// What is published goes through [guarded.turn].
func (g *guarded) reading(r discovery.Reading, confirm bool, now time.Time) bool {
	if g.turning != nil && shares(r.Endpoints, g.turning.old) {
		g.turning = nil
	}
	if r.Weak {
		return g.publish(merge(g.published, r.Endpoints), now)
	}
	next := g.spare(r.Endpoints, now)
	kind, limit := g.judge(next, now)
	carried := g.carried
	g.carried = nil
	if kind == "" {
		g.hold = nil
		return g.turn(next, now)
	}
	if g.hold == nil || g.hold.kind != kind {
		g.hold = &held{kind: kind, since: now, asked: now}
		if carried != nil && carried.Kind == kind {
			g.hold.since, g.hold.confirmed = now.Add(-carried.Elapsed), carried.Confirmed
		}
	}
	h := g.hold
	h.candidate = next
	if confirm {
		h.confirmed++
	}
	if limit != Never && h.confirmed >= confirmations && h.failing.IsZero() && h.elapsed(now) >= limit {
		return g.release(next, now)
	}
	return g.publish(merge(g.published, next), now)
}

// judge says why next must be held and for how long; "" if it need not be. What
// comes back a piece at a time after a collapse stays held until nothing is
// missing any more, or it is confirmed that it stays away.
func (g *guarded) judge(next []discovery.Endpoint, now time.Time) (kind string, limit time.Duration) {
	n, base := present(next), g.baseline(now)
	floor := int(math.Ceil(float64(base) * (1 - g.rules.MaxRemoval)))
	switch {
	case n == 0 && present(g.published) > 0:
		kind, limit = holdEmpty, g.rules.EmptyHold
	case n < floor && base-n >= smallest,
		g.hold != nil && len(g.lacking(next)) > 0,
		n < g.rules.MinEndpoints && len(g.lacking(next)) > 0:
		kind, limit = holdRemoval, g.rules.RemovalHold
	}
	if limit == Off {
		return "", 0
	}
	return kind, limit
}

// accept publishes what is held, whatever the rules say, and reports whether
// anything was.
func (g *guarded) accept(now time.Time) bool {
	switch {
	case g.ailing != nil:
		g.release(g.ailing.candidate, now)
	case g.hold != nil:
		g.release(g.hold.candidate, now)
	default:
		return false
	}
	return true
}

// release publishes what was held and returns whether that changed anything.
func (g *guarded) release(next []discovery.Endpoint, now time.Time) bool {
	g.hold, g.ailing, g.turning, g.history = nil, nil, nil, nil
	return g.publish(next, now)
}

// answers notes whether those answer whose endpoints are held: time in which they
// do not does not count.
func (g *guarded) answers(all bool, now time.Time) {
	h := g.hold
	switch {
	case h == nil:
	case !all && h.failing.IsZero():
		h.failing = now
	case all && !h.failing.IsZero():
		h.paused += now.Sub(h.failing)
		h.failing = time.Time{}
	}
}

// publish makes next what is in force. The old ones of a turnover do not count as
// being there.
func (g *guarded) publish(next []discovery.Endpoint, now time.Time) bool {
	changed := !equal(g.published, next)
	g.published = next
	if n := present(g.standing()); len(g.history) == 0 || g.history[len(g.history)-1].N != n {
		g.history = append(g.history, count{now, n})
	}
	return changed
}

// baseline returns how many endpoints were present at most within the window.
func (g *guarded) baseline(now time.Time) int {
	start := now.Add(-g.rules.Window)
	for len(g.history) > 1 && !g.history[1].At.After(start) {
		g.history = g.history[1:]
	}
	most := 0
	for _, c := range g.history {
		most = max(most, c.N)
	}
	return most
}

// limit is how long the hold lasts.
func (g *guarded) limit() time.Duration {
	if g.hold.kind == holdEmpty {
		return g.rules.EmptyHold
	}
	return g.rules.RemovalHold
}

// kind is what is held, "" if nothing is.
func (g *guarded) kind() string {
	switch {
	case g.hold != nil:
		return g.hold.kind
	case g.ailing != nil:
		return holdUnhealthy
	}
	return ""
}

// releasesAt is when the hold ends if all goes well; zero for never.
func (g *guarded) releasesAt(now time.Time) time.Time {
	if g.hold == nil || g.limit() == Never {
		return time.Time{}
	}
	return now.Add(g.limit() - g.hold.elapsed(now))
}

// confirmAt is when the next confirmation is due; zero if none is.
func (g *guarded) confirmAt(now time.Time) time.Time {
	if g.hold == nil || g.limit() == Never {
		return time.Time{}
	}
	h := g.hold
	if !h.failing.IsZero() {
		return h.asked.Add(max(retryConfirm, min(g.limit()/confirmations, 10*time.Second)))
	}
	share := g.limit() * time.Duration(min(h.confirmed+1, confirmations)) / confirmations
	due, soonest := now.Add(share-h.elapsed(now)), h.asked.Add(min(retryConfirm, g.limit()/confirmations))
	if due.Before(soonest) {
		return soonest
	}
	return due
}

// elapsed is how long the hold has lasted, without the time in which a feed did
// not answer.
func (h *held) elapsed(now time.Time) time.Duration {
	if !h.failing.IsZero() {
		now = h.failing
	}
	return now.Sub(h.since) - h.paused
}

// wouldRemove lists what is in force only because of the guard.
func (g *guarded) wouldRemove() []netip.AddrPort {
	switch {
	case g.hold != nil:
		return g.lacking(g.hold.candidate)
	case g.ailing != nil:
		return g.lacking(g.ailing.candidate)
	}
	return nil
}

// lacking lists what is published and would be out of service with next.
func (g *guarded) lacking(next []discovery.Endpoint) []netip.AddrPort {
	left := byAddr(next)
	var out []netip.AddrPort
	for _, e := range g.standing() {
		if now, ok := left[e.Addr]; !ok || (e.State == discovery.Ready && !isPresent(now)) {
			out = append(out, e.Addr)
		}
	}
	return out
}
