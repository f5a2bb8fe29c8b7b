// Package placement says which endpoint of a backend sits in which slot, for all instances
// of it. It is pure: the time and what the instances show are parameters.
package placement

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	// vanishedFor is how long a slot that is gone is remembered, maxVanished how many.
	vanishedFor = 24 * time.Hour
	maxVanished = 10_000
)

// A Placement is the table of one backend, the same for all instances, and what did not find
// a place in it.
type Placement struct {
	table    slots.Table
	adopted  bool // the table was made
	overflow []discovery.Endpoint
	slotless []discovery.Endpoint // those that are only kept, and have no slot
	short    time.Time            // since when there is an overflow
	trend    trend                // of the endpoints that want a slot
	// stored is where endpoints sat when the state was stored.
	stored map[netip.AddrPort]int
	// vanished are slots that no instance has any more, by number.
	vanished map[int]Vanished
	// yielded are kept endpoints that gave their slot to one that is listed, and whether they
	// served.
	yielded map[netip.AddrPort]bool
}

// A Vanished slot is one that no instance has any more: its endpoint gets it back if it
// has none when the slot is there again.
type Vanished struct {
	Addr netip.AddrPort `json:"addr"`
	At   time.Time      `json:"at"`
}

// New returns a placement without a table.
func New() *Placement {
	return &Placement{vanished: map[int]Vanished{}, yielded: map[netip.AddrPort]bool{}}
}

// Restore takes what was stored: the slots that endpoints had, and those that were gone.
func (p *Placement) Restore(stored map[netip.AddrPort]int, vanished map[int]Vanished) {
	p.stored = stored
	maps.Copy(p.vanished, vanished)
}

// Places are the slots that endpoints have.
func (p *Placement) Places() map[netip.AddrPort]int {
	out := make(map[netip.AddrPort]int, len(p.table))
	for _, s := range p.table {
		if !s.Free() {
			out[s.Endpoint.Addr] = s.Number
		}
	}
	return out
}

// Vanished are the slots that no instance has any more, by number.
func (p *Placement) Vanished() map[int]Vanished { return maps.Clone(p.vanished) }

// Table is the table; it is not written to.
func (p *Placement) Table() slots.Table { return p.table }

// Adopted reports whether the table was made.
func (p *Placement) Adopted() bool { return p.adopted }

// Overflow are the endpoints that have no slot. It is not written to.
func (p *Placement) Overflow() []discovery.Endpoint { return p.overflow }

// Short reports whether any endpoint has no slot.
func (p *Placement) Short() bool { return len(p.overflow) > 0 }

// ShortSince is since when there is an overflow; zero if there is none.
func (p *Placement) ShortSince() time.Time { return p.short }

// Adopt makes the table of what the instances have; see [slots.Adopt].
func (p *Placement) Adopt(views [][]slots.Server, wanted []discovery.Endpoint, now time.Time) {
	p.table = slots.Adopt(views, wanted, p.stored, now)
	p.adopted = true
	p.vanish(p.stored, now)
	p.recall(now)
}

// Observe brings the table up to date with what the instances show; see [slots.Table.Observe].
func (p *Placement) Observe(views [][]slots.Server, now time.Time) {
	before := p.Places()
	p.table = p.table.Observe(views, now)
	p.vanish(before, now)
	p.recall(now)
}

// vanish remembers which of the slots that endpoints had before are gone.
func (p *Placement) vanish(before map[netip.AddrPort]int, now time.Time) {
	slot := slots.FindSlot(p.table)
	for a, number := range before {
		if slot(number) == nil && len(p.vanished) < maxVanished {
			p.vanished[number] = Vanished{a, now}
		}
	}
}

// recall notes for free slots that are there again which endpoints they had, and forgets what
// is too long ago.
func (p *Placement) recall(now time.Time) {
	if len(p.vanished) == 0 {
		return
	}
	maps.DeleteFunc(p.vanished, func(_ int, v Vanished) bool { return now.Sub(v.At) >= vanishedFor })
	for i, s := range p.table {
		if v, ok := p.vanished[s.Number]; ok {
			if s.Free() {
				p.table[i].Before = v.Addr
			}
			delete(p.vanished, s.Number)
		}
	}
}

// Outdated reports whether an instance shows slots that the table does not know, or lacks
// some that it knows and that no view has either.
func (p *Placement) Outdated(own []slots.Server, views func() [][]slots.Server) bool {
	slot := slots.FindSlot(p.table)
	if p.Short() && len(own) > 0 || slices.ContainsFunc(own, func(s slots.Server) bool {
		known := slot(s.Number)
		return known == nil || known.Dynamic != s.Dynamic
	}) {
		return true
	}
	has := slots.FindServer(own)
	var elsewhere map[int]bool // made if it is needed
	return slices.ContainsFunc(p.table, func(s slots.Slot) bool {
		if s.Dynamic || has(s.Number) != nil {
			return false
		}
		if elsewhere == nil {
			elsewhere = numbers(views())
		}
		return !elsewhere[s.Number]
	})
}

// numbers are those of the slots that any view has.
func numbers(views [][]slots.Server) map[int]bool {
	out := map[int]bool{}
	for _, own := range views {
		for _, s := range own {
			out[s.Number] = true
		}
	}
	return out
}

// HasGhosts reports whether any slot was to be added and no view has it.
func (p *Placement) HasGhosts(views func() [][]slots.Server) bool {
	if !slices.ContainsFunc(p.table, func(s slots.Slot) bool { return s.Dynamic }) {
		return false
	}
	return slices.ContainsFunc(p.table, isGhost(views()))
}

// isGhost returns a function that reports whether a slot was to be added and no view has it.
func isGhost(views [][]slots.Server) func(slots.Slot) bool {
	there := numbers(views)
	return func(s slots.Slot) bool { return s.Dynamic && !there[s.Number] }
}

// DropGhosts drops the slots that were to be added and that no view has.
func (p *Placement) DropGhosts(views [][]slots.Server) {
	p.table = slices.DeleteFunc(p.table, isGhost(views))
}

// Assign gives free slots to endpoints that have none, and takes them from those that are not
// wanted.
func (p *Placement) Assign(wanted []discovery.Endpoint, now time.Time) {
	p.table, p.overflow = p.table.Assign(wanted, now)
	p.slotless = nil
}

// Reclaim gives slots of endpoints that drain without sessions to those that have none.
func (p *Placement) Reclaim(leaving map[netip.AddrPort]bool) {
	p.table, p.overflow = p.table.Reclaim(p.overflow, leaving)
}

// Grow adds slots for endpoints that have none, up to most in all.
func (p *Placement) Grow(most int) {
	if p.Short() && len(p.table) < most {
		p.table, p.overflow = p.table.Grow(p.overflow, most)
	}
}

// GrowKept adds slots for endpoints that are only kept and have none, up to most in all.
func (p *Placement) GrowKept(most int) {
	if len(p.slotless) > 0 && len(p.table) < most {
		p.table, p.slotless = p.table.Grow(p.slotless, most)
	}
}

// Kept says since when an endpoint is kept that no source lists, if it is.
type Kept func(netip.AddrPort) (since time.Time, is bool)

// DropKept takes those out of the overflow that are only kept: they do without a slot if none
// can be added.
func (p *Placement) DropKept(kept Kept) {
	var listed []discovery.Endpoint
	p.slotless = nil
	for _, e := range p.overflow {
		if _, is := kept(e.Addr); is {
			p.slotless = append(p.slotless, e)
		} else {
			listed = append(listed, e)
		}
	}
	p.overflow = listed
}

// Yield has kept endpoints give their slots to those that are listed and have none: those that
// are down, or all if down is nil, the one that is kept longest first. It reports whether any
// did.
func (p *Placement) Yield(kept Kept, down func(netip.AddrPort) bool) bool {
	type victim struct {
		addr  netip.AddrPort
		since time.Time
	}
	var victims []victim
	for _, s := range p.table {
		if since, is := kept(s.Endpoint.Addr); !s.Free() && is && (down == nil || down(s.Endpoint.Addr)) {
			victims = append(victims, victim{s.Endpoint.Addr, since})
		}
	}
	slices.SortFunc(victims, func(x, y victim) int {
		return cmp.Or(x.since.Compare(y.since), x.addr.Compare(y.addr))
	})
	for _, v := range victims[:min(len(p.overflow), len(victims))] {
		p.yielded[v.addr] = down == nil
	}
	return len(victims) > 0
}

// TakeBack lets as many kept endpoints that gave their slots up have one as are free by
// now, the one that is kept for the shortest time first; for those that served, slots may be
// added, up to most in all. It reports whether any may have one.
func (p *Placement) TakeBack(kept Kept, most int) bool {
	if p.Short() || len(p.yielded) == 0 {
		return false
	}
	free, added := p.free(), max(most-len(p.table)-len(p.slotless), 0)
	since := func(a netip.AddrPort) time.Time { at, _ := kept(a); return at }
	back := slices.SortedFunc(maps.Keys(p.yielded), func(x, y netip.AddrPort) int {
		return cmp.Or(since(y).Compare(since(x)), x.Compare(y))
	})
	before := len(p.yielded)
	for _, a := range back {
		switch {
		case free > 0:
			free--
		case added > 0 && p.yielded[a]:
			added--
		default:
			continue
		}
		delete(p.yielded, a)
	}
	return len(p.yielded) < before
}

// EndYield forgets which of those gave up their slot that are not kept any more, and reports
// whether any had.
func (p *Placement) EndYield(kept Kept) bool {
	before := len(p.yielded)
	maps.DeleteFunc(p.yielded, func(a netip.AddrPort, _ bool) bool { _, is := kept(a); return !is })
	return len(p.yielded) < before
}

// Yielded reports whether a kept endpoint gave its slot to one that is listed.
func (p *Placement) Yielded(a netip.AddrPort) bool { _, has := p.yielded[a]; return has }

// WithoutYielded returns those of eps that did not give their slot away.
func (p *Placement) WithoutYielded(eps []discovery.Endpoint) []discovery.Endpoint {
	if len(p.yielded) == 0 {
		return eps
	}
	return slices.DeleteFunc(slices.Clone(eps), func(e discovery.Endpoint) bool { return p.Yielded(e.Addr) })
}

// Settle notes what came of it all: since when slots lack, and how many are needed.
func (p *Placement) Settle(now time.Time) {
	if !p.Short() {
		p.short = time.Time{}
	} else if p.short.IsZero() {
		p.short = now
	}
	p.trend.observe(p.Needed(), now)
}

// HasAny reports whether any of the addresses has a slot.
func (p *Placement) HasAny(of map[netip.AddrPort]bool) bool {
	return slices.ContainsFunc(p.table, func(s slots.Slot) bool { return of[s.Endpoint.Addr] })
}

// Needed is how many endpoints should have a slot.
func (p *Placement) Needed() int {
	return len(p.overflow) + p.count(func(s slots.Slot) bool { return !s.Free() })
}

// Templated is how many slots the configuration has.
func (p *Placement) Templated() int {
	return p.count(func(s slots.Slot) bool { return !s.Dynamic })
}

// Extended is the table as it will be with n slots in the configuration, from number first on.
func (p *Placement) Extended(first, n int, wanted []discovery.Endpoint) slots.Table {
	t, known := slices.Clone(p.table), slots.FindSlot(p.table)
	for i := range t {
		t[i].Dynamic = false
	}
	for k := range n {
		if number := first + k; known(number) == nil {
			t = append(t, slots.Slot{Number: number})
		}
	}
	t, _ = t.Assign(wanted, time.Time{})
	return t
}

// Forecast says how many slots are free, by how many endpoints the backend has grown in the
// last hour, and how long the free ones last at that pace; 0 if it does not grow.
func (p *Placement) Forecast() (free, perHour int, fullIn time.Duration) {
	free = p.free()
	return free, p.trend.perHour(), p.trend.fullIn(free)
}

// free is how many slots may be given to an endpoint.
func (p *Placement) free() int {
	return p.count(func(s slots.Slot) bool { return s.Free() && !s.Reserved })
}

func (p *Placement) count(is func(slots.Slot) bool) (n int) {
	for _, s := range p.table {
		if is(s) {
			n++
		}
	}
	return n
}
