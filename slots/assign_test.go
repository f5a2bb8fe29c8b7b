package slots_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

var byValue = cmp.Options{cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmpopts.EquateEmpty()}

func places(t slots.Table) map[netip.AddrPort]string {
	at := map[netip.AddrPort]string{}
	for _, s := range t {
		if !s.Free() {
			at[s.Endpoint.Addr] = name(s.Number)
		}
	}
	return at
}

func TestNobodyMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawTable(t)
		old := slices.Clone(before)
		want := drawEndpoints(t, 16, "want")
		after, _ := before.Assign(want, epoch)
		if !slices.Equal(old, before) {
			t.Fatal("the table itself was changed")
		}
		was, is := places(before), places(after)
		for _, e := range want {
			if was[e.Addr] != "" && is[e.Addr] != was[e.Addr] {
				t.Fatalf("%v moved from %q to %q", e, was[e.Addr], is[e.Addr])
			}
		}
	})
}

func TestNoEndpointTwiceAndNoneUnwanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, want := drawTable(t), drawEndpoints(t, 16, "want")
		after, surplus := before.Assign(want, epoch)
		held := 0
		for i, s := range after {
			if s.Free() {
				continue
			}
			held++
			if !slices.Contains(want, s.Endpoint) {
				t.Fatalf("%v holds %v, which nobody wants", s.Number, s.Endpoint)
			}
			if s.Reserved && before[i].Free() {
				t.Fatalf("%v is reserved", s.Number)
			}
		}
		if held != len(places(after)) {
			t.Fatalf("an endpoint has two slots: %v", after)
		}
		for _, e := range surplus {
			if places(after)[e.Addr] != "" {
				t.Fatalf("%v is placed and surplus", e)
			}
		}
	})
}

func TestOrderOfInputIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, want := drawTable(t), drawEndpoints(t, 16, "want")
		a, left := table.Assign(want, epoch)
		b, other := table.Assign(rapid.Permutation(want).Draw(t, "permuted"), epoch)
		if !slices.Equal(a, b) || !slices.Equal(left, other) {
			t.Fatalf("%v, %v differs from %v, %v", a, left, b, other)
		}
	})
}

func TestSurplusOnlyWhenFull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEndpoints(t, 16, "want")
		table, surplus := drawTable(t).Assign(want, epoch)
		full := !slices.ContainsFunc(table, func(s slots.Slot) bool { return s.Free() && !s.Reserved })
		if len(surplus) > 0 && !full {
			t.Fatalf("%v is left over with a free slot", surplus)
		}
		left := map[netip.AddrPort]bool{}
		for _, e := range surplus {
			left[e.Addr] = true
		}
		for _, e := range want {
			if e.State == discovery.Ready && places(table)[e.Addr] == "" && !left[e.Addr] {
				t.Fatalf("%v is lost", e)
			}
		}
		if !slices.IsSortedFunc(surplus, func(a, b discovery.Endpoint) int { return a.Addr.Compare(b.Addr) }) {
			t.Fatalf("surplus %v is not sorted", surplus)
		}
	})
}

func TestAssignTwiceIsAssignOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEndpoints(t, 16, "want")
		once, surplus := drawTable(t).Assign(want, epoch)
		twice, again := once.Assign(want, epoch.Add(time.Hour))
		if !slices.Equal(once, twice) || !slices.Equal(surplus, again) {
			t.Fatalf("%v, %v became %v, %v", once, surplus, twice, again)
		}
	})
}

func TestReturningEndpointGetsItsSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, want := drawTable(t), drawEndpoints(t, 16, "want")
		after, _ := before.Assign(want, epoch)
		for _, e := range want {
			own := func(s slots.Slot) bool { return s.Free() && !s.Reserved && s.Last == e.Addr }
			i := slices.IndexFunc(before, own)
			if i >= 0 && places(before)[e.Addr] == "" && places(after)[e.Addr] != name(before[i].Number) {
				t.Fatalf("%v is in %q, not in %q", e, places(after)[e.Addr], name(before[i].Number))
			}
		}
	})
}

func TestOrderOfChoice(t *testing.T) {
	used := func(ago time.Duration) slots.Slot { return slots.Slot{Last: addr(99), Freed: epoch.Add(-ago)} }
	busy := func(s slots.Slot) slots.Slot { s.Busy = true; return s }
	lacking := func(s slots.Slot) slots.Slot { s.Lacking = true; return s }
	own := func(s slots.Slot) slots.Slot { s.Last = addr(1); return s }
	reserved := func(s slots.Slot) slots.Slot { s.Reserved = true; return s }
	tests := []struct {
		name  string
		table slots.Table
		state discovery.State
		want  string
	}{
		{name: "own address beats never used", table: slots.Table{{}, own(used(time.Second))}, want: "web2"},
		{name: "own address even if lacking", table: slots.Table{{}, lacking(own(used(time.Second)))}, want: "web2"},
		{name: "own address even if busy", table: slots.Table{{}, busy(own(used(time.Second)))}, want: "web2"},
		{name: "own address not if reserved", table: slots.Table{{}, reserved(own(used(time.Second)))}, want: "web1"},
		{name: "lowest number of two with its address", table: slots.Table{{}, own(used(1)), own(used(2))}, want: "web2"},
		{name: "never used, lowest first", table: slots.Table{used(time.Hour), {}, {}}, want: "web2"},
		{name: "free longest", table: slots.Table{used(61 * time.Second), used(time.Hour)}, want: "web2"},
		{name: "a minute beats a second", table: slots.Table{used(time.Second), used(61 * time.Second)}, want: "web2"},
		{name: "a second idle beats an hour busy", table: slots.Table{busy(used(time.Hour)), used(time.Second)}, want: "web2"},
		{name: "busy longest", table: slots.Table{busy(used(1)), busy(used(time.Hour))}, want: "web2"},
		{name: "tie by number", table: slots.Table{used(time.Hour), used(time.Hour)}, want: "web1"},
		{name: "busy beats lacking", table: slots.Table{lacking(slots.Slot{}), busy(used(1))}, want: "web2"},
		{name: "lacking when nothing else", table: slots.Table{lacking(used(time.Hour)), lacking(slots.Slot{})}, want: "web2"},
		{name: "reserved never", table: slots.Table{reserved(slots.Slot{})}, want: ""},
		{name: "drain gets no new slot", table: slots.Table{{}}, state: discovery.Drain, want: ""},
		{name: "down gets no new slot", table: slots.Table{{}}, state: discovery.Down, want: ""},
		{name: "drain gets its own", table: slots.Table{{}, own(used(1))}, state: discovery.Drain, want: "web2"},
		{name: "down gets its own", table: slots.Table{{}, own(used(1))}, state: discovery.Down, want: "web2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.table {
				tt.table[i].Number = i + 1
			}
			e := discovery.Endpoint{Addr: addr(1), State: tt.state}
			next, surplus := tt.table.Assign([]discovery.Endpoint{e}, epoch)
			if got := places(next)[addr(1)]; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if isSurplus := len(surplus) == 1; isSurplus != (tt.want == "" && tt.state == discovery.Ready) {
				t.Errorf("surplus %v", surplus)
			}
		})
	}
}

func TestLeavingEndpointFreesItsSlot(t *testing.T) {
	table := slots.Table{{Number: 1, Endpoint: ready(1)[0]}, {Number: 2, Endpoint: ready(2)[0]}}
	refreshed := discovery.Endpoint{Addr: addr(2), Weight: 7, Name: "two"}
	got, surplus := table.Assign([]discovery.Endpoint{refreshed}, epoch)
	want := slots.Table{{Number: 1, Last: addr(1), Freed: epoch}, {Number: 2, Endpoint: refreshed}}
	if diff := cmp.Diff(want, got, byValue); diff != "" || surplus != nil {
		t.Errorf("%s surplus %v", diff, surplus)
	}
}

func BenchmarkAssign1000(b *testing.B) {
	table := make(slots.Table, 1000)
	for i := range table {
		table[i].Number = i + 1
	}
	var half, want []discovery.Endpoint
	for i := range 1000 {
		want = append(want, ready(i+1)...)
		if i%2 == 0 {
			half = append(half, ready(i+2000)...)
		}
	}
	table, _ = table.Assign(half, epoch)
	for b.Loop() {
		table.Assign(want, epoch)
	}
}
