package simulation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
)

// A coverage counts what seeds reached, so that it means something that none fails.
type coverage struct {
	verbs  map[string]int
	pairs  map[[2]string]int // verbs that met: at most three steps apart
	recent []string
	states map[string]int // what the agent said that it was in
}

func newCoverage() *coverage {
	return &coverage{verbs: map[string]int{}, pairs: map[[2]string]int{}, states: map[string]int{}}
}

// step notes a step of a run.
func (c *coverage) step(_ *world, verb string) {
	c.verbs[verb]++
	for _, before := range c.recent {
		c.pairs[[2]string{before, verb}]++
	}
	c.recent = append(c.recent, verb)
	if len(c.recent) > 3 {
		c.recent = c.recent[1:]
	}
}

// status notes what the agent says.
func (c *coverage) status(s api.Status) {
	for _, b := range s.Backends {
		c.states["phase "+b.Phase]++
		if b.Hold != nil {
			c.states["hold "+b.Hold.Kind]++
		}
		c.note("takeover", b.Takeover != nil)
		c.note("takeover that blocks", b.Takeover != nil && b.Takeover.BlocksWriting)
		c.note("kept", len(b.Kept) > 0)
		c.note("turnover", b.Turnover != nil)
		c.note("overflow", len(b.Overflow) > 0)
		c.note("paused", b.Paused != nil)
		c.note("problem", b.Problem != "")
		for _, slot := range b.Slots {
			for _, in := range slot.Instances {
				if in.HeldBy != "" {
					c.states["held by "+in.HeldBy]++
				}
				c.note("fight", in.PausedUntil != nil)
				c.note("refused", in.LastReply != "")
			}
		}
	}
	for _, in := range s.Instances {
		if in.Fault != "" {
			c.states["fault "+in.Fault]++
		}
		c.note("waits for sessions", in.Waiting > 0)
		c.note("state file not loaded", len(in.Unloaded) > 0)
	}
	c.note("in sync everywhere", !slices.ContainsFunc(s.Instances, func(in api.InstanceStatus) bool { return !in.InSync }))
}

func (c *coverage) note(state string, is bool) {
	if is {
		c.states[state]++
	}
}

// String says what was reached, and what was not.
func (c *coverage) String() string {
	var out strings.Builder
	met, all := 0, 0
	for _, a := range verbs {
		for _, b := range verbs {
			if all++; c.pairs[[2]string{a.name, b.name}] > 0 {
				met++
			}
		}
	}
	fmt.Fprintf(&out, "pairs of verbs that met: %d of %d\n", met, all)
	for _, v := range verbs {
		if c.verbs[v.name] == 0 {
			fmt.Fprintf(&out, "never: %s\n", v.name)
		}
	}
	names := slices.SortedFunc(maps.Keys(c.states), func(a, b string) int { return cmp.Or(cmp.Compare(c.states[b], c.states[a]), cmp.Compare(a, b)) })
	for _, name := range names {
		fmt.Fprintf(&out, "%8d times %s\n", c.states[name], name)
	}
	return out.String()
}

// seldom is in how many of 1,000 seeds a verb is at least.
const seldom = 40

// TestNoVerbIsForgotten: of 1,000 seeds of each mode enough have every verb, and every key that
// can be changed.
func TestNoVerbIsForgotten(t *testing.T) {
	for _, live := range []bool{false, true} {
		count := map[string]int{}
		for seed := range uint64(1000) {
			seen := map[string]bool{}
			for _, s := range planOf(seed+1, live).steps {
				seen[s.verb] = true
				if s.verb == "other key" {
					seen["key "+keys[s.b%len(keys)].path] = true
				}
			}
			for name := range seen {
				count[name]++
			}
		}
		for _, v := range verbs {
			if n := count[v.name]; n < seldom {
				t.Errorf("%q is in %d of 1,000 seeds: its weight of %d is too little", v.name, n, v.weight)
			}
		}
		for _, k := range keys {
			if n := count["key "+k.path]; n < seldom/4 {
				t.Errorf("%s is changed in %d of 1,000 seeds", k.path, n)
			}
		}
	}
}
