package agent

import (
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// This file compares sets of endpoints and puts them together.

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

// addresses are those of eps.
func addresses(eps []discovery.Endpoint) []netip.AddrPort {
	out := make([]netip.AddrPort, len(eps))
	for i, e := range eps {
		out[i] = e.Addr
	}
	return out
}

// without returns eps but for those of gone.
func without(eps, gone []discovery.Endpoint) []discovery.Endpoint {
	out := make([]discovery.Endpoint, 0, len(eps))
	left := byAddr(gone)
	for _, e := range eps {
		if _, ok := left[e.Addr]; !ok {
			out = append(out, e)
		}
	}
	return out
}

// shares reports whether a and b have an address in common.
func shares(a, b []discovery.Endpoint) bool {
	in := byAddr(a)
	return slices.ContainsFunc(b, func(e discovery.Endpoint) bool { _, ok := in[e.Addr]; return ok })
}
