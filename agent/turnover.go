package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// upProof is how long HAProxy's check must have let a server be up: one that comes
// into service counts as up until its first check, which by default is 2 s later.
const upProof = 5 * time.Second

// An ailing set has no endpoint that is ready, but for their health.
type ailing struct {
	since     time.Time
	candidate []discovery.Endpoint // what the feeds say
}

// spare returns next, with what serves now still ready where all that is
// registered is unhealthy: then health says more about those who judge it. What
// is registered no more is not spared.
func (g *guarded) spare(next []discovery.Endpoint, now time.Time) []discovery.Endpoint {
	if !g.keeps || readyIn(next) > 0 {
		g.ailing = nil
		return next
	}
	serving := byAddr(g.published)
	spared := slices.Clone(next)
	for i, e := range spared {
		if was := serving[e.Addr]; !isPresent(e) && was.State == discovery.Ready && was.Addr == e.Addr {
			spared[i].State, spared[i].Reason = was.State, was.Reason
		}
	}
	if readyIn(spared) == 0 {
		g.ailing = nil
		return next
	}
	if g.ailing == nil {
		g.ailing = &ailing{since: now}
	}
	g.ailing.candidate = next
	return spared
}

// A turning set is one that was replaced whole: the old one stays besides it
// until the new one serves.
type turning struct {
	since time.Time
	old   []discovery.Endpoint
}

// turn publishes next, and besides it what is ready now if next shares nothing
// with it: until the new ones serve (see [guarded.turned]), the time for that is
// over, or one of the old ones is listed again.
func (g *guarded) turn(next []discovery.Endpoint, now time.Time) bool {
	switch t := g.turning; {
	case t != nil && (!now.Before(g.turnsAt()) || readyIn(next) == 0):
		g.turning = nil
	case t == nil && g.rules.TurnoverWait != Off && readyIn(next) > 0 && readyIn(g.published) > 0 && !shares(next, g.published):
		old := slices.DeleteFunc(slices.Clone(g.published), func(e discovery.Endpoint) bool { return e.State != discovery.Ready })
		g.turning = &turning{since: now, old: old}
	}
	if g.turning == nil {
		return g.publish(next, now)
	}
	return g.publish(discovery.Normalize(slices.Concat(next, g.turning.old)), now)
}

// turnsAt is when the old ones go whatever the new ones do; zero for none.
func (g *guarded) turnsAt() time.Time {
	if g.turning == nil {
		return time.Time{}
	}
	return g.turning.since.Add(g.rules.TurnoverWait)
}

// turned drops the last of the old ones of a turnover, n of them, and ends it with
// the last.
func (g *guarded) turned(n int, now time.Time) {
	old := g.turning.old
	keep := max(0, len(old)-n)
	next := without(g.published, old[keep:])
	if g.turning.old = old[:keep]; keep == 0 {
		g.turning = nil
	}
	g.publish(next, now)
}

// standing is what is published without the old ones of a turnover.
func (g *guarded) standing() []discovery.Endpoint {
	if g.turning == nil {
		return g.published
	}
	return without(g.published, g.turning.old)
}

// turnOver ends the turnover of b once a new endpoint serves, or none can, or the
// time for it is over. It reports whether the targets have to be made anew.
func (c *core) turnOver(b *backend, now time.Time) bool {
	g := &b.guard
	if g.turning == nil || now.Before(g.turnsAt()) && !c.arrived(b) {
		return false
	}
	before := b.guard.published
	g.turned(len(g.turning.old), now)
	b.part(before, g.published, now)
	return true
}

// arrived reports whether any instance sends traffic to one of the new endpoints,
// as far as HAProxy's checks can tell.
func (c *core) arrived(b *backend) bool {
	coming := b.coming()
	for _, in := range c.of(b) {
		for _, s := range in.last.backends[b.Name].own {
			if coming[s.Addr] && s.Class == slots.Ready && (!s.Checked || s.Up && s.Since >= upProof) {
				return true
			}
		}
	}
	return false
}

// coming are the ready endpoints of the new set of a turnover.
func (b *backend) coming() map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for _, e := range b.guard.standing() {
		if e.State == discovery.Ready {
			out[e.Addr] = true
		}
	}
	return out
}

// makeRoom gives slots of old endpoints to new ones while none of those has one:
// a quarter of the old ones goes at once. It reports whether any did.
func (b *backend) makeRoom(now time.Time) bool {
	g := &b.guard
	if g.turning == nil {
		return false
	}
	coming := b.coming()
	if slices.ContainsFunc(b.table, func(s slots.Slot) bool { return coming[s.Endpoint.Addr] }) {
		return false
	}
	before := g.published
	g.turned(max(1, len(g.turning.old)/4), now)
	b.part(before, g.published, now)
	return true
}

// checks reports whether HAProxy checks the slots of b at any instance.
func (c *core) checks(b *backend) bool {
	return slices.ContainsFunc(c.views(b), func(own []slots.Server) bool {
		return slices.ContainsFunc(own, func(s slots.Server) bool { return s.Checked })
	})
}
