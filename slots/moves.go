package slots

import "net/netip"

// waits says which of the pairs must stay in service for now: they are the only
// ones to serve an endpoint that is wanted ready in another slot.
//
//	that slot                             this one waits
//	has it ready                          no
//	is about to get it, or has sessions   yes
//	waits itself                          yes; in a circle some go first
//	is lacking, and this one is free      no
//	is lacking, and this one is not       while too many are out of service
func (d *delta) waits(have []Server) []bool {
	waits := make([]bool, len(d.pairs))
	keepers := d.keepers()
	if len(keepers) == 0 {
		return waits
	}
	next := make([]int, len(d.pairs))
	for a, i := range keepers {
		next[i] = d.wanted[a].pair
		waits[i] = next[i] != lacking || d.pairs[i].want.Addr.IsValid()
	}
	budget := d.budget(have, waits, next)
	for i := range waits {
		if waits[i] && next[i] == lacking && budget > 0 {
			waits[i] = false
			budget--
		}
	}
	for _, circle := range circles(waits, next) {
		n := min(budget, max(1, len(circle)/4))
		for k := range n {
			// Spread over the circle, so that all parts of it unwind at once.
			waits[circle[k*len(circle)/n]] = false
		}
		budget -= n
	}
	return waits
}

// keepers returns, for each endpoint that is wanted ready and is so only in
// slots that are not its own, the one that serves it until its own does.
func (d *delta) keepers() map[netip.AddrPort]int {
	keepers := map[netip.AddrPort]int{}
	for i, p := range d.pairs {
		a := p.have.Addr
		if !p.serves(a) || a == p.want.Addr {
			continue
		}
		home, listed := d.wanted[a]
		if !listed || home.class != Ready || home.pair != lacking && d.pairs[home.pair].serves(a) {
			continue
		}
		// A slot that no other endpoint wants delays nothing.
		k, known := keepers[a]
		if !known || !p.want.Addr.IsValid() && d.pairs[k].want.Addr.IsValid() {
			keepers[a] = i
		}
	}
	return keepers
}

// budget returns how many endpoints may be taken out of service: a quarter of
// those that are wanted ready, at least one, without those that are out. Some
// do not count, since they would stand in the way for ever: those that this
// instance cannot hold, and those that come in when such a one goes.
func (d *delta) budget(have []Server, waits []bool, next []int) int {
	ready := make(map[netip.AddrPort]bool, len(have))
	for i := range have {
		if have[i].Class == Ready {
			ready[have[i].Addr] = true
		}
	}
	n, out := 0, 0
	for i, p := range d.pairs {
		if !p.want.Addr.IsValid() || p.want.Class != Ready || p.have.NoAddress {
			continue
		}
		n++
		if !ready[p.want.Addr] && !endsLacking(i, waits, next) {
			out++
		}
	}
	return max(0, max(1, n/4)-out)
}

// endsLacking reports whether slot i waits, in the end, for one that the
// instance lacks. Nobody serves what i wants, so that it is in no circle.
func endsLacking(i int, waits []bool, next []int) bool {
	for i != lacking && waits[i] {
		i = next[i]
	}
	return i == lacking
}

// circles returns the circles that waits and next make, each from its lowest
// index on.
func circles(waits []bool, next []int) (all [][]int) {
	walk := make([]int, len(waits))
	for i := range waits {
		var path []int
		j := i
		for j >= 0 && waits[j] && walk[j] == 0 {
			walk[j] = i + 1
			path = append(path, j)
			j = next[j]
		}
		// An address has one keeper and one slot, so that a path that comes
		// back comes back to its start.
		if len(path) > 0 && j == i {
			all = append(all, path)
		}
	}
	return all
}
