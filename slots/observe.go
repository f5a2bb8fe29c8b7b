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
	indexed, unknown := indexViews(views), 0
	for _, l := range indexed {
		unknown += len(l.own)
	}
	next := make(Table, 0, max(len(t), len(views[0])))
	var shown []slotView
	for _, s := range t {
		shown = slotViews(shown[:0], indexed, s.Number)
		unknown -= len(shown)
		if len(shown) > 0 || !s.Free() && s.Dynamic {
			next = append(next, s.observed(shown, len(views), now))
		}
	}
	if unknown > 0 {
		next = next.discover(t, indexed, now)
	}
	return next
}

func (next Table) discover(t Table, indexed []indexedView, now time.Time) Table {
	known := make(map[int]bool, len(t))
	for _, s := range t {
		known[s.Number] = true
	}
	for _, l := range indexed {
		for _, s := range l.own {
			if !known[s.Number] {
				known[s.Number] = true
				next = append(next, Slot{Number: s.Number}.observed(slotViews(nil, indexed, s.Number), len(indexed), now))
			}
		}
	}
	slices.SortFunc(next, func(a, b Slot) int { return cmp.Compare(a.Number, b.Number) })
	return next
}

// An indexedView is what one instance shows, by slot number.
type indexedView struct {
	own         []Server
	find        func(number int) *Server
	placeholder netip.AddrPort
	template    bool // the slots that were added can be told from those of the template
}

func indexViews(views [][]Server) []indexedView {
	indexed := make([]indexedView, len(views))
	for i, own := range views {
		indexed[i] = indexedView{own, FindServer(own), Placeholder(own), slices.ContainsFunc(own, func(s Server) bool { return s.Disabled })}
	}
	return indexed
}

// A slotView is one slot as one instance shows it. Its address is zero if it is
// a placeholder there.
type slotView struct {
	addr     netip.AddrPort
	since    time.Duration
	sessions int
	ready    bool
	// dynamic: it was added. template: it was not.
	dynamic, template bool
}

func slotViews(shown []slotView, indexed []indexedView, number int) []slotView {
	for _, l := range indexed {
		s := l.find(number)
		if s == nil {
			continue
		}
		v := slotView{s.Addr, s.Since, s.Sessions, s.Class == Ready, s.Dynamic, l.template && !s.Dynamic}
		if IsPlaceholder(s.Addr, l.placeholder) {
			v.addr = netip.AddrPort{}
		}
		shown = append(shown, v)
	}
	return shown
}

// observed returns s as shown by some of n instances.
func (s Slot) observed(shown []slotView, n int, now time.Time) Slot {
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
func majority(shown []slotView) (a netip.AddrPort, since time.Duration) {
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
