package agent

import (
	"net/netip"

	"github.com/slotsync/slotsync/discovery"
)

// addresses are those of eps.
func addresses(eps []discovery.Endpoint) []netip.AddrPort {
	out := make([]netip.AddrPort, len(eps))
	for i, e := range eps {
		out[i] = e.Addr
	}
	return out
}
