package slots

import (
	"net/netip"
	"slices"
)

// An Ability says what an instance can do beside holding what it is wanted to.
type Ability struct {
	// Usable reports whether a slot can be given an address.
	Usable func(*Server) bool
	// Add: servers can be added.
	Add bool
}

// Fit returns want as an instance can be made to hold it that shows have (see
// [Own]): what is wanted in a slot that the instance lacks or cannot use goes to one
// that it has and that want leaves free, or to one that is added. So an instance whose
// template has other numbers than the others serves as much as it has slots for. The
// result has a target for each slot of want; those for which there is no slot are as
// they were.
//
// An endpoint stays in the slot that it has. Else it gets one that was never used,
// then an idle one, then any, the lowest number first, and at last one that is added:
// with its own number if that is higher than all that the instance has, so that it can
// be told from the template, and else with one above all that there are. Those that are
// to be added anyway (Dynamic) keep their numbers.
func Fit(have []Server, want []Target, can Ability) []Target {
	find := FindServer(have)
	var strays []int
	for k := range want {
		w := &want[k]
		s := find(w.Number)
		if w.Addr.IsValid() && !w.Leave && (s != nil && !can.Usable(s) || s == nil && !w.Dynamic) {
			strays = append(strays, k)
		}
	}
	if len(strays) == 0 || len(have) == 0 {
		return want
	}
	f := newFitting(have, want, can)
	rest := strays[:0]
	for _, k := range strays {
		if !f.stay(k) {
			rest = append(rest, k)
		}
	}
	for _, k := range rest {
		f.move(k)
	}
	return f.want
}

// A fitting is what Fit decides upon.
type fitting struct {
	have []Server
	want []Target
	add  bool
	at   map[int]int // the index of the target of each slot
	// free are the indices of the servers of the template that may be used, the best
	// first, added those of the others.
	free, added []int
	// highest is the number above which nothing has one; template the same of what
	// have shows.
	highest, template int
}

func newFitting(have []Server, want []Target, can Ability) *fitting {
	f := &fitting{have: have, want: slices.Clone(want), add: can.Add, at: make(map[int]int, len(want)), highest: -1, template: -1}
	for k, w := range want {
		f.at[w.Number] = k
		f.highest = max(f.highest, w.Number)
	}
	for i := range have {
		s := &have[i]
		f.highest = max(f.highest, s.Number)
		if !s.Dynamic {
			f.template = max(f.template, s.Number)
		}
		k, wanted := f.at[s.Number]
		switch {
		case wanted && (want[k].Leave || want[k].Addr.IsValid()) || !can.Usable(s):
		case s.Dynamic:
			f.added = append(f.added, i)
		default:
			f.free = append(f.free, i)
		}
	}
	placeholder := Placeholder(have)
	slices.SortStableFunc(f.free, func(i, j int) int { return have[i].reuseRank(placeholder) - have[j].reuseRank(placeholder) })
	return f
}

// reuseRank is that of [Slot], for a server that no target wants.
func (s *Server) reuseRank(placeholder netip.AddrPort) int {
	switch {
	case s.Class == Maint && IsPlaceholder(s.Addr, placeholder):
		return 0
	case s.Class == Maint && s.Sessions <= 0:
		return 1
	}
	return 2
}

// stay gives the endpoint of target k the slot where it is already. If several have it, as
// after a change by hand, it is the one where it serves most, as far as it is to serve: so
// the one that is chosen is the best afterwards, too.
func (f *fitting) stay(k int) bool {
	serves := func(i int) Class { return min(f.have[i].Class, f.want[k].Class) }
	for _, from := range [...]*[]int{&f.free, &f.added} {
		best := -1
		for n, i := range *from {
			if f.have[i].Addr == f.want[k].Addr && (best < 0 || serves(i) > serves((*from)[best])) {
				best = n
			}
		}
		if best >= 0 {
			s := &f.have[(*from)[best]]
			*from = slices.Delete(*from, best, best+1)
			f.give(k, s.Number, s.Dynamic)
			return true
		}
	}
	return false
}

// move gives the endpoint of target k the best slot that is left.
func (f *fitting) move(k int) {
	switch w := &f.want[k]; {
	case len(f.free) > 0:
		n := f.have[f.free[0]].Number
		f.free = f.free[1:]
		f.give(k, n, false)
	case !f.add:
	case w.Number > f.template && FindServer(f.have)(w.Number) == nil:
		w.Dynamic = true
	default:
		f.highest++
		f.give(k, f.highest, true)
	}
}

// give moves what target k wants to another slot.
func (f *fitting) give(k, number int, dynamic bool) {
	moved := f.want[k]
	f.want[k] = Target{Number: moved.Number, Dynamic: moved.Dynamic}
	moved.Number, moved.Dynamic = number, dynamic
	if to, ok := f.at[number]; ok {
		f.want[to] = moved
		return
	}
	f.want = append(f.want, moved)
}
