package slots

import (
	"net/netip"
	"slices"
	"time"
)

// Observe returns t brought up to date with what the instances show: views has
// the own servers (see [Own]) of each one that answered, in configured order.
// Without any view t stays as it is. now is the time of the views.
//
//	slot     shown by     becomes
//	any      some         Lacking; used after all others
//	free     none         gone
//	held     none         kept, Lacking
//	free     a majority   Last is the address that most show, the first one's if equally many do
//	free     placeholder  Last and Freed zero: never used
//	free     sessions     Busy
func (t Table) Observe(views [][]Server, now time.Time) Table {
	if len(views) == 0 {
		return slices.Clone(t)
	}
	seen := sightings(views)
	next := make(Table, 0, max(len(t), len(seen)))
	known := make(map[string]bool, len(t))
	for _, s := range t {
		known[s.Name] = true
		if len(seen[s.Name]) > 0 || !s.Free() {
			next = append(next, s.observed(seen[s.Name], len(views), now))
		}
	}
	for name, shown := range seen {
		if !known[name] {
			next = append(next, Slot{Name: name}.observed(shown, len(views), now))
		}
	}
	slices.SortFunc(next, func(a, b Slot) int { return byNumber(a.Name, b.Name) })
	return next
}

// A sighting is one slot as one instance shows it. Its address is zero if it is
// a placeholder there.
type sighting struct {
	view int
	Server
}

// sightings returns what the views show of each slot, by name and in their order.
func sightings(views [][]Server) map[string][]sighting {
	seen := map[string][]sighting{}
	for v, own := range views {
		placeholder := Placeholder(own)
		for _, s := range own {
			if IsPlaceholder(s.Addr, placeholder) {
				s.Addr = netip.AddrPort{}
			}
			if shown := seen[s.Name]; len(shown) == 0 || shown[len(shown)-1].view != v {
				seen[s.Name] = append(shown, sighting{v, s})
			}
		}
	}
	return seen
}

// observed returns s as shown by some of n instances.
func (s Slot) observed(shown []sighting, n int, now time.Time) Slot {
	s.Lacking = len(shown) < n
	s.Busy = false
	if !s.Free() {
		return s
	}
	for _, v := range shown {
		s.Busy = s.Busy || v.Sessions > 0
	}
	last, since := majority(shown)
	s.Last = last
	switch {
	case !last.IsValid():
		s.Freed = time.Time{}
	case s.Freed.IsZero():
		s.Freed = now.Add(-max(since, 0))
	}
	return s
}

// majority returns the address that most of shown have, and how long ago the
// latest of those changed.
func majority(shown []sighting) (a netip.AddrPort, since time.Duration) {
	votes := 0
	for i, s := range shown {
		n, shortest := 0, s.Since
		for _, other := range shown[i:] {
			if other.Addr == s.Addr {
				n, shortest = n+1, min(shortest, other.Since)
			}
		}
		if n > votes {
			votes, a, since = n, s.Addr, shortest
		}
	}
	return a, since
}
