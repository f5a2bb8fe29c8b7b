package slots_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

var (
	epoch       = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	placeholder = netip.MustParseAddrPort("127.0.0.1:1")
)

// addr returns the address of endpoint n, 1..65535.
func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80)
}

func ready(ns ...int) (eps []discovery.Endpoint) {
	for _, n := range ns {
		eps = append(eps, discovery.Endpoint{Addr: addr(n)})
	}
	return eps
}

func name(n int) string { return fmt.Sprintf("web%d", n) }

// unused returns n servers as the recommended template makes them.
func unused(n int) []slots.Server {
	own := make([]slots.Server, n)
	for i := range own {
		own[i] = slots.Server{Name: name(i + 1), Number: i + 1, Addr: placeholder, Weight: 100, Initial: 100, Disabled: true, FQDN: "slot.invalid"}
	}
	return own
}

// An instance is a model of one HAProxy's backend.
type instance []slots.Server

// apply does what HAProxy would, and objects where a rule is broken. unused is
// the placeholder that the plan saw.
func (in *instance) apply(c slots.Change, want []slots.Target, unused netip.AddrPort) error {
	i := slices.IndexFunc(*in, func(s slots.Server) bool { return s.Name == c.Slot })
	w := slices.IndexFunc(want, func(t slots.Target) bool { return t.Number == c.Number })
	switch {
	case w < 0 || i < 0 && c.Kind != slots.Add:
		return fmt.Errorf("%v is no slot", c)
	case want[w].Leave:
		return fmt.Errorf("%v is to be left", c)
	case c.Kind == slots.Add:
		return in.add(c, want[w])
	case c.From != (*in)[i]:
		return fmt.Errorf("%v is not from %v", c, (*in)[i])
	case c.Kind == slots.Remove:
		return in.remove(i, want[w])
	}
	s := &(*in)[i]
	if c.Addr.IsValid() {
		switch {
		case s.Class != slots.Maint:
			return fmt.Errorf("%v: address set in %v", c, s.Class)
		case s.Sessions > 0 && !slots.IsPlaceholder(s.Addr, placeholder),
			s.Sessions < 0 && !slots.IsPlaceholder(s.Addr, unused):
			return fmt.Errorf("%v: address set with %d sessions", c, s.Sessions)
		}
		s.Addr = c.Addr
	}
	if c.Weight != 0 {
		s.Weight = c.Weight
	}
	if c.SetClass {
		s.Class = c.Class
	}
	if s.Class == slots.Ready && c.Kind != slots.Weigh && (s.Addr != want[w].Addr || want[w].Class != slots.Ready) {
		return fmt.Errorf("%v: ready at an unwanted address", c)
	}
	return nil
}

func (in *instance) add(c slots.Change, w slots.Target) error {
	exists := slices.ContainsFunc(*in, func(s slots.Server) bool { return s.Name == c.Slot })
	if exists || !w.Dynamic || !c.Addr.IsValid() || c.Addr != w.Addr || !c.SetClass || c.Class != w.Class || c.From != (slots.Server{}) {
		return fmt.Errorf("%+v does not add %+v", c, w)
	}
	*in = append(*in, slots.Server{Name: c.Slot, Number: c.Number, Addr: c.Addr, Class: c.Class, Weight: max(1, c.Weight), Initial: max(1, c.Weight)})
	return nil
}

func (in *instance) remove(i int, w slots.Target) error {
	s := (*in)[i]
	if s.Disabled || !s.Dynamic || s.Class != slots.Maint || s.Sessions != 0 || !w.Dynamic || w.Addr.IsValid() {
		return fmt.Errorf("%+v must not be removed for %+v", s, w)
	}
	*in = slices.Delete(*in, i, i+1)
	return nil
}

// look is what a client sees next.
func (in *instance) look() { *in = slots.Own(*in, "web") }

// serving returns the endpoints that are wanted ready in a slot that the
// instance has, and are ready somewhere.
func (in instance) serving(want []slots.Target) (wanted int, serving map[netip.AddrPort]bool) {
	live, has := map[netip.AddrPort]bool{}, map[int]bool{}
	for _, s := range in {
		has[s.Number] = true
		if s.Class == slots.Ready {
			live[s.Addr] = true
		}
	}
	serving = map[netip.AddrPort]bool{}
	for _, w := range want {
		if w.Addr.IsValid() && w.Class == slots.Ready && (has[w.Number] || w.Dynamic) {
			wanted++
			if live[w.Addr] {
				serving[w.Addr] = true
			}
		}
	}
	return wanted, serving
}

// repair applies plans until nothing is left to do now, and objects where a
// rule is broken on the way. most says how much of each plan is applied.
func (in *instance) repair(want []slots.Target, most func(n int) int) error {
	wanted, before := in.serving(want)
	for range 8 + 8*max(len(*in), len(want)) {
		in.look()
		plan := slots.Diff("web", "web", *in, want)
		if len(plan.Changes) == 0 {
			return nil
		}
		unused := slots.Placeholder(*in)
		for _, c := range plan.Changes[:most(len(plan.Changes))] {
			if err := in.apply(c, want, unused); err != nil {
				return err
			}
			_, after := in.serving(want)
			out := 0
			for a := range before {
				if !after[a] {
					out++
				}
			}
			if out > max(1, wanted/4) {
				return fmt.Errorf("%v takes %d of %d out of service", c, out, wanted)
			}
		}
	}
	return fmt.Errorf("no end in sight: %+v", slots.Diff("web", "web", *in, want))
}

func all(n int) int { return n }

func endSessions(in instance) {
	for i := range in {
		in[i].Sessions = 0
	}
}

// drawEndpoints draws some of the first n endpoints, in any order.
func drawEndpoints(t *rapid.T, n int, label string) []discovery.Endpoint {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) discovery.Endpoint {
		return discovery.Endpoint{
			Addr:   addr(rapid.IntRange(1, n).Draw(t, "endpoint")),
			State:  discovery.State(max(0, rapid.IntRange(-3, 2).Draw(t, "state"))),
			Weight: rapid.IntRange(0, 3).Draw(t, "weight"),
		}
	}), 0, n, func(e discovery.Endpoint) netip.AddrPort { return e.Addr }).Draw(t, label)
}

// drawTable draws a table with a history.
func drawTable(t *rapid.T) slots.Table {
	table := make(slots.Table, rapid.IntRange(0, 12).Draw(t, "slots"))
	for i := range table {
		table[i] = slots.Slot{
			Number:   i + 1,
			Busy:     rapid.Bool().Draw(t, "busy"),
			Lacking:  rapid.Bool().Draw(t, "lacking"),
			Reserved: rapid.IntRange(0, 5).Draw(t, "reserved") == 0,
		}
		if age := rapid.IntRange(0, 3).Draw(t, "age"); age > 0 {
			table[i].Freed = epoch.Add(-time.Duration(age) * 40 * time.Second)
			table[i].Last = addr(rapid.IntRange(1, 16).Draw(t, "last"))
		}
	}
	table, _ = table.Assign(drawEndpoints(t, 12, "before"), epoch)
	return table
}

// drawInstance draws any state that a backend of n slots may be in, of which
// some were added or none is disabled; sessions is the most that a slot has.
func drawInstance(t *rapid.T, n, sessions int) instance {
	odd := []netip.AddrPort{placeholder, {}, netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("10.0.0.1:0")}
	in := instance(unused(n))
	for i := range in {
		s := &in[i]
		if k := rapid.IntRange(-len(odd)+1, 14).Draw(t, "address"); k > 0 {
			s.Addr = addr(k)
		} else {
			s.Addr = odd[-k]
		}
		s.Class = slots.Class(rapid.IntRange(0, 2).Draw(t, "class"))
		s.Weight = rapid.IntRange(0, 3).Draw(t, "weight")
		s.Initial = rapid.IntRange(0, 2).Draw(t, "initial")
		s.Sessions = rapid.IntRange(min(0, -sessions), sessions).Draw(t, "sessions")
	}
	for i := rapid.IntRange(0, n).Draw(t, "template"); i < n; i++ {
		in[i].Disabled, in[i].FQDN = false, ""
	}
	in.look()
	return in
}

// drawTargets draws what may be wanted of a backend of n slots.
func drawTargets(t *rapid.T, n int) []slots.Target {
	order := rapid.Permutation([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}).Draw(t, "wanted")
	want := make([]slots.Target, n)
	for i := range want {
		want[i].Number = i + 1
		want[i].Dynamic = rapid.IntRange(0, 2).Draw(t, "dynamic") == 0
		switch rapid.IntRange(0, 9).Draw(t, "target") {
		case 0:
			want[i].Leave = true
		case 1, 2:
		default:
			want[i].Addr = addr(order[i])
			want[i].Class = slots.Class(min(2, rapid.IntRange(0, 6).Draw(t, "wanted class")))
			want[i].Weight = rapid.IntRange(0, 3).Draw(t, "wanted weight")
		}
	}
	return want
}

// shuffled returns an instance and targets that differ in a permutation of n.
func shuffled(n int, seed uint64) (instance, []slots.Target) {
	in, want := instance(unused(n)), make([]slots.Target, n)
	order := rand.New(rand.NewPCG(seed, seed)).Perm(n)
	for i := range in {
		in[i].Addr, in[i].Class = addr(order[i]+1), slots.Ready
		want[i] = slots.Target{Number: i + 1, Addr: addr(i + 1), Class: slots.Ready}
	}
	return in, want
}
