package slots

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Assign returns t holding the endpoints of want, and the ready ones for which
// no slot was left, sorted by address. The order of want does not matter, and t
// itself is not changed. now is when slots become free that do.
//
// An endpoint that has a slot keeps it for as long as it is wanted. A new one
// takes the first slot of this order that is free and not Reserved:
//
//	1  the slot that still carries its own address, or that it had Before
//	2  one that was never used, the lowest number first
//	3  an idle one, the one free longest first
//	4  a busy one, the one free longest first
//	   2 to 4 again, of the slots that some instance lacks
//	   2 to 4 again, of those that were added at run time
//
// Lower numbers break ties. A new endpoint that is not ready takes only the
// slot of line 1, and is no surplus without it.
func (t Table) Assign(want []discovery.Endpoint, now time.Time) (next Table, surplus []discovery.Endpoint) {
	next, fresh := t.keep(discovery.Normalize(want), now)
	if len(fresh) == 0 {
		return next, nil
	}
	fresh = next.returning(fresh)
	free := next.choice()
	for _, e := range fresh {
		switch {
		case e.State != discovery.Ready:
		case len(free) == 0:
			surplus = append(surplus, e)
		default:
			next[free[0]].hold(e)
			free = free[1:]
		}
	}
	return next, surplus
}

// keep returns t without the endpoints that are not in want, and those of want
// that have no slot yet.
func (t Table) keep(want []discovery.Endpoint, now time.Time) (next Table, fresh []discovery.Endpoint) {
	next = slices.Clone(t)
	byAddr := discovery.ByAddr(want)
	for i := range next {
		s := &next[i]
		if s.Free() {
			continue
		}
		if e, ok := byAddr[s.Endpoint.Addr]; ok {
			s.Endpoint, s.Busy = e, s.Busy && e.State != discovery.Ready
			delete(byAddr, e.Addr)
			continue
		}
		s.Last, s.Freed, s.Endpoint = s.Endpoint.Addr, now, discovery.Endpoint{}
	}
	for _, e := range want {
		if _, ok := byAddr[e.Addr]; ok {
			fresh = append(fresh, e)
		}
	}
	return next, fresh
}

// returning gives those of fresh whose address a free slot still carries, or which
// had it before, that slot back, and returns the others.
func (t Table) returning(fresh []discovery.Endpoint) (rest []discovery.Endpoint) {
	last, before := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
	for i, s := range slices.Backward(t) {
		if !s.Free() || s.Reserved {
			continue
		}
		if s.Last.IsValid() {
			last[s.Last] = i
		}
		if s.Before.IsValid() {
			before[s.Before] = i
		}
	}
	for _, of := range [...]map[netip.AddrPort]int{last, before} {
		rest = nil
		for _, e := range fresh {
			if i, ok := of[e.Addr]; ok && t[i].Free() {
				t[i].hold(e)
				continue
			}
			rest = append(rest, e)
		}
		fresh = rest
	}
	return rest
}

// choice returns the indices of the slots that new endpoints may take, the best
// first.
func (t Table) choice() []int {
	var free []int
	for i, s := range t {
		if s.Free() && !s.Reserved {
			free = append(free, i)
		}
	}
	slices.SortFunc(free, func(i, j int) int {
		a, b := t[i], t[j]
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(a.reuseRank(), b.reuseRank()),
			a.Freed.Compare(b.Freed),
			cmp.Compare(i, j))
	})
	return free
}

// reuseRank orders free slots by how likely somebody still uses their old address: 0
// never used, 1 idle, 2 has sessions. Slots that are free for less than a minute need no
// rule of their own, as the one free longest comes first.
func (s Slot) reuseRank() int {
	switch {
	case s.Freed.IsZero():
		return 0
	case !s.Busy:
		return 1
	}
	return 2
}

func (s *Slot) hold(e discovery.Endpoint) {
	s.Endpoint, s.Last, s.Before, s.Freed, s.Busy = e, netip.AddrPort{}, netip.AddrPort{}, time.Time{}, false
}

// Grow returns t with a Dynamic slot for each endpoint of surplus that holds
// none yet, as long as t has fewer than most slots, and the endpoints that got
// none, sorted by address. The smallest address comes first, whatever the order
// of surplus, and the numbers go on where those of t end, with 1 if t is empty. t
// itself is not changed.
func (t Table) Grow(surplus []discovery.Endpoint, most int) (next Table, left []discovery.Endpoint) {
	next = slices.Clone(t)
	number := t.highest()
	for _, e := range t.withoutSlot(surplus) {
		if len(next) >= most {
			left = append(left, e)
			continue
		}
		number++
		next = append(next, Slot{Number: number, Endpoint: e, Dynamic: true})
	}
	return next, left
}

// Reclaim returns t with endpoints of surplus in the slots of endpoints that
// leave, and the endpoints that got none, sorted by address. A slot is taken
// early only if leaving has its endpoint, which the source no longer lists and
// which is kept for its drain alone, if that is not ready, and if no instance
// has sessions there (the slot is not Busy, which takes views with sessions).
// Slots that every instance has go first, those of the template before Dynamic
// ones, then the lowest number. t itself is not changed.
//
// The endpoint that had the slot gets none while others need them: [Table.Assign] gives
// new slots to ready endpoints only.
func (t Table) Reclaim(surplus []discovery.Endpoint, leaving map[netip.AddrPort]bool) (next Table, left []discovery.Endpoint) {
	next = slices.Clone(t)
	var early []int
	for i, s := range t {
		if !s.Free() && !s.Reserved && !s.Busy && s.Endpoint.State != discovery.Ready && leaving[s.Endpoint.Addr] {
			early = append(early, i)
		}
	}
	slices.SortStableFunc(early, func(i, j int) int { return t[i].rank() - t[j].rank() })
	for _, e := range t.withoutSlot(surplus) {
		if len(early) == 0 {
			left = append(left, e)
			continue
		}
		next[early[0]].hold(e)
		early = early[1:]
	}
	return next, left
}

// rank orders slots by how well they serve all instances.
func (s Slot) rank() int {
	switch {
	case s.Dynamic:
		return 2
	case s.Lacking:
		return 1
	}
	return 0
}

// withoutSlot returns those of eps that no slot of t holds, sorted by address.
func (t Table) withoutSlot(eps []discovery.Endpoint) []discovery.Endpoint {
	held := make(map[netip.AddrPort]bool, len(t))
	for _, s := range t {
		held[s.Endpoint.Addr] = true
	}
	return slices.DeleteFunc(discovery.Normalize(eps), func(e discovery.Endpoint) bool { return held[e.Addr] })
}

// highest returns the highest number of the slots; 0 if there are none.
func (t Table) highest() (highest int) {
	for _, s := range t {
		highest = max(highest, s.Number)
	}
	return highest
}
