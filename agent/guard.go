package agent

import (
	"math"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Holds that are no duration.
const (
	// Never is the hold that no confirmation ends.
	Never = time.Duration(-1)
	// Off lets everything pass at once, unconfirmed.
	Off = time.Duration(-2)
)

// Guard says how far a source may shrink a backend at once. The zero value of
// each field stands for its default.
type Guard struct {
	// EmptyHold is how long an empty set is held, RemovalHold how long one is
	// that lacks too many. Both may be [Off] or [Never].
	EmptyHold, RemovalHold time.Duration
	// MaxRemoval is the share of the baseline, 0..1, that may go at once.
	MaxRemoval float64
	// Window is how far back the baseline looks.
	Window time.Duration
	// MinEndpoints is how many endpoints must be left: a set that falls below it is
	// held, however few are missing. 0: no such bound.
	MinEndpoints int
	// TurnoverWait is how long the endpoints of a set that is replaced whole wait
	// for one of the new ones to be up. May be [Off].
	TurnoverWait time.Duration
}

// The defaults of [Guard].
const (
	DefaultEmptyHold   = 5 * time.Minute
	DefaultRemovalHold = 30 * time.Second
	DefaultMaxRemoval  = 0.5
	DefaultWindow      = 5 * time.Minute
	DefaultTurnover    = 15 * time.Second
)

func (g Guard) withDefaults() Guard {
	if g.EmptyHold == 0 {
		g.EmptyHold = DefaultEmptyHold
	}
	if g.RemovalHold == 0 {
		g.RemovalHold = DefaultRemovalHold
	}
	if g.MaxRemoval == 0 {
		g.MaxRemoval = DefaultMaxRemoval
	}
	if g.Window == 0 {
		g.Window = DefaultWindow
	}
	if g.TurnoverWait == 0 {
		g.TurnoverWait = DefaultTurnover
	}
	return g
}

// Kinds of hold.
const (
	holdEmpty    = "empty"
	holdRemoval  = "removal"
	holdTakeover = "takeover"
)

// holdKinds lists the kinds, for metrics.
var holdKinds = [...]string{holdEmpty, holdRemoval, holdTakeover}

const (
	// smallest is how many endpoints a set must lack to be held as a removal:
	// one or two are a deployment, not an accident.
	smallest = 3
	// confirmations is how many strong readings in a row must agree.
	confirmations = 3
	// retryConfirm is the pause after a confirmation that could not be had.
	retryConfirm = time.Second
)

// A held is an update that is kept back.
type held struct {
	kind      string
	since     time.Time
	paused    time.Duration // in which the source did not answer
	failing   time.Time     // since when it does not answer now; zero: it does
	confirmed int
	asked     time.Time // when a confirmation was last asked for
	candidate []discovery.Endpoint
}

// count is how many endpoints were present from a moment on.
type count struct {
	At time.Time `json:"at"`
	N  int       `json:"n"`
}

// guarded is what one source is believed to say. Its methods are pure but for
// the receiver: the time is an argument.
type guarded struct {
	rules     Guard
	published []discovery.Endpoint
	history   []count
	hold      *held
	// carried is a hold from before a restart, until the first answer.
	carried *storedHold
}

// reading takes one answer and returns whether what is published changed.
//
//	set            | none held before       | held                        | confirmation, held
//	as before      | nothing                | the hold ends               | the hold ends
//	more           | publish                | publish the additions       | same
//	fewer, some    | publish                | additions; the hold stays   | counted; third: publish
//	fewer, many    | hold; publish additions| additions; the hold stays   | counted; third: publish
//	none           | hold                   | the hold stays              | counted; third: publish
//	weak           | publish the additions  | publish the additions       | not counted
func (g *guarded) reading(r discovery.Reading, confirm bool, now time.Time) bool {
	g.answering(now)
	if r.Weak {
		return g.publish(merge(g.published, r.Endpoints), now)
	}
	kind, limit := g.judge(r.Endpoints, now)
	carried := g.carried
	g.carried = nil
	if kind == "" {
		g.hold = nil
		return g.publish(r.Endpoints, now)
	}
	if g.hold == nil || g.hold.kind != kind {
		g.hold = &held{kind: kind, since: now, asked: now}
		if carried != nil && carried.Kind == kind {
			g.hold.since = now.Add(-max(carried.Elapsed, 0))
		}
	}
	h := g.hold
	h.candidate = r.Endpoints
	if confirm {
		h.confirmed++
	}
	if limit != Never && h.confirmed >= confirmations && h.elapsed(now) >= limit {
		return g.accept(now)
	}
	return g.publish(merge(g.published, r.Endpoints), now)
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
	case n < floor && base-n >= smallest, g.hold != nil && len(g.lacking(next)) > 0:
		kind, limit = holdRemoval, g.rules.RemovalHold
	}
	if limit == Off {
		return "", 0
	}
	return kind, limit
}

// accept publishes what is held, whatever the rules say, and returns whether
// that changed anything.
func (g *guarded) accept(now time.Time) bool {
	if g.hold == nil {
		return false
	}
	next := g.hold.candidate
	g.hold, g.history = nil, nil
	return g.publish(next, now)
}

// failed notes that the source does not answer: that time does not count.
func (g *guarded) failed(now time.Time) {
	if g.hold != nil && g.hold.failing.IsZero() {
		g.hold.failing = now
	}
}

func (g *guarded) answering(now time.Time) {
	if h := g.hold; h != nil && !h.failing.IsZero() {
		h.paused += now.Sub(h.failing)
		h.failing = time.Time{}
	}
}

func (g *guarded) publish(next []discovery.Endpoint, now time.Time) bool {
	changed := !equal(g.published, next)
	g.published = next
	if n := present(next); len(g.history) == 0 || g.history[len(g.history)-1].N != n {
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

// releasesAt is when the hold ends if all goes well; zero for never.
func (g *guarded) releasesAt(now time.Time) time.Time {
	if g.limit() == Never {
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

// elapsed is how long the hold has lasted, without the time in which the
// source did not answer.
func (h *held) elapsed(now time.Time) time.Duration {
	if !h.failing.IsZero() {
		now = h.failing
	}
	return now.Sub(h.since) - h.paused
}

// wouldRemove lists what the hold keeps in force.
func (g *guarded) wouldRemove() []string { return g.lacking(g.hold.candidate) }

// lacking lists what is published and would be out of service with next.
func (g *guarded) lacking(next []discovery.Endpoint) []string {
	left := byAddr(next)
	out := []string{}
	for _, e := range g.published {
		if now, ok := left[e.Addr]; !ok || (e.State == discovery.Ready && !isPresent(now)) {
			out = append(out, e.Addr.String())
		}
	}
	return out
}

// merge returns what may be taken of next without removing anything of old:
// additions, weights, improvements and drains that an operator asked for. That
// an endpoint became unhealthy waits like a removal.
func merge(old, next []discovery.Endpoint) []discovery.Endpoint {
	out := append([]discovery.Endpoint{}, next...)
	at := map[netip.AddrPort]int{}
	for i, e := range out {
		at[e.Addr] = i
	}
	for _, e := range old {
		i, ok := at[e.Addr]
		switch {
		case !ok:
			out = append(out, e)
		case e.State == discovery.Ready && !isPresent(out[i]):
			out[i].State, out[i].Reason = e.State, e.Reason
		}
	}
	return discovery.Normalize(out)
}

// isPresent reports whether e counts as being there: it takes traffic, or an
// operator asked that it does not.
func isPresent(e discovery.Endpoint) bool {
	return e.State == discovery.Ready || (e.State == discovery.Drain && e.Reason != "warning")
}

func present(eps []discovery.Endpoint) int {
	n := 0
	for _, e := range eps {
		if isPresent(e) {
			n++
		}
	}
	return n
}

func byAddr(eps []discovery.Endpoint) map[netip.AddrPort]discovery.Endpoint {
	m := make(map[netip.AddrPort]discovery.Endpoint, len(eps))
	for _, e := range eps {
		m[e.Addr] = e
	}
	return m
}

func equal(a, b []discovery.Endpoint) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
