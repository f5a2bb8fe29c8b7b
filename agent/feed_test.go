package agent

import (
	"slices"
	"testing"

	"github.com/slotsync/slotsync/discovery"
)

// states returns eps in another state.
func states(eps []discovery.Endpoint, s discovery.State, reason string) []discovery.Endpoint {
	eps = slices.Clone(eps)
	for i := range eps {
		eps[i].State, eps[i].Reason = s, reason
	}
	return eps
}

func TestPairFeeds(t *testing.T) {
	f := func(name, key, identity string) Feed { return Feed{Name: name, Key: key, Identity: identity} }
	a, b := f("consul", "k1", "i1"), f("file", "k2", "i2")
	tests := []struct {
		name         string
		before, next []Feed
		want         []int
	}{
		{"same", []Feed{a, b}, []Feed{a, b}, []int{0, 1}},
		{"other order", []Feed{a, b}, []Feed{b, a}, []int{1, 0}},
		{"another name", []Feed{a}, []Feed{f("c", "k1", "i1")}, []int{0}},
		{"another key", []Feed{a, b}, []Feed{f("file", "k9", "i1"), b}, []int{0, 1}},
		{"another question", []Feed{a, b}, []Feed{f("file", "k9", "i9"), a}, []int{1, 0}},
		{"all others", []Feed{a, b}, []Feed{f("x", "k8", "i8"), f("y", "k9", "i9")}, []int{0, 1}},
		{"one more", []Feed{a}, []Feed{b, a}, []int{-1, 0}},
		{"one less", []Feed{a, b}, []Feed{b}, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := pairFeeds(tt.before, tt.next); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
