package slots

import (
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

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
