package slots_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

// wanted returns targets, one for each word as for show; "-" is a free slot and
// "x" one to be left.
func wanted(words ...string) []slots.Target {
	targets := make([]slots.Target, len(words))
	for i, w := range words {
		targets[i].Number = i + 1
		switch w {
		case "-":
		case "x":
			targets[i].Leave = true
		default:
			s := show(w)[0]
			targets[i].Addr, targets[i].Class = s.Addr, s.Class
		}
	}
	return targets
}

// words returns changes as "web1 fill" and so on.
func words(changes []slots.Change) (out []string) {
	for _, c := range changes {
		out = append(out, c.Slot+" "+string(c.Kind))
	}
	return out
}

func TestDiff(t *testing.T) {
	type list = []string
	busy := func(own []slots.Server) []slots.Server { own[0].Sessions = 1; return own }
	unknown := func(own []slots.Server) []slots.Server { own[0].Sessions = -1; return own }
	unresolved := func(own []slots.Server) []slots.Server { own[0].NoAddress = true; return own }
	at := func(own []slots.Server, a string) []slots.Server {
		own[0].Addr = netip.MustParseAddrPort(a)
		return own
	}
	tests := []struct {
		name         string
		have         []slots.Server
		want         []slots.Target
		now, waiting list
	}{
		{name: "in sync", have: show("r1", "d2", "m3", "-"), want: wanted("r1", "d2", "m3", "-")},
		{name: "fill", have: show("-"), want: wanted("r1"), now: list{"web1 fill"}},
		{name: "fill in drain", have: show("-"), want: wanted("d1"), now: list{"web1 drain"}},
		{name: "park", have: show("-"), want: wanted("m1"), now: list{"web1 park"}},
		{name: "enable", have: show("m1"), want: wanted("r1"), now: list{"web1 enable"}},
		{name: "drain", have: show("r1"), want: wanted("d1"), now: list{"web1 drain"}},
		{name: "down", have: show("r1"), want: wanted("m1"), now: list{"web1 empty"}},
		{name: "gone", have: show("r1", "d2"), want: wanted("-", "-"), now: list{"web1 empty", "web2 empty"}},
		{name: "left alone", have: show("r1", "m2"), want: wanted("x", "x")},
		{name: "not in want", have: show("r1", "r2"), want: wanted("r1")},
		{name: "gains, then losses", have: show("r1", "d2", "-"), want: wanted("-", "m2", "r3"), now: list{"web3 fill", "web1 empty", "web2 empty"}},
		{
			name: "wrong ones stop first", have: show("-", "r9"), want: wanted("r1", "r2"),
			now: list{"web2 empty", "web1 fill"}, waiting: list{"web2 fill"},
		},
		{name: "no address, ready", have: at(show("r1"), "0.0.0.0:80"), want: wanted("-"), now: list{"web1 empty"}},
		{name: "port 0, ready", have: at(show("r1", "-"), "10.0.0.1:0"), want: wanted("-", "r2"), now: list{"web1 empty", "web2 fill"}},
		{name: "sessions", have: busy(show("m9")), want: wanted("r1"), waiting: list{"web1 fill"}},
		{name: "sessions not known", have: unknown(show("m9")), want: wanted("r1"), waiting: list{"web1 fill"}},
		{name: "sessions not known, never used", have: unknown(show("-")), want: wanted("r1"), now: list{"web1 fill"}},
		{name: "sessions not known, template's address", have: unknown(show("m9", "m9", "m8")), want: wanted("r1"), now: list{"web1 fill"}},
		{name: "sessions at the template's address", have: busy(show("m9", "m9", "m8")), want: wanted("r1"), waiting: list{"web1 fill"}},
		{name: "sessions do not keep an address from its own slot", have: busy(show("m1")), want: wanted("r1"), now: list{"web1 enable"}},
		{name: "address cannot be set", have: unresolved(show("-")), want: wanted("r1"), waiting: list{"web1 fill"}},
		{name: "address cannot be set, nor parked", have: unresolved(show("-")), want: wanted("m1"), waiting: list{"web1 fill"}},
		{name: "move", have: show("r1", "-"), want: wanted("-", "r1"), now: list{"web2 fill"}, waiting: list{"web1 empty"}},
		{name: "move, new slot ready", have: show("r1", "r1"), want: wanted("-", "r1"), now: list{"web1 empty"}},
		{
			name: "move out of another's slot", have: show("r1", "-"), want: wanted("r2", "r1"),
			now: list{"web2 fill"}, waiting: list{"web1 fill"},
		},
		{
			name: "move, new slot busy", have: busy(show("m9", "r1")), want: wanted("r1", "r2"),
			waiting: list{"web1 fill", "web2 fill"},
		},
		{name: "move of a draining one", have: show("d1", "-"), want: wanted("-", "d1"), now: list{"web1 empty", "web2 drain"}},
		{
			name: "twice, and in its own slot neither time", have: show("r1", "r1", "-"), want: wanted("r2", "-", "r1"),
			now: list{"web3 fill", "web1 empty"}, waiting: list{"web1 fill", "web2 empty"},
		},
		{
			name: "circle: one goes", have: show("r2", "r1", "r3"), want: wanted("r1", "r2", "r3"),
			now: list{"web1 empty"}, waiting: list{"web1 fill", "web2 fill"},
		},
		{
			name: "circle: none goes while one is out", have: show("r2", "r1", "-"), want: wanted("r1", "r2", "r3"),
			now: list{"web3 fill"}, waiting: list{"web1 fill", "web2 fill"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := slots.Diff("web", "web", tt.have, tt.want)
			if got := words(plan.Changes); !slices.Equal(got, tt.now) {
				t.Errorf("now %q, want %q", got, tt.now)
			}
			if got := words(plan.Waiting); !slices.Equal(got, tt.waiting) {
				t.Errorf("waiting %q, want %q", got, tt.waiting)
			}
			if isDone(plan) != (len(slots.Drifted(tt.have, tt.want)) == 0) {
				t.Errorf("done is %v, drifted %v", isDone(plan), slots.Drifted(tt.have, tt.want))
			}
		})
	}
}

func TestDiffOfWeights(t *testing.T) {
	tests := []struct {
		name                  string
		class                 slots.Class
		live, initial, wanted int
		change                int
	}{
		{name: "differs", class: slots.Ready, live: 100, initial: 100, wanted: 7, change: 7},
		{name: "equal", class: slots.Ready, live: 7, initial: 100, wanted: 7},
		{name: "back to the template's", class: slots.Ready, live: 7, initial: 100, change: 100},
		{name: "is the template's", class: slots.Ready, live: 100, initial: 100},
		{name: "template's is 0", class: slots.Ready, live: 7},
		{name: "drain", class: slots.Drain, live: 100, initial: 100, wanted: 7, change: 7},
		{name: "maint has none", class: slots.Maint, live: 100, initial: 100, wanted: 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			have := []slots.Server{{Name: "web1", Number: 1, Addr: addr(1), Class: tt.class, Weight: tt.live, Initial: tt.initial}}
			want := []slots.Target{{Number: 1, Addr: addr(1), Class: tt.class, Weight: tt.wanted}}
			plan := slots.Diff("web", "web", have, want)
			if tt.change == 0 {
				if !isDone(plan) {
					t.Errorf("got %+v, want nothing", plan)
				}
				return
			}
			c := slots.Change{Backend: "web", Slot: "web1", Number: 1, Kind: slots.Weigh, Weight: tt.change, From: have[0]}
			if !slices.Equal(plan.Changes, []slots.Change{c}) {
				t.Errorf("got %+v, want %+v", plan.Changes, c)
			}
		})
	}
}

func TestDiffFillsWithEverything(t *testing.T) {
	have := unused(1)
	want := []slots.Target{{Number: 1, Addr: addr(1), Class: slots.Ready, Weight: 7}}
	got := slots.Diff("web", "web", have, want).Changes
	c := slots.Change{
		Backend: "web", Slot: "web1", Number: 1, Kind: slots.Fill, Addr: addr(1), Weight: 7,
		Class: slots.Ready, SetClass: true, From: have[0],
	}
	if !slices.Equal(got, []slots.Change{c}) {
		t.Errorf("got %+v, want %+v", got, c)
	}
}

func TestMissing(t *testing.T) {
	have, want := show("r1"), wanted("r2", "r1", "-", "x")
	missing := []slots.Target{want[1]}
	if got := slots.Missing(have, want); !slices.Equal(got, missing) {
		t.Errorf("got %v, want %v", got, missing)
	}
}

// An agent-check that says ready brings back who left: it must not run there, but where
// it took the slot out itself.
func TestAgentCheckIsSilenced(t *testing.T) {
	agent := func(words ...string) []slots.Server {
		own := show(words...)
		for i := range own {
			own[i].Agent, own[i].AgentOn = true, true
		}
		return own
	}
	taken := wanted("d1")
	taken[0].External = true
	tests := []struct {
		name string
		have []slots.Server
		want []slots.Target
		now  []string
	}{
		{"ready", agent("r1"), wanted("r1"), nil},
		{"never used", agent("-"), wanted("-"), []string{"web1 empty"}},
		{"in drain", agent("d1"), wanted("d1"), []string{"web1 drain"}},
		{"it took it out itself", agent("d1"), taken, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := slots.Diff("web", "web", tt.have, tt.want)
			if got := words(plan.Changes); !slices.Equal(got, tt.now) {
				t.Errorf("%v, want %v", got, tt.now)
			}
			for _, c := range plan.Changes {
				if !c.SetClass {
					t.Errorf("%+v sets no state, and with it the agent-check", c)
				}
			}
			if drifted := len(slots.Drifted(tt.have, tt.want)) > 0; drifted != (tt.now != nil) {
				t.Errorf("drifted: %v", drifted)
			}
		})
	}
}
