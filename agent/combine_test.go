package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestCombine(t *testing.T) {
	now := time.Unix(1000, 0)
	f := Failover{Primary: "a", Min: 2}.withDefaults()
	full := part{name: "a", endpoints: eps(80, 81), known: true}
	short := part{name: "a", endpoints: eps(80), known: true}
	down := part{name: "a", endpoints: states(eps(80, 81), discovery.Down, "critical"), known: true}
	other := part{name: "b", endpoints: eps(90, 91), known: true}
	failing := func(p part) part { p.failing = true; return p }
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := []struct {
		name     string
		parts    []part
		failover Failover
		at       position
		want     []discovery.Endpoint
		weak     bool
		used     []bool
		next     position
		due      time.Time
	}{
		{name: "union", parts: []part{full, other}, want: eps(80, 81, 90, 91), used: []bool{true, true}},
		{name: "union of one that fails", parts: []part{full, failing(other)}, want: eps(80, 81, 90, 91), used: []bool{true, true}},
		{name: "union with one that never answered", parts: []part{full, {name: "b"}}, want: eps(80, 81), weak: true, used: []bool{true, true}},
		{name: "union of the same address", parts: []part{down, short}, want: discovery.Normalize(slices.Concat(eps(80), down.endpoints)), used: []bool{true, true}},
		{name: "the primary has enough", parts: []part{full, {name: "b"}}, failover: f, want: eps(80, 81), used: []bool{true, false}},
		{name: "the primary lacks since now", parts: []part{short, other}, failover: f, want: eps(80), used: []bool{true, false}, next: position{since: now}, due: now.Add(10 * time.Second)},
		{name: "the primary has lacked for long", parts: []part{short, other}, failover: f, at: position{since: ago(10 * time.Second)}, want: eps(90, 91), used: []bool{false, true}, next: position{away: true}},
		{name: "unhealthy is a lack", parts: []part{down, other}, failover: f, at: position{since: ago(10 * time.Second)}, want: eps(90, 91), used: []bool{false, true}, next: position{away: true}},
		{name: "an error is none", parts: []part{failing(full), other}, failover: f, at: position{since: ago(time.Hour)}, want: eps(80, 81), used: []bool{true, false}},
		{name: "never answered is one", parts: []part{{name: "a", failing: true}, other}, failover: f, at: position{since: ago(10 * time.Second)}, want: eps(90, 91), used: []bool{false, true}, next: position{away: true}},
		{name: "nobody to stand in", parts: []part{short, {name: "b", known: true}}, failover: f, at: position{since: ago(time.Hour)}, want: eps(80), used: []bool{true, false}, next: position{since: ago(time.Hour)}},
		{name: "enough again since now", parts: []part{full, other}, failover: f, at: position{away: true}, want: eps(90, 91), used: []bool{false, true}, next: position{away: true, since: now}, due: now.Add(time.Minute)},
		{name: "enough again for long", parts: []part{full, other}, failover: f, at: position{away: true, since: ago(time.Minute)}, want: eps(80, 81), used: []bool{true, false}},
		{name: "enough last, and now it fails", parts: []part{failing(full), other}, failover: f, at: position{away: true, since: ago(time.Hour)}, want: eps(90, 91), used: []bool{false, true}, next: position{away: true}},
		{name: "the others lose everything", parts: []part{short, {name: "b", known: true}}, failover: f, at: position{away: true}, want: eps(80), used: []bool{true, true}, next: position{away: true}},
		{name: "failover is configured no more", parts: []part{short, other}, at: position{away: true, since: now}, want: eps(80, 90, 91), used: []bool{true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := combine(tt.parts, tt.failover, tt.at, now)
			if !equal(c.reading.Endpoints, tt.want) || c.reading.Weak != tt.weak {
				t.Errorf("reading %v weak %v, want %v weak %v", c.reading.Endpoints, c.reading.Weak, tt.want, tt.weak)
			}
			if !slices.Equal(c.used, tt.used) || c.at != tt.next || !c.due.Equal(tt.due) {
				t.Errorf("used %v at %+v due %v, want %v %+v %v", c.used, c.at, c.due, tt.used, tt.next, tt.due)
			}
		})
	}
}

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
