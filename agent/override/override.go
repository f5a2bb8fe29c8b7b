// Package override is what operators asked for: that endpoints drain, stop, weigh otherwise or
// are there at all, and that nothing is written for a while. It is pure.
package override

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

const (
	// Linger is how long an override outlives its endpoint.
	Linger = 24 * time.Hour
	// Max bounds what operators can ask for at a time.
	Max = 1000
	// maxLimited bounds what those can ask for besides who have not full rights.
	maxLimited = 50
)

// A Key is what an override is about, and how: there is one for each.
type Key struct {
	Backend string         // "" for all
	Addr    netip.AddrPort // without a port for all of an address; not valid for none
	Kind    string
}

// KeyOf returns what o is about.
func KeyOf(o *api.Override) Key {
	addr, err := netip.ParseAddrPort(o.Address)
	if o.Backend == "" {
		var ip netip.Addr
		ip, err = netip.ParseAddr(o.Address)
		addr = netip.AddrPortFrom(ip, 0)
	}
	if err != nil {
		addr = netip.AddrPort{}
	}
	return Key{o.Backend, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), o.Kind}
}

// Concerns reports whether k is about the endpoint of that backend.
func (k Key) Concerns(backend string, a netip.AddrPort) bool {
	if k.Backend == "" {
		return k.Addr.Addr() == a.Addr()
	}
	return k.Backend == backend && k.Addr == a
}

// isIn reports whether any of eps, which are sorted, is what k is about.
func (k Key) isIn(eps []discovery.Endpoint) bool {
	i, found := slices.BinarySearchFunc(eps, k.Addr, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	return found || k.Backend == "" && i < len(eps) && eps[i].Addr.Addr() == k.Addr.Addr()
}

// isOver reports whether o has ended by itself.
func isOver(o *api.Override, now time.Time) bool {
	if o.Until != nil && !now.Before(*o.Until) {
		return true
	}
	return !o.Keep && o.Kind != api.OverrideServer && now.Sub(o.Listed) >= Linger
}

// Implies reports whether o makes its endpoint what a source may say that it is.
func Implies(o *api.Override, word string) bool {
	if word == api.SaysDrain {
		return o.State == api.StateDrain || isZero(o.Weight)
	}
	return word == api.SaysDown && o.State == api.StateMaint
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
