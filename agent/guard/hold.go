package guard

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// This file is how a hold is timed and confirmed. Whether there is one, and what of it goes, is
// decided in guard.go, by [Guard.holdKind] and [Guard.release].

const (
	// Confirmations is how many of the strongest reads in a row must lack an endpoint.
	Confirmations = 3
	// retryConfirm is the pause after a confirmation that could not be had.
	retryConfirm = time.Second
	// patience bounds the pause between confirmations while a source does not answer.
	patience = 10 * time.Second
)

// A hold keeps endpoints in force that the sources lack.
type hold struct {
	kind      string
	since     time.Time
	asked     time.Time // when a confirmation was last asked for
	candidate []discovery.Endpoint
	missing   map[netip.AddrPort]missing
	// established are the endpoints that were in force when the hold began (true), and those
	// that came since and were in the largest set or have shown that they work, as long as they
	// are in force; began is how many the hold began with.
	established map[netip.AddrPort]bool
	began       int
}

// newHold returns the hold that begins with these in force.
func newHold(published []discovery.Endpoint, now time.Time) *hold {
	h := &hold{since: now, asked: now, missing: map[netip.AddrPort]missing{}, established: map[netip.AddrPort]bool{}, began: len(published)}
	for _, e := range published {
		h.established[e.Addr] = true
	}
	return h
}

// establish notes who is back or has shown that it works, and forgets who is not in force any
// more.
func (h *hold) establish(largest []netip.AddrPort, works map[netip.AddrPort]bool, published []discovery.Endpoint) {
	there := discovery.ByAddr(published)
	maps.DeleteFunc(h.established, func(a netip.AddrPort, _ bool) bool { _, ok := there[a]; return !ok })
	for _, a := range slices.AppendSeq(slices.Clone(largest), maps.Keys(works)) {
		_, in := there[a]
		if _, known := h.established[a]; in && !known {
			h.established[a] = false
		}
	}
}

// over are those of gone that came since the hold began and are missing longest, as far as they
// are more than it began with: a hold that never ends would grow with every deployment.
func (h *hold) over(gone []netip.AddrPort, now time.Time) []netip.AddrPort {
	late := slices.DeleteFunc(slices.Clone(gone), func(a netip.AddrPort) bool { return h.established[a] })
	if len(late) <= h.began {
		return nil
	}
	elapsed := func(a netip.AddrPort) time.Duration {
		if m, ok := h.missing[a]; ok {
			return m.elapsed(now)
		}
		return -1 // since now
	}
	slices.SortStableFunc(late, func(x, y netip.AddrPort) int { return cmp.Compare(elapsed(y), elapsed(x)) })
	return late[:len(late)-h.began]
}

// A missing endpoint is held by itself: its time counts since it was first missing.
type missing struct {
	counted   time.Duration // until at
	at        time.Time
	silent    bool // a source that listed it does not answer since at: time does not count
	confirmed int
	// confirmedAt is how much had elapsed when the strong read that counted last was asked for.
	confirmedAt time.Duration
}

func (m missing) elapsed(now time.Time) time.Duration {
	if m.silent {
		return m.counted
	}
	return m.counted + now.Sub(m.at)
}

// follow has the hold be about gone: what is back is not missing any more, what is
// gone too begins to be.
func (h *hold) follow(gone []netip.AddrPort, carried map[netip.AddrPort]missing, o Offer, now time.Time) {
	next := make(map[netip.AddrPort]missing, len(gone))
	for _, a := range gone {
		m, ok := h.missing[a]
		if !ok {
			m = carried[a]
			m.at = now
		}
		m.counted, m.at, m.silent = m.elapsed(now), now, o.silent(a)
		next[a] = m
		if since := now.Add(-m.counted); since.Before(h.since) {
			h.since = since
		}
	}
	h.missing = next
}

// confirm counts a strong read for each endpoint for which one is due: they are spread
// over its hold. One that has the endpoint ends the row.
func (h *hold) confirm(limit time.Duration, o Offer, now time.Time) {
	for a, m := range h.missing {
		asked := m.elapsed(now) - now.Sub(h.asked)
		switch says := o.Confirms(a); {
		case says == Has:
			m.confirmed, m.confirmedAt = 0, asked
		case says == Lacks && m.confirmed < Confirmations && !m.silent && asked >= m.due(limit):
			m.confirmed, m.confirmedAt = m.confirmed+1, asked
		}
		h.missing[a] = m
	}
}

// due is how much of a hold must be over for the next confirmation to count: as much as if they
// were spread evenly over all of it, and no less after the one before, also where the hold was a
// longer one then.
func (m missing) due(limit time.Duration) time.Duration {
	return max(limit*time.Duration(min(m.confirmed+1, Confirmations))/Confirmations, m.confirmedAt+limit/Confirmations)
}

// due lists those whose hold is over.
func (h *hold) due(limit time.Duration, now time.Time) []netip.AddrPort {
	if limit == Never {
		return nil
	}
	var out []netip.AddrPort
	for a, m := range h.missing {
		if m.confirmed >= Confirmations && !m.silent && m.elapsed(now) >= limit {
			out = append(out, a)
		}
	}
	return out
}

// A Hold is what is kept back, for people.
type Hold struct {
	ID    string // for [Guard.Accept]; another one when more is held
	Kind  string
	Since time.Time
	// ReleasesAt is when the first of WouldRemove go if all goes well; zero for never.
	ReleasesAt    time.Time
	Confirmations int // of the one that is nearest to its end
	WouldRemove   []netip.AddrPort
}

// Hold returns what is held; ok is false if nothing is.
func (g *Guard) Hold(now time.Time) (h Hold, ok bool) {
	switch {
	case g.hold != nil:
		h = Hold{Kind: g.hold.kind, Since: g.hold.since, WouldRemove: g.WouldRemove()}
		limit := g.rules.limit(g.hold.kind)
		for _, m := range g.hold.missing {
			h.Confirmations = max(h.Confirmations, m.confirmed)
			if at := now.Add(limit - m.elapsed(now)); limit != Never && (h.ReleasesAt.IsZero() || at.Before(h.ReleasesAt)) {
				h.ReleasesAt = at
			}
		}
	case g.unhealthy != nil:
		h = Hold{Kind: Unhealthy, Since: g.unhealthy.since, WouldRemove: g.WouldRemove()}
	default:
		return Hold{}, false
	}
	h.ID = ID(holdPrefix, h.WouldRemove)
	return h, true
}

// Kind is the kind of the hold, "" if nothing is held.
func (g *Guard) Kind() string {
	switch {
	case g.hold != nil:
		return g.hold.kind
	case g.unhealthy != nil:
		return Unhealthy
	}
	return ""
}

// WouldRemove lists what is in force only because of the guard, sorted.
func (g *Guard) WouldRemove() []netip.AddrPort {
	var out []netip.AddrPort
	switch {
	case g.hold != nil:
		for a := range g.hold.missing {
			out = append(out, a)
		}
	case g.unhealthy != nil:
		out = g.lacking(g.unhealthy.candidate)
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

// Holds reports whether a is in force only because of the guard.
func (g *Guard) Holds(a netip.AddrPort) bool {
	if g.hold == nil {
		return false
	}
	_, ok := g.hold.missing[a]
	return ok
}

// Incoming lists the ready endpoints that came in place of what is held or turned over:
// while there are any, it is worth looking whether they work.
func (g *Guard) Incoming() map[netip.AddrPort]bool {
	if g.turnover == nil && g.hold == nil {
		return nil
	}
	var known map[netip.AddrPort]bool
	if g.turnover == nil {
		known = g.hold.established
	}
	out := map[netip.AddrPort]bool{}
	for _, e := range g.currentSet() {
		if _, old := known[e.Addr]; e.State == discovery.Ready && !old && !g.Holds(e.Addr) {
			out[e.Addr] = true
		}
	}
	return out
}

// Newcomers lists the ready endpoints that the largest set within the window did not have:
// those that work make up for what of it goes missing, whether anything is held yet or not.
func (g *Guard) Newcomers(now time.Time) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for _, e := range g.currentSet() {
		if e.State == discovery.Ready {
			out[e.Addr] = true
		}
	}
	for _, a := range g.largest(now) {
		delete(out, a)
	}
	return out
}

// ConfirmAt is when the next confirmation is due; zero if none is.
func (g *Guard) ConfirmAt(now time.Time) time.Time {
	if g.hold == nil || g.rules.limit(g.hold.kind) == Never {
		return time.Time{}
	}
	limit := g.rules.limit(g.hold.kind)
	pause := min(retryConfirm, limit/Confirmations)
	var dues []time.Time
	for _, m := range g.hold.missing {
		due := now.Add(m.due(limit) - m.elapsed(now))
		if m.silent {
			due = g.hold.asked.Add(max(retryConfirm, min(limit/Confirmations, patience)))
		}
		dues = append(dues, due)
	}
	first := slices.MinFunc(dues, time.Time.Compare)
	at := first
	for _, due := range dues { // what is due at nearly one time is asked for once
		if due.After(at) && due.Before(first.Add(pause)) {
			at = due
		}
	}
	if soonest := g.hold.asked.Add(pause); at.Before(soonest) {
		return soonest
	}
	return at
}

// Asked notes that a confirmation is asked for.
func (g *Guard) Asked(now time.Time) {
	if g.hold != nil {
		g.hold.asked = now
	}
}

// forgetCarried drops what was carried over a restart of those that are listed again,
// or that are held anew.
func (g *Guard) forgetCarried(o Offer) {
	if len(g.carried) == 0 {
		return
	}
	there := discovery.ByAddr(o.Set)
	for a := range g.carried {
		e, ok := there[a]
		if ok && Present(e) && !o.Kept[a] || g.Holds(a) {
			delete(g.carried, a)
		}
	}
}
