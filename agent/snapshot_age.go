package agent

import (
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/discovery"
)

// expireSnapshot forgets what was stored too long ago to be filled from, unless it is in
// service or was named since: its addresses may be somebody else's by now. live are
// the addresses in service at any instance.
func (b *backend) expireSnapshot(live map[netip.AddrPort]bool, now time.Time) {
	b.snapshotStale = false
	named := map[netip.AddrPort]bool{}
	for _, f := range b.feeds {
		for _, e := range f.last.Endpoints() {
			named[e.Addr] = true
		}
	}
	gone := func(e discovery.Endpoint) bool { return !live[e.Addr] && !named[e.Addr] }
	for _, f := range b.feeds {
		f.known.Drop(gone, now)
	}
	b.guard.Forget(gone)
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
		for _, a := range placement.InService(own) {
			out[a] = true
		}
	}
	return out
}
