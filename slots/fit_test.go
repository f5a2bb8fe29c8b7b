package slots_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/slots"
)

var usesAll = slots.Ability{Usable: func(*slots.Server) bool { return true }}

// from numbers the servers from first on.
func from(first int, own []slots.Server) []slots.Server {
	for i := range own {
		own[i].Name, own[i].Number = name(first+i), first+i
	}
	return own
}

// fitted says which slot has which endpoint, by the number of it.
func fitted(want []slots.Target) map[int]int {
	at := map[int]int{}
	for _, w := range want {
		if w.Addr.IsValid() {
			at[int(w.Addr.Addr().As4()[3])] = w.Number
		}
	}
	return at
}

func TestFit(t *testing.T) {
	type list = []int
	busy := func(own []slots.Server) []slots.Server { own[0].Sessions = 1; return own }
	dynamic := func(want []slots.Target, k int) []slots.Target { want[k].Dynamic = true; return want }
	tests := []struct {
		name     string
		have     []slots.Server
		want     []slots.Target
		unusable list
		add      bool
		slots    list // by endpoint, 1 first
	}{
		{name: "all are there", have: show("-", "-"), want: wanted("r1", "r2"), slots: list{1, 2}},
		{name: "another range", have: from(101, show("-", "-")), want: wanted("r1", "r2"), slots: list{101, 102}},
		{name: "a smaller template", have: show("-", "-"), want: wanted("-", "r2", "r1", "-"), slots: list{1, 2}},
		{name: "stays where it is", have: show("-", "r1", "-"), want: wanted("-", "-", "-", "r1"), slots: list{2}},
		{name: "stays where it is ready", have: show("m1", "r1", "-"), want: wanted("-", "-", "-", "r1"), slots: list{2}},
		{name: "never used first", have: show("m9", "-"), want: wanted("-", "-", "r1"), slots: list{2}},
		{name: "idle before busy", have: busy(show("m9", "m8")), want: wanted("-", "-", "r1"), slots: list{2}},
		{name: "not one that is left", have: show("-", "-"), want: wanted("x", "-", "r1"), slots: list{2}},
		{name: "no slot is left", have: show("-"), want: wanted("r1", "r2"), slots: list{1, 2}},
		{name: "one that is added keeps its number", have: show("-"), want: dynamic(wanted("-", "r1"), 1), slots: list{2}},
		{name: "added", have: show("-"), want: wanted("r1", "r2"), add: true, slots: list{1, 2}},
		{name: "added above what there is", have: from(5, show("-")), want: wanted("r1", "r2", "-"), add: true, slots: list{5, 6}},
		{name: "added above what is wanted", have: from(5, show("-")), want: wanted("r1", "r2", "-", "-", "-", "-", "r3"), add: true, slots: list{5, 8, 7}},
		{name: "added before", have: append(from(5, show("-")), slots.Server{Name: "web8", Number: 8, Addr: addr(2), Dynamic: true}), want: wanted("r1", "r2"), add: true, slots: list{5, 8}},
		{name: "added in place of one that cannot be used", have: show("-", "-"), want: wanted("r1", "r2"), unusable: list{1}, add: true, slots: list{3, 2}},
		{name: "its slot cannot be used", have: show("-", "-"), want: wanted("r1", "-"), unusable: list{1}, slots: list{2}},
		{name: "nor any other", have: show("-", "-"), want: wanted("r1", "-"), unusable: list{1, 2}, slots: list{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.want)
			got := slots.Fit(tt.have, tt.want, slots.Ability{Usable: func(s *slots.Server) bool { return !slices.Contains(tt.unusable, s.Number) }, Add: tt.add})
			if !slices.Equal(before, tt.want) {
				t.Fatal("what was wanted is changed")
			}
			at := fitted(got)
			for i, number := range tt.slots {
				if at[i+1] != number {
					t.Errorf("endpoint %d is in %d, want %d", i+1, at[i+1], number)
				}
			}
		})
	}
}

// Whatever the numbers of an instance are, it serves as much as it has slots for, and
// nothing moves once it does.
func TestFitServesAsMuchAsThereIsRoomFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "slots")
		in, want := drawInstance(t, n, 0), drawTargets(t, 12)
		in = from(rapid.IntRange(0, 12).Draw(t, "first"), in)
		for i := range in {
			in[i].NoAddress = false
		}
		slots.MarkDynamic(in)
		can := usesAll
		can.Add = rapid.Bool().Draw(t, "adds")
		got := slots.Fit(in, want, can)
		addresses, numbers := map[any]int{}, map[int]bool{}
		lost, free := 0, 0
		for _, w := range got {
			if numbers[w.Number] {
				t.Fatalf("slot %d is wanted twice", w.Number)
			}
			numbers[w.Number] = true
			if w.Addr.IsValid() {
				addresses[w.Addr]++
			}
			if i := slices.IndexFunc(in, func(s slots.Server) bool { return s.Number == w.Number }); w.Addr.IsValid() && !w.Leave && i < 0 && !w.Dynamic {
				lost++
			}
		}
		for _, s := range in {
			i := slices.IndexFunc(got, func(w slots.Target) bool { return w.Number == s.Number })
			if !s.Dynamic && (i < 0 || !got[i].Leave && !got[i].Addr.IsValid()) {
				free++
			}
		}
		for _, w := range want {
			if w.Addr.IsValid() && addresses[w.Addr] != 1 {
				t.Fatalf("%v is wanted %d times", w.Addr, addresses[w.Addr])
			}
		}
		if lost > 0 && (free > 0 || can.Add) {
			t.Fatalf("%d have no slot, and %d slots are free", lost, free)
		}
		if err := in.repair(got, all); err != nil {
			t.Fatal(err)
		}
		seen := map[netip.AddrPort]bool{}
		for _, s := range in {
			if s.Addr.IsValid() && seen[s.Addr] {
				return // two have one endpoint: TestFitStaysWithWhatItChose
			}
			seen[s.Addr] = true
		}
		if again := slots.Fit(in, want, can); !maps.Equal(fitted(again), fitted(got)) {
			t.Fatalf("moves from\n%v to\n%v", got, again)
		}
	})
}

// TestFitStaysWithWhatItChose: of two slots that have the endpoint, the one that was chosen is
// chosen again once it is as it should be.
func TestFitStaysWithWhatItChose(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:80")
	for _, class := range []slots.Class{slots.Maint, slots.Drain, slots.Ready} {
		want := []slots.Target{{Number: 1, Addr: at, Class: class}}
		for _, have := range [][]slots.Class{{slots.Maint, slots.Drain}, {slots.Drain, slots.Ready}, {slots.Ready, slots.Drain}} {
			in := []slots.Server{{Name: "web6", Number: 6, Addr: at, Class: have[0]}, {Name: "web7", Number: 7, Addr: at, Class: have[1]}}
			first := fitted(slots.Fit(in, want, usesAll))[1]
			in[first-6].Class = class
			if again := fitted(slots.Fit(in, want, usesAll))[1]; again != first {
				t.Errorf("%v of %v: %d, then %d", class, have, first, again)
			}
		}
	}
}
