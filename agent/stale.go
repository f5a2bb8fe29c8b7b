package agent

import (
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// dropStale forgets what was stored too long ago to be filled from, unless it is in
// service or was named since: its addresses may be somebody else's by now. live are
// the addresses in service at any instance.
func (b *backend) dropStale(live map[netip.AddrPort]bool) {
	b.stale = false
	named := map[netip.AddrPort]bool{}
	for _, f := range b.feeds {
		for _, e := range f.last.Endpoints {
			named[e.Addr] = true
		}
	}
	gone := func(e discovery.Endpoint) bool { return !live[e.Addr] && !named[e.Addr] }
	for _, f := range b.feeds {
		if !f.spoke {
			f.endpoints = slices.DeleteFunc(slices.Clone(f.endpoints), gone)
		}
	}
	g := &b.guard
	g.published = slices.DeleteFunc(slices.Clone(g.published), gone)
	g.history, g.carried = nil, nil
	if g.turning != nil {
		g.turning.old = slices.DeleteFunc(slices.Clone(g.turning.old), gone)
	}
	if g.hold != nil && len(g.lacking(g.hold.candidate)) == 0 {
		g.hold = nil
	}
	for a := range b.leaving {
		if !live[a] {
			delete(b.leaving, a)
		}
	}
}

// live returns the addresses that are in service at any instance.
func (c *core) live(b *backend) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for _, own := range c.views(b) {
		for _, a := range inService(own) {
			out[a] = true
		}
	}
	return out
}
