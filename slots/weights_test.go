package slots_test

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func weighted(weights ...int) []discovery.Endpoint {
	eps := make([]discovery.Endpoint, len(weights))
	for i, w := range weights {
		eps[i] = discovery.Endpoint{Addr: addr(i + 1), Weight: w}
	}
	return eps
}

func TestScale(t *testing.T) {
	tests := []struct {
		name string
		eps  []discovery.Endpoint
		want []int
	}{
		{"none named", weighted(0, 0), []int{0, 0}},
		{"all equal", weighted(7, 7), []int{0, 0}},
		{"all equal and large", weighted(70000, 70000), []int{0, 0}},
		{"only one", weighted(7), []int{0}},
		{"as they are", weighted(1, 256, 30), []int{1, 256, 30}},
		{"unnamed is 1", weighted(0, 10), []int{1, 10}},
		{"unnamed and 1 are equal", weighted(0, 1), []int{0, 0}},
		{"halved", weighted(512, 100, 1), []int{256, 50, 1}},
		{"rounds to 256", weighted(511, 1), []int{256, 1}},
		{"rounds beyond 256", weighted(513, 4), []int{128, 1}},
		{"largest there is", weighted(math.MaxInt, 1), []int{256, 1}},
		{"negative is unnamed", weighted(-5, 10), []int{1, 10}},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := slots.Scale(tt.eps)
			for i, want := range tt.want {
				if got[addr(i+1)] != want {
					t.Errorf("endpoint %d: got %d, want %d", i+1, got[addr(i+1)], want)
				}
			}
		})
	}
}

func TestScaleCountsWhatIsRegistered(t *testing.T) {
	eps := weighted(1000, 100, 50)
	eps[0].State = discovery.Down
	if got := slots.Scale(eps); got[addr(2)] != 25 || got[addr(3)] != 13 {
		t.Errorf("a flapping endpoint changes the others: %v", got)
	}
	eps = weighted(100, 100, 0)
	eps[2].State = discovery.Drain
	if got := slots.Scale(eps); got[addr(1)] != 0 || got[addr(2)] != 0 {
		t.Errorf("weight 0 of one changes the others: %v", got)
	}
}

// Weights: ratios are kept as far as whole numbers go, and nobody gets 0 where
// others get more.
func TestWeightsKeepTheirRatios(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 1<<20), 2, 10).Draw(t, "weights")
		scaled := slots.Scale(weighted(weights...))
		most := slices.Max(weights)
		if slices.Min(weights) == most {
			return
		}
		divisor := 1
		for (most+divisor/2)/divisor > slots.MaxWeight {
			divisor *= 2
		}
		for i, w := range weights {
			got := scaled[addr(i+1)]
			if got < 1 || got > slots.MaxWeight {
				t.Fatalf("%d became %d", w, got)
			}
			if off := got*divisor - w; got > 1 && max(off, -off) > divisor/2 {
				t.Fatalf("%d became %d, divided by %d", w, got, divisor)
			}
		}
		if got := scaled[addr(slices.Index(weights, most)+1)]; divisor > 1 && got < slots.MaxWeight/2 {
			t.Fatalf("the largest became %v", scaled)
		}
	})
}

// Weights: one that leaves, unless it was the largest, changes no other.
func TestLeavingDoesNotReweighOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 1000), 3, 10).Draw(t, "weights")
		eps := weighted(weights...)
		gone := rapid.IntRange(0, len(eps)-1).Draw(t, "gone")
		rest := slices.Delete(slices.Clone(eps), gone, gone+1)
		same := func(e discovery.Endpoint) bool { return e.Weight == rest[0].Weight }
		before, after := slots.Scale(eps), slots.Scale(rest)
		largest := !slices.ContainsFunc(rest, func(e discovery.Endpoint) bool { return e.Weight >= weights[gone] })
		if largest || !slices.ContainsFunc(rest, func(e discovery.Endpoint) bool { return !same(e) }) {
			return
		}
		check := func(a netip.AddrPort) {
			if before[a] != after[a] {
				t.Fatalf("%v went from %d to %d", a, before[a], after[a])
			}
		}
		for _, e := range rest {
			check(e.Addr)
		}
	})
}
