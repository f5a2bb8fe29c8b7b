package discoverytest

import (
	"net/netip"

	"github.com/slotsync/slotsync/discovery"
)

// Addr is a port of the address that made-up endpoints have.
func Addr(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), uint16(port))
}

// Endpoints are the ready ones at these ports of [Addr], normalized.
func Endpoints(ports ...int) []discovery.Endpoint {
	var out []discovery.Endpoint
	for _, p := range ports {
		out = append(out, discovery.Endpoint{Addr: Addr(p)})
	}
	return discovery.Normalize(out)
}
