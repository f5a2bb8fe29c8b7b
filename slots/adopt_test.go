package slots_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// show returns the servers of one instance, one for each word: "-" is a slot
// that was never used, "r1" endpoint 1 ready, "d1" in drain, "m1" in maint.
func show(words ...string) []slots.Server {
	own := unused(len(words))
	for i, w := range words {
		if w == "-" {
			continue
		}
		own[i].Addr = addr(int(w[1] - '0'))
		own[i].Class = map[byte]slots.Class{'r': slots.Ready, 'd': slots.Drain, 'm': slots.Maint}[w[0]]
	}
	return own
}

func TestAdopt(t *testing.T) {
	type views = [][]slots.Server
	tests := []struct {
		name   string
		views  views
		prefer map[netip.AddrPort]int
		want   map[int]int // slot by endpoint; 1 to 3 are known
	}{
		{name: "no instance", want: map[int]int{}},
		{name: "one instance", views: views{show("r2", "-", "r1")}, want: map[int]int{1: 3, 2: 1}},
		{name: "unknown endpoints stay out", views: views{show("r9", "r1")}, want: map[int]int{1: 2}},
		{name: "majority", views: views{show("r1", "-"), show("-", "r1"), show("-", "r1")}, want: map[int]int{1: 2}},
		{name: "tie: first instance", views: views{show("-", "r1"), show("r1", "-")}, want: map[int]int{1: 2}},
		{name: "ready beats drain", views: views{show("d1", "-"), show("d1", "-"), show("-", "r1")}, want: map[int]int{1: 2}},
		{name: "drain if none is ready", views: views{show("-", "d1"), show("-", "m1")}, want: map[int]int{1: 2}},
		{name: "maint at its own address", views: views{show("-", "m1")}, want: map[int]int{1: 2}},
		{name: "ready beats maint in a lower slot", views: views{show("m1", "r1")}, want: map[int]int{1: 2}},
		{name: "twice in one instance: lowest number", views: views{show("-", "r1", "r1")}, want: map[int]int{1: 2}},
		{name: "contested slot: more votes", views: views{show("r1"), show("r2"), show("r2")}, want: map[int]int{2: 1}},
		{name: "contested slot: first instance", views: views{show("r2"), show("r1")}, want: map[int]int{2: 1}},
		{name: "loser gets its next best", views: views{show("r1", "-"), show("r2", "r1"), show("r2", "-")}, want: map[int]int{2: 1, 1: 2}},
		{name: "prefer", views: views{show("-", "-")}, prefer: map[netip.AddrPort]int{addr(1): 2}, want: map[int]int{1: 2}},
		{name: "prefer: slot is taken", views: views{show("r2", "-")}, prefer: map[netip.AddrPort]int{addr(1): 1}, want: map[int]int{2: 1}},
		{name: "prefer: slot serves an unmanaged address", views: views{show("r9", "-")}, prefer: map[netip.AddrPort]int{addr(1): 1}, want: map[int]int{}},
		{name: "prefer: no such slot", views: views{show("-")}, prefer: map[netip.AddrPort]int{addr(1): 9}, want: map[int]int{}},
		{name: "prefer: what is live wins", views: views{show("-", "r1")}, prefer: map[netip.AddrPort]int{addr(1): 1}, want: map[int]int{1: 2}},
		{
			name: "prefer: two want one, the smaller address gets it", views: views{show("-")},
			prefer: map[netip.AddrPort]int{addr(2): 1, addr(1): 1}, want: map[int]int{1: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := places(slots.Adopt(tt.views, ready(3, 2, 1), tt.prefer, epoch))
			want := map[netip.AddrPort]string{}
			for e, n := range tt.want {
				want[addr(e)] = name(n)
			}
			if diff := cmp.Diff(want, got, byValue); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One table: over any disagreeing instances, an endpoint is in the slot where
// most have it, unless that slot is another's for the same reason.
func TestAdoptFollowsTheMajority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "slots")
		var views [][]slots.Server
		for range rapid.IntRange(1, 4).Draw(t, "instances") {
			views = append(views, drawInstance(t, n, 0))
		}
		known := drawEndpoints(t, 12, "known")
		table := slots.Adopt(views, known, nil, epoch)
		votes := func(a netip.AddrPort, slot string) (v [3]int) {
			for _, own := range views {
				for _, s := range own {
					if s.Addr == a && s.Name == slot {
						v[slots.Ready-s.Class]++
					}
				}
			}
			return v
		}
		less := func(a, b [3]int) bool {
			for i := range a {
				if a[i] != b[i] {
					return a[i] < b[i]
				}
			}
			return false
		}
		at := places(table)
		for _, e := range known {
			for _, s := range table {
				here, there := votes(e.Addr, at[e.Addr]), votes(e.Addr, name(s.Number))
				if less(here, there) && (s.Free() || less(votes(s.Endpoint.Addr, name(s.Number)), there)) {
					t.Fatalf("%v is in %q with %v, not in %q with %v", e, at[e.Addr], here, name(s.Number), there)
				}
			}
		}
	})
}

func TestObserve(t *testing.T) {
	since := func(own []slots.Server, d time.Duration, sessions int) []slots.Server {
		for i := range own {
			own[i].Since, own[i].Sessions = d, sessions
		}
		return own
	}
	ago := func(d time.Duration) time.Time { return epoch.Add(-d) }
	tests := []struct {
		name  string
		table slots.Table
		views [][]slots.Server
		want  slots.Table
	}{
		{name: "no answer changes nothing", table: slots.Table{{Number: 1, Busy: true}}, want: slots.Table{{Number: 1, Busy: true}}},
		{name: "new slots, by number", views: [][]slots.Server{slots.Own(named("web10", "web9"), "web")}, want: slots.Table{{Number: 9}, {Number: 10}}},
		{name: "a free slot goes", table: slots.Table{{Number: 1}}, views: [][]slots.Server{nil}},
		{
			name: "a held slot that nobody has goes", table: slots.Table{{Number: 1, Endpoint: ready(1)[0]}}, views: [][]slots.Server{show("-")[:0], nil},
			want: slots.Table{},
		},
		{
			name: "a held slot that one lacks stays", table: slots.Table{{Number: 1, Endpoint: ready(1)[0]}}, views: [][]slots.Server{show("-"), nil},
			want: slots.Table{{Number: 1, Endpoint: ready(1)[0], Lacking: true}},
		},
		{
			name: "a held slot that is to be added stays", table: slots.Table{{Number: 1, Endpoint: ready(1)[0], Dynamic: true}}, views: [][]slots.Server{nil},
			want: slots.Table{{Number: 1, Endpoint: ready(1)[0], Dynamic: true}},
		},
		{
			name: "a free slot that is ready somewhere is busy", table: slots.Table{{Number: 1, Freed: ago(time.Hour)}}, views: [][]slots.Server{show("r1")},
			want: slots.Table{{Number: 1, Last: addr(1), Freed: ago(time.Hour), Busy: true}},
		},
		{
			name: "one lacks it", views: [][]slots.Server{show("-"), show("-", "-")},
			want: slots.Table{{Number: 1}, {Number: 2, Lacking: true}},
		},
		{
			name: "last address", views: [][]slots.Server{since(show("m1", "m2"), time.Minute, -1)},
			want: slots.Table{{Number: 1, Last: addr(1), Freed: ago(time.Minute)}, {Number: 2, Last: addr(2), Freed: ago(time.Minute)}},
		},
		{
			name: "never in the future", views: [][]slots.Server{since(show("m1"), -time.Hour, 0)},
			want: slots.Table{{Number: 1, Last: addr(1), Freed: epoch}},
		},
		{
			name: "freed is kept", table: slots.Table{{Number: 1, Freed: ago(time.Hour)}}, views: [][]slots.Server{show("m1")},
			want: slots.Table{{Number: 1, Last: addr(1), Freed: ago(time.Hour)}},
		},
		{
			name: "a restart makes it unused", table: slots.Table{{Number: 1, Last: addr(1), Freed: ago(1)}}, views: [][]slots.Server{show("-")},
			want: slots.Table{{Number: 1}},
		},
		{
			name: "majority", views: [][]slots.Server{show("m1"), since(show("m2"), 2, 0), since(show("m2"), 1, 0)},
			want: slots.Table{{Number: 1, Last: addr(2), Freed: ago(1)}},
		},
		{
			name: "tie: first instance", views: [][]slots.Server{show("m2"), show("m1")},
			want: slots.Table{{Number: 1, Last: addr(2), Freed: epoch}},
		},
		{
			name: "busy anywhere", views: [][]slots.Server{show("-"), since(show("m1"), 0, 1)},
			want: slots.Table{{Number: 1, Last: addr(1), Freed: epoch, Busy: true}},
		},
		{
			name: "a restart of one instance makes it unused there alone", views: [][]slots.Server{show("-"), show("-"), show("m1")},
			want: slots.Table{{Number: 1, Last: addr(1), Freed: epoch}},
		},
		{
			name: "a held slot is not busy", table: slots.Table{{Number: 1, Endpoint: ready(1)[0]}}, views: [][]slots.Server{since(show("r1"), 0, 1)},
			want: slots.Table{{Number: 1, Endpoint: ready(1)[0]}},
		},
		{
			name: "reserved is kept", table: slots.Table{{Number: 1, Reserved: true}}, views: [][]slots.Server{show("-")},
			want: slots.Table{{Number: 1, Reserved: true}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.table.Observe(tt.views, epoch), byValue); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	down, drain := ready(2)[0], ready(3)[0]
	down.State, drain.State = discovery.Down, discovery.Drain
	table := slots.Table{
		{Number: 1, Endpoint: ready(1)[0]}, {Number: 2, Endpoint: down}, {Number: 3, Endpoint: drain},
		{Number: 4, Last: addr(4)}, {Number: 5, Reserved: true, Endpoint: ready(5)[0]},
	}
	got := table.Targets(map[netip.AddrPort]int{addr(1): 7})
	want := []slots.Target{
		{Number: 1, Addr: addr(1), Class: slots.Ready, Weight: 7}, {Number: 2, Addr: addr(2)},
		{Number: 3, Addr: addr(3), Class: slots.Drain}, {Number: 4}, {Number: 5, Leave: true},
	}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Error(diff)
	}
}
