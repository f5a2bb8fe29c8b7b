package slots

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Adopt returns the table at start: every endpoint of known is in the slot
// where the instances have it already, so that nothing has to be written. views
// are as for [Table.Observe], and the result is observed. prefer says where
// endpoints were that no instance shows, as from the state directory; it may be
// nil. Endpoints that get no slot here are left to [Table.Assign].
//
//	one endpoint, several slots   ready on most instances; then drain; then maint;
//	                              then the first instance's; then the lowest number
//	several endpoints, one slot   the same order, then the smaller address; the
//	                              loser gets its next best slot
//	shown nowhere                 prefer's slot if it is free and nowhere in service
func Adopt(views [][]Server, known []discovery.Endpoint, prefer map[netip.AddrPort]int, now time.Time) Table {
	t := Table{}.Observe(views, now)
	index := make(map[int]int, len(t))
	for i, s := range t {
		index[s.Number] = i
	}
	rest := discovery.ByAddr(discovery.Normalize(known))
	place := func(a netip.AddrPort, slot int) {
		e, ok := rest[a]
		if ok && t[slot].Free() {
			t[slot] = Slot{Number: t[slot].Number, Endpoint: e, Lacking: t[slot].Lacking, Dynamic: t[slot].Dynamic}
			delete(rest, a)
		}
	}
	for _, c := range claims(views, rest, index) {
		place(c.addr, c.slot)
	}
	serving := inService(views)
	for _, e := range discovery.Normalize(known) {
		number, ok := prefer[e.Addr]
		if i, shown := index[number]; ok && shown && !serving[number] {
			place(e.Addr, i)
		}
	}
	return t
}

// A claim says how many instances have an endpoint in a slot.
type claim struct {
	addr  netip.AddrPort
	slot  int
	votes [Ready + 1]int // by class
	first int            // the first instance that has it there in its best class
}

func stronger(a, b claim) int {
	return cmp.Or(
		cmp.Compare(b.votes[Ready], a.votes[Ready]),
		cmp.Compare(b.votes[Drain], a.votes[Drain]),
		cmp.Compare(b.votes[Maint], a.votes[Maint]),
		cmp.Compare(a.first, b.first),
		cmp.Compare(a.slot, b.slot),
		a.addr.Compare(b.addr))
}

// claims returns all claims of the known endpoints, the strongest first.
func claims(views [][]Server, known map[netip.AddrPort]discovery.Endpoint, index map[int]int) []claim {
	type key struct {
		addr netip.AddrPort
		slot int
	}
	at := map[key]int{}
	var all []claim
	for v, own := range views {
		for _, s := range own {
			if _, ok := known[s.Addr]; !ok || s.Class > Ready {
				continue
			}
			k := key{s.Addr, index[s.Number]}
			i, ok := at[k]
			if !ok {
				i = len(all)
				at[k] = i
				all = append(all, claim{addr: k.addr, slot: k.slot})
			}
			all[i].add(v, s.Class)
		}
	}
	slices.SortFunc(all, stronger)
	return all
}

func (c *claim) add(view int, class Class) {
	best := true
	for better := class; better <= Ready; better++ {
		best = best && c.votes[better] == 0
	}
	if best {
		c.first = view
	}
	c.votes[class]++
}

// inService returns the numbers of the slots that some instance has out of maint.
func inService(views [][]Server) map[int]bool {
	serving := map[int]bool{}
	for _, own := range views {
		for _, s := range own {
			serving[s.Number] = serving[s.Number] || s.Class != Maint
		}
	}
	return serving
}
