package guard

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// maxPast bounds the sets that are remembered.
const maxPast = 32

// A PastSet is what was listed until a moment; zero: until now.
type PastSet struct {
	Until time.Time        `json:"until,omitzero"`
	Addrs []netip.AddrPort `json:"addrs"`
}

// past are the sets that were in force, oldest first, each larger than all that came
// after it: only those can be the largest within a window. Of sets of one size the
// latest counts, so that a deployment which replaces one endpoint after the other
// misses only the last of them.
type past []PastSet

// record notes what is listed now.
func (p *past) record(addrs []netip.AddrPort, now time.Time) {
	list := *p
	if n := len(list); n > 0 && list[n-1].Until.IsZero() {
		if slices.Equal(list[n-1].Addrs, addrs) {
			return
		}
		list[n-1].Until = now
	}
	for n := len(list); n > 0 && len(list[n-1].Addrs) <= len(addrs); n = len(list) {
		list = list[:n-1]
	}
	if list = append(list, PastSet{Addrs: addrs}); len(list) > maxPast {
		list[0].Until = list[1].Until // rather too much for a while than too little
		list = slices.Delete(list, 1, 2)
	}
	*p = list
}

// largest returns the largest set that was in force at any time since then.
func (p *past) largest(since time.Time) []netip.AddrPort {
	list := *p
	for len(list) > 1 && !list[0].Until.After(since) {
		list = list[1:]
	}
	*p = list
	if len(list) == 0 {
		return nil
	}
	return list[0].Addrs
}

// forget drops addresses from all sets: that they are gone is known to be right.
func (p past) forget(gone []netip.AddrPort) {
	if len(gone) == 0 {
		return
	}
	out := make(map[netip.AddrPort]bool, len(gone))
	for _, a := range gone {
		out[a] = true
	}
	for i := range p {
		p[i].Addrs = slices.DeleteFunc(slices.Clone(p[i].Addrs), func(a netip.AddrPort) bool { return out[a] })
	}
}

// Present reports whether e counts as being there: it takes traffic, or an operator
// asked that it does not.
func Present(e discovery.Endpoint) bool {
	return e.State == discovery.Ready || (e.State == discovery.Drain && e.Reason != "warning")
}

func countPresent(eps []discovery.Endpoint) int {
	n := 0
	for _, e := range eps {
		if Present(e) {
			n++
		}
	}
	return n
}

// listed returns the addresses of those that are present and not only kept, sorted.
func listed(eps []discovery.Endpoint, kept map[netip.AddrPort]bool) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, len(eps))
	for _, e := range eps {
		if Present(e) && !kept[e.Addr] {
			out = append(out, e.Addr)
		}
	}
	return out
}

// merge returns next, and of old what next lacks but for those of gone: additions,
// weights, improvements and drains that an operator asked for are taken, losses are not.
func merge(old, next []discovery.Endpoint, gone []netip.AddrPort) []discovery.Endpoint {
	released := make(map[netip.AddrPort]bool, len(gone))
	for _, a := range gone {
		released[a] = true
	}
	out := slices.Clone(next)
	at := make(map[netip.AddrPort]int, len(out))
	for i, e := range out {
		at[e.Addr] = i
	}
	for _, e := range old {
		i, ok := at[e.Addr]
		switch {
		case released[e.Addr]:
		case !ok:
			out = append(out, e)
		case e.State == discovery.Ready && !Present(out[i]):
			out[i].State, out[i].Reason = e.State, e.Reason
		}
	}
	return discovery.Normalize(out)
}

// largest returns the largest set that was in force within the window.
func (g *Guard) largest(now time.Time) []netip.AddrPort {
	return g.past.largest(now.Add(-g.rules.Window))
}
