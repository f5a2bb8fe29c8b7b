package slots

import "slices"

// Fit returns want as an instance can be made to hold it that shows have (see
// [Own]): what is wanted in a slot that the instance lacks, or of which usable is
// false, goes to one that it has and that want leaves free. So an instance whose
// template has other numbers than the others serves as much as it has slots for. The
// result has a target for each slot of want; those for which no slot is left are as
// they were.
//
// An endpoint stays in the slot that it has. Else it gets one that was never used,
// then an idle one, then any; the lowest number first. Those to be added (Dynamic)
// keep their numbers.
func Fit(have []Server, want []Target, usable func(*Server) bool) []Target {
	at := inOrder(have)
	var strays []int
	for k := range want {
		w := &want[k]
		i, ok := at(w.Number)
		if w.Addr.IsValid() && !w.Leave && (ok && !usable(&have[i]) || !ok && !w.Dynamic) {
			strays = append(strays, k)
		}
	}
	if len(strays) == 0 {
		return want
	}
	f := newFitting(have, want, usable)
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
	at   func(number int) (int, bool)
	// free are the indices of the servers that may be used, the best first.
	free []int
}

func newFitting(have []Server, want []Target, usable func(*Server) bool) *fitting {
	f := &fitting{have: have, want: slices.Clone(want), at: indexOf(want)}
	placeholder := Placeholder(have)
	wear := func(i int) int {
		switch s := &have[i]; {
		case s.Class == Maint && IsPlaceholder(s.Addr, placeholder):
			return 0
		case s.Class == Maint && s.Sessions <= 0:
			return 1
		}
		return 2
	}
	for i := range have {
		k, wanted := f.at(have[i].Number)
		if usable(&have[i]) && !have[i].Dynamic && (!wanted || !want[k].Leave && !want[k].Addr.IsValid()) {
			f.free = append(f.free, i)
		}
	}
	slices.SortStableFunc(f.free, func(i, j int) int { return wear(i) - wear(j) })
	return f
}

// indexOf returns a function that finds the target of a slot.
func indexOf(want []Target) func(number int) (int, bool) {
	at := make(map[int]int, len(want))
	for k := range want {
		at[want[k].Number] = k
	}
	return func(number int) (int, bool) { k, ok := at[number]; return k, ok }
}

// stay gives the endpoint of target k the slot where it is already.
func (f *fitting) stay(k int) bool {
	best := -1
	for n, i := range f.free {
		if s := &f.have[i]; s.Addr == f.want[k].Addr && (best < 0 || s.Class > f.have[f.free[best]].Class) {
			best = n
		}
	}
	if best < 0 {
		return false
	}
	f.give(k, best)
	return true
}

// move gives the endpoint of target k the best slot that is left.
func (f *fitting) move(k int) {
	if len(f.free) > 0 {
		f.give(k, 0)
	}
}

func (f *fitting) give(k, n int) {
	number := f.have[f.free[n]].Number
	f.free = slices.Delete(f.free, n, n+1)
	moved := f.want[k]
	f.want[k] = Target{Number: moved.Number, Dynamic: moved.Dynamic}
	moved.Number, moved.Dynamic = number, false
	if to, ok := f.at(number); ok {
		f.want[to] = moved
		return
	}
	f.want = append(f.want, moved)
}
