// Package guard decides what of the sources' word is believed: whether a loss is put
// into force at once, or held until it is confirmed or made up for.
//
// It is pure: the time is a parameter, and it starts nothing. What the sources say
// together is offered to it ([Guard.Offer]); what is in force is [Guard.Published].
package guard

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Kinds of hold, as they are shown. Unhealthy is none of [Guard]'s holds: nothing is confirmed, and it
// ends as soon as anything is healthy.
const (
	Empty     = "empty"     // the sources list nothing that takes traffic
	Removal   = "removal"   // they list too few
	Unhealthy = "unhealthy" // all that is registered is unhealthy: what served last goes on
)

// Smallest is how many endpoints a set must lose to be held as a removal: one or two
// are a deployment, not an accident.
const Smallest = 3

// A Guard is what the sources of one backend are believed to say. It is made by [New].
type Guard struct {
	rules     Rules
	published []discovery.Endpoint
	past      past
	hold      *hold
	unhealthy *unhealthy
	turnover  *turnover
	// carried are endpoints that were held before a restart, and how far.
	carried map[netip.AddrPort]missing
	ids     IDs
}

// New returns a guard under these rules, with nothing in force. Fields of rules that
// are zero are their defaults.
func New(rules Rules) *Guard { return &Guard{rules: rules.WithDefaults()} }

// An Offer is what the sources say together, and what else it is decided by.
type Offer struct {
	// Set is what they list and what is kept, normalized.
	Set []discovery.Endpoint
	// Kept are those of Set that no source lists now, and none may remove.
	Kept map[netip.AddrPort]bool
	// Proven are endpoints that have shown that they work.
	Proven map[netip.AddrPort]bool
	// Silent reports whether a source that listed the endpoint does not answer now:
	// such time does not count. nil: all answer.
	Silent func(netip.AddrPort) bool
	// Confirms is what the strongest read there is, which was made just now, says of the
	// endpoint. nil: there was no such read.
	Confirms func(netip.AddrPort) Says
	// KeepUnhealthy: what served last goes on while all that is registered is
	// unhealthy.
	KeepUnhealthy bool
}

// Says is what a strong read says of an endpoint.
type Says uint8

// What it can say.
const (
	Nothing Says = iota // it proves nothing
	Lacks               // the endpoint is gone, or not fit to serve
	Has                 // it is there
)

func (o Offer) silent(a netip.AddrPort) bool { return o.Silent != nil && o.Silent(a) }

// Rules returns the rules in force.
func (g *Guard) Rules() Rules { return g.rules }

// SetRules puts other rules in force, from the next offer on.
func (g *Guard) SetRules(rules Rules) { g.rules = rules.WithDefaults() }

// Published returns what is in force, normalized. It is not written to.
func (g *Guard) Published() []discovery.Endpoint { return g.published }

// Offer takes what the sources say and reports whether what is in force changed.
//
//	offer                 | nothing held            | held
//	as before             | nothing                 | the hold ends
//	more                  | publish                 | publish the additions
//	fewer, not too few    | publish                 | additions; what is missing waits
//	too few               | hold, publish additions | additions; what is missing waits
//	none                  | hold                    | what is missing waits
//	newcomers make up     | publish                 | the hold ends: publish
//
// What waits goes when three confirmations, spread over the hold, lacked it. An
// endpoint that went unhealthy is missing like one that is gone; maintenance is not.
func (g *Guard) Offer(o Offer, now time.Time) (changed bool) {
	if g.turnover != nil && shares(o.Set, g.turnover.old) {
		g.turnover = nil
	}
	next := g.spareUnhealthy(o.Set, o.KeepUnhealthy, now)
	gone, passing := g.split(g.lacking(next), o, now)
	kind := g.holdKind(next, gone, o, now)
	if kind == "" {
		g.hold = nil
		g.forgetCarried(o)
		changed = g.replace(next, now)
		g.past.record(listed(next, o.Kept), now)
		return changed
	}
	if g.hold == nil {
		g.hold = newHold(g.published, now)
	}
	g.hold.kind, g.hold.candidate = kind, next
	g.hold.follow(gone, g.carried, o, now)
	g.forgetCarried(o)
	limit := g.rules.limit(kind)
	if o.Confirms != nil {
		g.hold.confirm(limit, o, now)
	}
	g.note()
	return g.release(append(passing, g.hold.due(limit, now)...), now)
}

// split separates, of endpoints that are in force and would be out of service, those that
// came while something was held, were not in the largest set and never showed that they work:
// they are nobody's loss, and go at once. It notes who has shown it.
func (g *Guard) split(lacking []netip.AddrPort, o Offer, now time.Time) (gone, passing []netip.AddrPort) {
	if g.hold == nil {
		return lacking, nil
	}
	g.hold.establish(g.largest(now), o.Proven, g.published)
	for _, a := range lacking {
		if _, ok := g.hold.established[a]; ok {
			gone = append(gone, a)
		} else {
			passing = append(passing, a)
		}
	}
	over := g.hold.over(gone, now)
	gone = slices.DeleteFunc(gone, func(a netip.AddrPort) bool { return slices.Contains(over, a) })
	return gone, append(passing, over...)
}

// holdKind decides whether next is held, and returns why; "" if it is not. What comes back a piece at a
// time after a collapse stays held until nothing is missing any more, newcomers make up
// for it, or it is confirmed that it stays away.
func (g *Guard) holdKind(next []discovery.Endpoint, gone []netip.AddrPort, o Offer, now time.Time) (kind string) {
	base, loss, proved := g.loss(next, o, now)
	tooMany := loss >= Smallest && float64(loss) > g.rules.MaxRemoval*float64(base)
	emptied := discovery.CountReady(next) == 0 && discovery.CountReady(g.published) > 0 ||
		countPresent(next) == 0 && countPresent(g.published) > 0
	switch {
	case len(gone) == 0:
	case emptied:
		kind = Empty
	case tooMany, countPresent(next) < g.rules.MinEndpoints, g.hold != nil && proved == 0:
		kind = Removal
	}
	if kind != "" && g.rules.limit(kind) == Off {
		return ""
	}
	return kind
}

// loss returns how large the largest set within the window was, how many of it are
// missing in next, less the newcomers that proved themselves, and how many those are.
func (g *Guard) loss(next []discovery.Endpoint, o Offer, now time.Time) (base, loss, proved int) {
	largest := g.largest(now)
	there := map[netip.AddrPort]bool{}
	for _, e := range next {
		if Present(e) {
			there[e.Addr] = true
		}
	}
	was := make(map[netip.AddrPort]bool, len(largest))
	for _, a := range largest {
		was[a] = true
		if !there[a] {
			loss++
		}
	}
	for a := range there {
		if !was[a] && o.Proven[a] {
			proved++
		}
	}
	return len(largest), max(0, loss-proved), proved
}

// release publishes what is held, but for those of gone, which become what the sources
// say of them.
func (g *Guard) release(gone []netip.AddrPort, now time.Time) bool {
	h := g.hold
	next := merge(g.published, h.candidate, gone)
	for _, a := range gone {
		delete(h.missing, a)
	}
	g.past.forget(gone)
	if len(h.missing) == 0 {
		g.hold = nil
		g.past.record(listed(next, nil), now)
	}
	return g.publish(next)
}

// publish makes next what is in force.
func (g *Guard) publish(next []discovery.Endpoint) bool {
	changed := !slices.Equal(g.published, next)
	g.published = next
	return changed
}

// lacking lists what is published and would be out of service with next. The old ones
// of a turnover are on their way out already.
func (g *Guard) lacking(next []discovery.Endpoint) []netip.AddrPort {
	left := discovery.ByAddr(next)
	var out []netip.AddrPort
	for _, e := range g.currentSet() {
		if now, ok := left[e.Addr]; (!ok && e.State != discovery.Down) || e.State == discovery.Ready && ok && !Present(now) {
			out = append(out, e.Addr)
		}
	}
	return out
}

// Forget drops from what is in force, and from what was, those endpoints for which gone
// holds: they are not the sources' any more.
func (g *Guard) Forget(gone func(discovery.Endpoint) bool) {
	g.published = slices.DeleteFunc(slices.Clone(g.published), gone)
	g.carried = nil
	there := discovery.ByAddr(g.published)
	for i := range g.past {
		g.past[i].Addrs = slices.DeleteFunc(slices.Clone(g.past[i].Addrs), func(a netip.AddrPort) bool { _, ok := there[a]; return !ok })
	}
	if g.turnover != nil {
		g.turnover.old = slices.DeleteFunc(slices.Clone(g.turnover.old), gone)
	}
	if g.hold == nil {
		return
	}
	for a := range g.hold.missing {
		if _, ok := there[a]; !ok {
			delete(g.hold.missing, a)
		}
	}
	if len(g.hold.missing) == 0 {
		g.hold = nil
	}
}
