package agent

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	// overrideLinger is how long an override outlives its endpoint.
	overrideLinger = 24 * time.Hour
	// maxOverrides bounds what operators can ask for at a time.
	maxOverrides = 1000
	// maxLimited bounds what those can ask for besides who have not full rights.
	maxLimited = 50
)

// A subject is what an override is about, and how: there is one for each.
type subject struct {
	backend string         // "" for all
	addr    netip.AddrPort // without a port for all of an address; not valid for none
	kind    string
}

func subjectOf(o *Override) subject {
	addr, err := netip.ParseAddrPort(o.Address)
	if o.Backend == "" {
		var ip netip.Addr
		ip, err = netip.ParseAddr(o.Address)
		addr = netip.AddrPortFrom(ip, 0)
	}
	if err != nil {
		addr = netip.AddrPort{}
	}
	return subject{o.Backend, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), o.Kind}
}

// concerns reports whether s is about the endpoint of that backend.
func (s subject) concerns(backend string, a netip.AddrPort) bool {
	if s.backend == "" {
		return s.addr.Addr() == a.Addr()
	}
	return s.backend == backend && s.addr == a
}

// isIn reports whether any of eps, which are sorted, is what s is about.
func (s subject) isIn(eps []discovery.Endpoint) bool {
	i, found := slices.BinarySearchFunc(eps, s.addr, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	return found || s.backend == "" && i < len(eps) && eps[i].Addr.Addr() == s.addr.Addr()
}

// isOver reports whether o has ended by itself.
func isOver(o *Override, now time.Time) bool {
	if o.Until != nil && !now.Before(*o.Until) {
		return true
	}
	return !o.Keep && o.Kind != OverrideServer && now.Sub(o.Listed) >= overrideLinger
}

// implies reports whether o makes its endpoint what a source may say that it is.
func implies(o *Override, word string) bool {
	if word == SaysDrain {
		return o.State == StateDrain || isZero(o.Weight)
	}
	return word == SaysDown && o.State == StateMaint
}

// weightOf returns the weight that text stands for: HAProxy's own, or a share of
// the template's, at least 1. 0 is for what is no weight, or drains.
func weightOf(text string, initial int) int {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.Atoi(share)
		if err != nil || n <= 0 {
			return 0
		}
		return min(max(1, initial*n/100), 256)
	}
	n, _ := strconv.Atoi(text) // 0 then
	return min(max(n, 0), 256)
}

func isZero(weight string) bool { return strings.Trim(weight, "0%") == "" && weight != "" }
