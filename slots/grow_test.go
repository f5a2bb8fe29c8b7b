package slots_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func inState(state discovery.State, ns ...int) []discovery.Endpoint {
	eps := ready(ns...)
	for i := range eps {
		eps[i].State = state
	}
	return eps
}

func TestGrow(t *testing.T) {
	table := slots.Table{{Number: 9, Endpoint: ready(1)[0]}, {Number: 10}}
	got, left := table.Grow(ready(5, 3, 4, 1), 4)
	want := slots.Table{
		table[0], table[1],
		{Number: 11, Endpoint: ready(3)[0], Dynamic: true}, {Number: 12, Endpoint: ready(4)[0], Dynamic: true},
	}
	if d := cmp.Diff(want, got, byValue); d != "" || !slices.Equal(left, ready(5)) {
		t.Errorf("%sleft %v", d, left)
	}
	if got, left = table.Grow(ready(3), 2); len(got) != 2 || len(left) != 1 {
		t.Errorf("grown beyond its bounds: %v, %v", got, left)
	}
	if got, _ = (slots.Table)(nil).Grow(ready(3), 2); len(got) != 1 || got[0].Number != 1 {
		t.Errorf("got %v", got)
	}
}

func TestReclaim(t *testing.T) {
	held := func(e []discovery.Endpoint) slots.Slot { return slots.Slot{Endpoint: e[0]} }
	busy := func(s slots.Slot) slots.Slot { s.Busy = true; return s }
	lacking := func(s slots.Slot) slots.Slot { s.Lacking = true; return s }
	dynamic := func(s slots.Slot) slots.Slot { s.Dynamic = true; return s }
	reserved := func(s slots.Slot) slots.Slot { s.Reserved = true; return s }
	draining := func(n int) slots.Slot { return held(inState(discovery.Drain, n)) }
	tests := []struct {
		name  string
		table slots.Table
		want  string // the slot of endpoint 9; 1 to 3 are leaving
	}{
		{"drains because it leaves", slots.Table{draining(1)}, "web1"},
		{"down because it leaves", slots.Table{held(inState(discovery.Down, 1))}, "web1"},
		{"drains for another reason", slots.Table{draining(4)}, ""},
		{"ready again", slots.Table{held(ready(1))}, ""},
		{"has sessions", slots.Table{busy(draining(1))}, ""},
		{"is somebody else's", slots.Table{reserved(draining(1))}, ""},
		{"lowest number", slots.Table{draining(4), draining(2), draining(1)}, "web2"},
		{"that all instances have", slots.Table{lacking(draining(1)), draining(2)}, "web2"},
		{"of the template", slots.Table{dynamic(draining(1)), lacking(draining(2))}, "web2"},
		{"idle one", slots.Table{busy(draining(1)), dynamic(draining(2))}, "web2"},
		{"free ones are Assign's", slots.Table{{}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.table {
				tt.table[i].Number = i + 1
			}
			got, left := tt.table.Reclaim(ready(9), map[netip.AddrPort]bool{addr(1): true, addr(2): true, addr(3): true})
			if places(got)[addr(9)] != tt.want || len(left) != map[bool]int{true: 1}[tt.want == ""] {
				t.Errorf("got %v, left %v", got, left)
			}
		})
	}
}

// Whoever loses a slot is leaving and idle, nobody else moves, and who came in
// stays when the table is asked again.
func TestReclaimTakesNobodysSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEndpoints(t, 16, "want")
		table, surplus := drawTable(t).Assign(want, epoch)
		for i := range table {
			table[i].Busy = rapid.Bool().Draw(t, "busy")
			table[i].Dynamic = rapid.Bool().Draw(t, "dynamic")
		}
		leaving := map[netip.AddrPort]bool{}
		for _, e := range want {
			leaving[e.Addr] = rapid.Bool().Draw(t, "leaves")
		}
		before := slices.Clone(table)
		after, left := table.Reclaim(surplus, leaving)
		if !slices.Equal(before, table) {
			t.Fatal("the table itself was changed")
		}
		now, taken := places(after), 0
		for i, s := range before {
			a := s.Endpoint.Addr
			if s.Free() || now[a] == name(s.Number) {
				continue
			}
			taken++
			if now[a] != "" || !leaving[a] || s.Busy || s.Reserved || s.Endpoint.State == discovery.Ready || after[i].Free() {
				t.Fatalf("%v became %v", s, after[i])
			}
		}
		if taken+len(left) != len(surplus) {
			t.Fatalf("%d taken, %d left of %d", taken, len(left), len(surplus))
		}
		again, more := after.Assign(want, epoch)
		if d := cmp.Diff(places(after), places(again)); d != "" || !slices.Equal(more, left) {
			t.Fatalf("%sleft %v, then %v", d, left, more)
		}
	})
}

func TestObserveDynamic(t *testing.T) {
	added := func(own []slots.Server) []slots.Server {
		own[len(own)-1].Disabled, own[len(own)-1].FQDN = false, ""
		slots.MarkDynamic(own)
		return own
	}
	plain := func(own []slots.Server) []slots.Server {
		for i := range own {
			own[i].Disabled = false
		}
		return own
	}
	dynamic := slots.Table{{Number: 1}, {Number: 2, Endpoint: ready(2)[0], Dynamic: true}}
	tests := []struct {
		name    string
		table   slots.Table
		views   [][]slots.Server
		dynamic bool // web2
		lacking bool
		gone    bool
	}{
		{name: "found", views: [][]slots.Server{added(show("-", "r2"))}, dynamic: true},
		{name: "found at one, lacking at another", views: [][]slots.Server{show("-"), added(show("-", "r2"))}, dynamic: true},
		{name: "found at one, of the template at another", views: [][]slots.Server{show("-", "-"), added(show("-", "r2"))}},
		{name: "held as added, now of the template at another", table: dynamic, views: [][]slots.Server{show("-", "-"), added(show("-", "r2"))}},
		{name: "held, yet to be added", table: dynamic, views: [][]slots.Server{show("-")}, dynamic: true},
		{name: "held, now of the template", table: dynamic, views: [][]slots.Server{show("-", "-")}},
		{name: "held, now of the template, lacking at another", table: dynamic, views: [][]slots.Server{show("-", "-"), show("-")}, lacking: true},
		{name: "nobody can tell", table: dynamic, views: [][]slots.Server{plain(show("-", "r2"))}, dynamic: true},
		{name: "nobody could ever tell", views: [][]slots.Server{plain(show("-", "r2"))}},
		{name: "free and shown nowhere", table: slots.Table{{Number: 1}, {Number: 2, Dynamic: true}}, views: [][]slots.Server{show("-")}, gone: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.table.Observe(tt.views, epoch)
			if tt.gone {
				if len(got) != 1 {
					t.Errorf("got %v", got)
				}
				return
			}
			if s := got[1]; s.Dynamic != tt.dynamic || s.Lacking != tt.lacking {
				t.Errorf("got %+v", s)
			}
		})
	}
	table := slots.Adopt([][]slots.Server{added(show("-", "r2"))}, ready(2), nil, epoch)
	if s := table[1]; !s.Dynamic || s.Free() {
		t.Errorf("adopted as %+v", s)
	}
}

func TestObserveSessionsOfThoseThatDrain(t *testing.T) {
	for sessions, busy := range map[int]bool{-1: true, 0: false, 1: true} {
		view := show("d1", "r2")
		view[0].Sessions, view[1].Sessions = sessions, sessions
		table := slots.Table{{Number: 1, Endpoint: inState(discovery.Drain, 1)[0]}, {Number: 2, Endpoint: ready(2)[0]}}
		got := table.Observe([][]slots.Server{view}, epoch)
		if got[0].Busy != busy || got[1].Busy {
			t.Errorf("%d sessions: %+v", sessions, got)
		}
		// the source's word does not make it idle
		if got, _ = got.Assign(append(inState(discovery.Drain, 1), ready(2)...), epoch); got[0].Busy != busy {
			t.Errorf("%d sessions, assigned: %+v", sessions, got)
		}
		if got, _ = got.Assign(ready(1, 2), epoch); got[0].Busy {
			t.Errorf("ready again: %+v", got)
		}
	}
}

func TestAssignDynamicLast(t *testing.T) {
	table := slots.Table{{Number: 1, Lacking: true, Busy: true, Freed: epoch}, {Number: 2, Dynamic: true}, {Number: 3, Dynamic: true, Last: addr(3)}}
	got, surplus := table.Assign(ready(1, 2, 3), epoch)
	want := map[netip.AddrPort]string{addr(1): "web1", addr(2): "web2", addr(3): "web3"}
	if d := cmp.Diff(want, places(got), byValue); d != "" || surplus != nil || !got[1].Dynamic {
		t.Errorf("%s%v", d, surplus)
	}
}

func TestTargetsOfDynamicSlots(t *testing.T) {
	table := slots.Table{
		{Number: 1, Dynamic: true, Endpoint: ready(1)[0]}, {Number: 2, Dynamic: true, Last: addr(2)},
		{Number: 3, Dynamic: true, Reserved: true},
	}
	want := []slots.Target{
		{Number: 1, Addr: addr(1), Class: slots.Ready, Dynamic: true}, {Number: 2, Dynamic: true},
		{Number: 3, Leave: true, Dynamic: true},
	}
	if d := cmp.Diff(want, table.Targets(nil), byValue); d != "" {
		t.Error(d)
	}
}

func TestDiffOfDynamicSlots(t *testing.T) {
	type list = []string
	const template = 2
	busy := func(own []slots.Server, sessions int) []slots.Server { own[len(own)-1].Sessions = sessions; return own }
	tests := []struct {
		name         string
		have         []slots.Server
		want         []slots.Target
		now, waiting list
		drifted      int
	}{
		{name: "add", have: show("r1", "r2"), want: wanted("r1", "r2", "r3"), now: list{"web3 add"}, drifted: 1},
		{name: "add in drain and in maint", have: show("r1", "r2"), want: wanted("r1", "r2", "d3", "m4"), now: list{"web3 add", "web4 add"}, drifted: 2},
		{name: "added", have: show("r1", "r2", "r3"), want: wanted("r1", "r2", "r3")},
		{name: "lacking and free", have: show("r1", "r2"), want: wanted("r1", "r2", "-")},
		{name: "lacking and left", have: show("r1", "r2"), want: wanted("r1", "r2", "x")},
		{name: "adds go before losses", have: show("r1", "r2"), want: wanted("-", "r2", "r3"), now: list{"web3 add", "web1 empty"}, drifted: 2},
		{name: "added and left in maint", have: show("r1", "r2", "m3"), want: wanted("r1", "r2", "r3"), now: list{"web3 enable"}, drifted: 1},
		{name: "of another, idle", have: show("r1", "r2", "m4"), want: wanted("r1", "r2", "r3"), now: list{"web3 fill"}, drifted: 1},
		{name: "free in service", have: show("r1", "r2", "r3"), want: wanted("r1", "r2", "-"), now: list{"web3 empty"}, waiting: list{"web3 remove"}, drifted: 1},
		{name: "free and idle", have: show("r1", "r2", "m3"), want: wanted("r1", "r2", "-"), now: list{"web3 remove"}},
		{name: "free with sessions", have: busy(show("r1", "r2", "m3"), 1), want: wanted("r1", "r2", "-"), waiting: list{"web3 remove"}},
		{name: "free, sessions not known", have: busy(show("r1", "r2", "-"), -1), want: wanted("r1", "r2", "-"), waiting: list{"web3 remove"}},
		{name: "free and somebody else's", have: show("r1", "r2", "m3"), want: wanted("r1", "r2", "x")},
		{
			name: "serves another that is to be added", have: show("r1", "r2", "r4"), want: wanted("r1", "r2", "-", "r4"),
			now: list{"web4 add"}, waiting: list{"web3 remove"}, drifted: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.want[template:] {
				tt.want[template+i].Dynamic = true
			}
			for i := range tt.have[template:] {
				tt.have[template+i].Disabled, tt.have[template+i].FQDN = false, ""
			}
			slots.MarkDynamic(tt.have)
			plan := slots.Diff("web", "web", tt.have, tt.want)
			if got := words(plan.Changes); !slices.Equal(got, tt.now) {
				t.Errorf("now %q, want %q", got, tt.now)
			}
			if got := words(plan.Waiting); !slices.Equal(got, tt.waiting) {
				t.Errorf("waiting %q, want %q", got, tt.waiting)
			}
			if got := slots.Drifted(tt.have, tt.want); len(got) != tt.drifted {
				t.Errorf("drifted %v", got)
			}
			if missing := slots.Missing(tt.have, tt.want); len(missing) > 0 {
				t.Errorf("missing %v", missing)
			}
		})
	}
}

func TestTemplateSlotIsNeverRemoved(t *testing.T) {
	have := show("m1", "m2")
	want := []slots.Target{{Number: 1, Dynamic: true}, {Number: 2, Dynamic: true}}
	if plan := slots.Diff("web", "web", have, want); !isDone(plan) {
		t.Errorf("got %+v", plan)
	}
}

func TestWeightOfAddedServers(t *testing.T) {
	have := unused(1)
	want := []slots.Target{{Number: 2, Addr: addr(1), Class: slots.Ready, Dynamic: true}}
	add := slots.Change{Backend: "web", Slot: "web2", Number: 2, Kind: slots.Add, Addr: addr(1), Weight: 100, Class: slots.Ready, SetClass: true}
	if got := slots.Diff("web", "web", have, want).Changes; !slices.Equal(got, []slots.Change{add}) {
		t.Errorf("got %+v", got)
	}
	want[0].Weight, add.Weight = 7, 7
	if got := slots.Diff("web", "web", have, want).Changes; !slices.Equal(got, []slots.Change{add}) {
		t.Errorf("got %+v", got)
	}
	// it was added with 7, and is to have that of the template
	have = append(have, slots.Server{Name: "web2", Number: 2, Addr: addr(1), Class: slots.Ready, Weight: 7, Initial: 7})
	slots.MarkDynamic(have)
	want[0].Weight = 0
	if got := slots.Diff("web", "web", have, want).Changes; len(got) != 1 || got[0].Kind != slots.Weigh || got[0].Weight != 100 {
		t.Errorf("got %+v", got)
	}
}

// A life with few slots: whoever is ready is served as long as there is room,
// nobody who stays moves, and when it is over nothing is left but the template.
func TestLadder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, most := rapid.IntRange(1, 4).Draw(t, "template"), rapid.IntRange(1, 12).Draw(t, "most")
		instances := make([]instance, rapid.IntRange(1, 3).Draw(t, "instances"))
		for i := range instances {
			instances[i] = unused(n)
		}
		var table slots.Table
		var last []discovery.Endpoint
		round := func(want []discovery.Endpoint) {
			before := places(table)
			var surplus []discovery.Endpoint
			table, surplus = table.Observe(views(instances), epoch).Assign(want, epoch)
			table, surplus = table.Grow(surplus, most)
			for _, e := range want {
				if was, is := before[e.Addr], places(table)[e.Addr]; was != "" && is != was {
					t.Fatalf("%v moved from %q to %q", e, was, is)
				}
			}
			if len(surplus) > 0 && len(table) < max(n, most) {
				t.Fatalf("%v has no slot in a table of %d", surplus, len(table))
			}
			for i := range instances {
				checkRepair(t, &instances[i], table.Targets(nil), all)
			}
		}
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			last = drawEndpoints(t, 14, "want")
			round(last)
			restarted := rapid.IntRange(-4, len(instances)-1).Draw(t, "restart")
			if restarted >= 0 {
				instances[restarted] = unused(n)
			}
			if rapid.IntRange(0, 3).Draw(t, "new agent") == 0 && restarted < 0 {
				table = slots.Adopt(views(instances), last, nil, epoch)
			}
		}
		round(nil)
		table = table.Observe(views(instances), epoch)
		for i := range instances {
			if len(instances[i]) != n || len(table) != n {
				t.Fatalf("left of a template of %d: %v, %v", n, instances[i], table)
			}
		}
	})
}

func views(instances []instance) [][]slots.Server {
	all := make([][]slots.Server, len(instances))
	for i := range instances {
		all[i] = slots.Own(instances[i], "web")
	}
	return all
}
