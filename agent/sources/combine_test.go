package sources

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestCombine(t *testing.T) {
	now := time.Unix(1000, 0)
	f := Failover{Primary: "a", Min: 2}.WithDefaults()
	full := whole("a", eps(80, 81))
	short := whole("a", eps(80))
	down := whole("a", states(eps(80, 81), discovery.Down, "critical"))
	other := whole("b", eps(90, 91))
	failing := func(c Contribution) Contribution { c.Failing = true; return c }
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := []struct {
		name     string
		parts    []Contribution
		failover Failover
		at       Position
		want     []discovery.Endpoint
		used     []bool
		next     Position
		due      time.Time
	}{
		{name: "union", parts: []Contribution{full, other}, want: eps(80, 81, 90, 91), used: []bool{true, true}},
		{name: "union of one that fails", parts: []Contribution{full, failing(other)}, want: eps(80, 81, 90, 91), used: []bool{true, true}},
		{name: "union with one that never answered", parts: []Contribution{full, whole("b", nil)}, want: eps(80, 81), used: []bool{true, true}},
		{name: "union of the same address", parts: []Contribution{down, short}, want: discovery.Normalize(slices.Concat(eps(80), down.Set.Endpoints)), used: []bool{true, true}},
		{name: "the primary has enough", parts: []Contribution{full, whole("b", nil)}, failover: f, want: eps(80, 81), used: []bool{true, false}},
		{name: "the primary lacks since now", parts: []Contribution{short, other}, failover: f, want: eps(80), used: []bool{true, false}, next: Position{Since: now}, due: now.Add(10 * time.Second)},
		{name: "the primary has lacked for long", parts: []Contribution{short, other}, failover: f, at: Position{Since: ago(10 * time.Second)}, want: eps(90, 91), used: []bool{false, true}, next: Position{FailedOver: true}},
		{name: "unhealthy is a lack", parts: []Contribution{down, other}, failover: f, at: Position{Since: ago(10 * time.Second)}, want: eps(90, 91), used: []bool{false, true}, next: Position{FailedOver: true}},
		{name: "an error is none", parts: []Contribution{failing(full), other}, failover: f, at: Position{Since: ago(time.Hour)}, want: eps(80, 81), used: []bool{true, false}},
		{name: "never answered is one", parts: []Contribution{failing(whole("a", nil)), other}, failover: f, at: Position{Since: ago(10 * time.Second)}, want: eps(90, 91), used: []bool{false, true}, next: Position{FailedOver: true}},
		{name: "nobody to stand in", parts: []Contribution{short, whole("b", nil)}, failover: f, at: Position{Since: ago(time.Hour)}, want: eps(80), used: []bool{true, false}, next: Position{Since: ago(time.Hour)}},
		{name: "enough again since now", parts: []Contribution{full, other}, failover: f, at: Position{FailedOver: true}, want: eps(90, 91), used: []bool{false, true}, next: Position{FailedOver: true, Since: now}, due: now.Add(time.Minute)},
		{name: "enough again for long", parts: []Contribution{full, other}, failover: f, at: Position{FailedOver: true, Since: ago(time.Minute)}, want: eps(80, 81), used: []bool{true, false}},
		{name: "enough last, and now it fails", parts: []Contribution{failing(full), other}, failover: f, at: Position{FailedOver: true, Since: ago(time.Hour)}, want: eps(90, 91), used: []bool{false, true}, next: Position{FailedOver: true}},
		{name: "the others lose everything", parts: []Contribution{short, whole("b", nil)}, failover: f, at: Position{FailedOver: true}, want: eps(80), used: []bool{true, true}, next: Position{FailedOver: true}},
		{name: "failover is configured no more", parts: []Contribution{short, other}, at: Position{FailedOver: true, Since: now}, want: eps(80, 90, 91), used: []bool{true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Combine(tt.parts, tt.failover, tt.at, now)
			if !slices.Equal(c.Set.Endpoints, tt.want) || len(c.Set.Kept) > 0 {
				t.Errorf("%v, kept %v, want %v", c.Set.Endpoints, c.Set.Kept, tt.want)
			}
			if !slices.Equal(c.Used, tt.used) || c.At != tt.next || !c.Due.Equal(tt.due) {
				t.Errorf("used %v at %+v due %v, want %v %+v %v", c.Used, c.At, c.Due, tt.used, tt.next, tt.due)
			}
		})
	}
}
