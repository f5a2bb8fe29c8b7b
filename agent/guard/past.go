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

// apart is how long ago a set was replaced by another one of its size for that to count in its
// place. A deployment that replaces half of a backend takes longer, whether it waits for HAProxy's
// check or for nothing: to count the older one until the newcomers have proved themselves would hold
// it. Several answers about one replacement are closer to each other.
const apart = time.Second

// past are the sets that were in force, oldest first, none smaller than any that came
// after it: only those can be the largest within a window. Of sets of one size the
// latest counts, so that a deployment which replaces one endpoint after the other
// misses only the last of them; but see [apart].
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
	for n := len(list); n > 0 && len(list[n-1].Addrs) < len(addrs); n = len(list) {
		list = list[:n-1]
	}
	if list = append(list, PastSet{Addrs: addrs}); len(list) > maxPast {
		list = list.thin()
	}
	*p = list
}

// thin drops one set: where two are as large, the older one, as the latest counts.
func (p past) thin() past {
	for i := 1; i+1 < len(p); i++ {
		if len(p[i].Addrs) == len(p[i+1].Addrs) {
			return slices.Delete(p, i, i+1)
		}
	}
	p[0].Until = p[1].Until // rather too much for a while than too little
	return slices.Delete(p, 1, 2)
}

// largest returns the largest set of the window: of several as large, the one that was in force
// a moment ago; while something is held, a moment before that began.
func (g *Guard) largest(now time.Time) []netip.AddrPort {
	latest := now
	if g.hold != nil {
		latest = g.hold.since
	}
	return g.past.largest(now.Add(-g.rules.Window), latest.Add(-apart))
}

// largest returns the largest set that was in force at any time since then; of several as large,
// the first that was in force after a moment.
func (p *past) largest(since, moment time.Time) []netip.AddrPort {
	list := *p
	for len(list) > 1 && (!list[0].Until.After(since) || len(list[0].Addrs) == len(list[1].Addrs) && !list[0].Until.After(moment)) {
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
