package guard

import (
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// This file keeps what serves besides what the sources say now, where no removal is held: while
// all that is registered is unhealthy, and until the set that replaces a small one works.

// An unhealthy set has no endpoint that is ready, but for their health.
type unhealthy struct {
	since     time.Time
	candidate []discovery.Endpoint // what the sources say
}

// spareUnhealthy returns next, with what serves now still ready where all that is
// registered is unhealthy: then it is more likely that the health checks are wrong. What is
// registered no more is not spared.
func (g *Guard) spareUnhealthy(next []discovery.Endpoint, keep bool, now time.Time) []discovery.Endpoint {
	if !keep || discovery.CountReady(next) > 0 {
		g.unhealthy = nil
		return next
	}
	serving := discovery.ByAddr(g.published)
	spared := slices.Clone(next)
	for i, e := range spared {
		if was := serving[e.Addr]; !Present(e) && was.State == discovery.Ready && was.Addr == e.Addr {
			spared[i].State, spared[i].Reason = was.State, was.Reason
		}
	}
	if discovery.CountReady(spared) == 0 {
		g.unhealthy = nil
		return next
	}
	if g.unhealthy == nil {
		g.unhealthy = &unhealthy{since: now}
	}
	g.unhealthy.candidate = next
	g.note()
	return spared
}

// A turnover is a small set that was replaced whole: the old one stays besides it until
// the new one serves.
type turnover struct {
	since time.Time
	old   []discovery.Endpoint
}

// A Turnover is a set that stays, ready, besides the one that replaces it.
type Turnover struct {
	Since, EndsAt time.Time
	Leaving       []discovery.Endpoint
}

// Turnover returns what is being replaced; ok is false if nothing is.
func (g *Guard) Turnover() (t Turnover, ok bool) {
	if g.turnover == nil {
		return Turnover{}, false
	}
	return Turnover{g.turnover.since, g.turnsAt(), g.turnover.old}, true
}

// replace publishes next, and besides it what is ready now if next shares nothing
// with it: until the new ones serve (see [Guard.EndTurnover]), the time for that is
// over, or one of the old ones is listed again.
func (g *Guard) replace(next []discovery.Endpoint, now time.Time) bool {
	switch t := g.turnover; {
	case t != nil && (!now.Before(g.turnsAt()) || discovery.CountReady(next) == 0):
		g.turnover = nil
	case t == nil && g.rules.TurnoverWait != Off && discovery.CountReady(next) > 0 && discovery.CountReady(g.published) > 0 && !shares(next, g.published):
		old := slices.DeleteFunc(slices.Clone(g.published), func(e discovery.Endpoint) bool { return e.State != discovery.Ready })
		g.turnover = &turnover{since: now, old: old}
	}
	if g.turnover == nil {
		return g.publish(next)
	}
	return g.publish(discovery.Normalize(slices.Concat(next, g.turnover.old)))
}

// turnsAt is when the old ones go whatever the new ones do; zero for none.
func (g *Guard) turnsAt() time.Time {
	if g.turnover == nil {
		return time.Time{}
	}
	return g.turnover.since.Add(g.rules.TurnoverWait)
}

// EndTurnover drops the old ones of a turnover if a new one serves, or the time for it
// is over, and reports whether it did.
func (g *Guard) EndTurnover(serves bool, now time.Time) bool {
	if g.turnover == nil || !serves && now.Before(g.turnsAt()) {
		return false
	}
	g.dropOld(len(g.turnover.old))
	return true
}

// GiveWay lets a quarter of what is turned over, or of what is held, go at once, and
// reports whether anything went: there is no slot for what replaces it. A hold that never ends
// gives nothing away.
func (g *Guard) GiveWay(now time.Time) bool {
	switch {
	case g.turnover != nil:
		g.dropOld(max(1, len(g.turnover.old)/4))
		return true
	case g.hold != nil && g.rules.limit(g.hold.kind) != Never && len(g.Incoming()) > 0:
		gone := g.WouldRemove()
		g.release(gone[len(gone)-max(1, len(gone)/4):], now)
		return true
	}
	return false
}

// dropOld drops the last n of the old ones of a turnover, and ends it with the last.
func (g *Guard) dropOld(n int) {
	old := g.turnover.old
	keep := max(0, len(old)-n)
	next := without(g.published, old[keep:])
	if g.turnover.old = old[:keep]; keep == 0 {
		g.turnover = nil
	}
	g.publish(next)
}

// currentSet is what is published without the old ones of a turnover.
func (g *Guard) currentSet() []discovery.Endpoint {
	if g.turnover == nil {
		return g.published
	}
	return without(g.published, g.turnover.old)
}

// without returns eps but for those of gone.
func without(eps, gone []discovery.Endpoint) []discovery.Endpoint {
	out := make([]discovery.Endpoint, 0, len(eps))
	left := discovery.ByAddr(gone)
	for _, e := range eps {
		if _, ok := left[e.Addr]; !ok {
			out = append(out, e)
		}
	}
	return out
}

// shares reports whether a and b have an address in common.
func shares(a, b []discovery.Endpoint) bool {
	in := discovery.ByAddr(a)
	return slices.ContainsFunc(b, func(e discovery.Endpoint) bool { _, ok := in[e.Addr]; return ok })
}
