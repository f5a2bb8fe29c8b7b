package slots

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Observe returns t brought up to date with what the instances show: views has
// the own servers (see [Own]) of each one that answered, in configured order.
// Without any view t stays as it is. now is the time of the views.
//
//	slot     shown by     becomes
//	any      some         Lacking unless Dynamic; used after all others
//	free     none         gone
//	held     none         gone, and its endpoint without a slot; kept if it is Dynamic
//	any      one, Dynamic Dynamic, unless another one has it in its template
//	Dynamic  as template  no longer Dynamic
//	free     an address   Last is the one that most show, the first one's if equally many do
//	free     placeholders Last and Freed zero: never used
//	free     sessions, or ready  Busy
//	not ready  sessions, or not known  Busy
func (t Table) Observe(views [][]Server, now time.Time) Table {
	if len(views) == 0 {
		return slices.Clone(t)
	}
	looks, unknown := lookAt(views), 0
	for _, l := range looks {
		unknown += len(l.at)
	}
	next := make(Table, 0, max(len(t), len(views[0])))
	var shown []sighting
	for _, s := range t {
		shown = sightings(shown[:0], looks, s.Number)
		unknown -= len(shown)
		if len(shown) > 0 || !s.Free() && s.Dynamic {
			next = append(next, s.observed(shown, len(views), now))
		}
	}
	if unknown > 0 {
		next = next.discover(t, looks, now)
	}
	return next
}

// discover adds the slots that t does not know.
func (next Table) discover(t Table, looks []look, now time.Time) Table {
	known := make(map[int]bool, len(t))
	for _, s := range t {
		known[s.Number] = true
	}
	for _, l := range looks {
		for number := range l.at {
			if !known[number] {
				known[number] = true
				next = append(next, Slot{Number: number}.observed(sightings(nil, looks, number), len(looks), now))
			}
		}
	}
	slices.SortFunc(next, func(a, b Slot) int { return cmp.Compare(a.Number, b.Number) })
	return next
}

// A look is a view that is being looked at.
type look struct {
	own         []Server
	at          map[int]int
	placeholder netip.AddrPort
	template    bool // it can be told which slots were added
}

func lookAt(views [][]Server) []look {
	looks := make([]look, len(views))
	for i, own := range views {
		looks[i] = look{own, byNumber(own), Placeholder(own), slices.ContainsFunc(own, func(s Server) bool { return s.Disabled })}
	}
	return looks
}

// A sighting is one slot as one instance shows it. Its address is zero if it is
// a placeholder there.
type sighting struct {
	addr     netip.AddrPort
	since    time.Duration
	sessions int
	ready    bool
	// dynamic: it was added. template: it was not.
	dynamic, template bool
}

// sightings appends what the views show of a slot, in their order.
func sightings(shown []sighting, looks []look, number int) []sighting {
	for _, l := range looks {
		i, ok := l.at[number]
		if !ok {
			continue
		}
		s := &l.own[i]
		v := sighting{s.Addr, s.Since, s.Sessions, s.Class == Ready, s.Dynamic, l.template && !s.Dynamic}
		if IsPlaceholder(s.Addr, l.placeholder) {
			v.addr = netip.AddrPort{}
		}
		shown = append(shown, v)
	}
	return shown
}

// observed returns s as shown by some of n instances.
func (s Slot) observed(shown []sighting, n int, now time.Time) Slot {
	added, template := false, false
	s.Busy = false
	for _, v := range shown {
		added, template = added || v.dynamic, template || v.template
		s.Busy = s.Busy || v.sessions > 0 || v.ready || v.sessions < 0 && !s.Free()
	}
	s.Dynamic = (added || s.Dynamic) && !template
	s.Lacking = len(shown) < n && !s.Dynamic
	if !s.Free() {
		s.Busy = s.Busy && s.Endpoint.State != discovery.Ready
		return s
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

// majority returns the address that most of shown have, of those that have one, and how
// long ago the latest of those changed. One that was restarted has forgotten what others
// still serve.
func majority(shown []sighting) (a netip.AddrPort, since time.Duration) {
	votes := 0
	for i, s := range shown {
		if !s.addr.IsValid() {
			continue
		}
		n, shortest := 0, s.since
		for _, other := range shown[i:] {
			if other.addr == s.addr {
				n, shortest = n+1, min(shortest, other.since)
			}
		}
		if n > votes {
			votes, a, since = n, s.addr, shortest
		}
	}
	return a, since
}
