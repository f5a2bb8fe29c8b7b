package sources

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// eps and addr are made-up endpoints and their addresses.
var eps, addr = discoverytest.Endpoints, discoverytest.Addr

// states returns eps in another state.
func states(eps []discovery.Endpoint, s discovery.State, reason string) []discovery.Endpoint {
	eps = slices.Clone(eps)
	for i := range eps {
		eps[i].State, eps[i].Reason = s, reason
	}
	return eps
}

// whole is what a source adds that lists these.
func whole(name string, eps []discovery.Endpoint) Contribution {
	return Contribution{Name: name, Set: Set{Endpoints: eps}}
}

// show is a set as ports; what is kept stands in brackets.
func show(s Set) string {
	var out []string
	for _, e := range s.Endpoints {
		text := fmt.Sprint(e.Addr.Port())
		if _, ok := s.Kept[e.Addr]; ok {
			text = "[" + text + "]"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

var start = time.Unix(1000, 0)

// part makes a part of ports.
func some(name, parent string, state discovery.Completeness, ports ...int) discovery.Part {
	p := discovery.Part{Name: name, Parent: parent, State: state, Endpoints: eps(ports...)}
	switch state {
	case discovery.Unknown:
		p.Err = discovery.Errorf(discovery.Server, "SERVFAIL")
	case discovery.Partial:
		p.Why = "cut"
	}
	return p
}

func reading(parts ...discovery.Part) discovery.Reading { return discovery.Reading{Parts: parts} }

func TestKnown(t *testing.T) {
	const w, p, u = discovery.Whole, discovery.Partial, discovery.Unknown
	type step struct {
		answer discovery.Reading
		fail   bool
		accept []int
		want   string
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"one part", []step{{answer: reading(some("", "", w, 80, 81)), want: "80 81"}, {answer: reading(some("", "", w, 81)), want: "81"}}},
		{"a failure keeps everything", []step{{answer: reading(some("", "", w, 80, 81)), want: "80 81"}, {fail: true, want: "[80] [81]"},
			{answer: reading(some("", "", w, 80)), want: "80"}}},
		{"a partial answer adds", []step{{answer: reading(some("", "", w, 80, 81)), want: "80 81"}, {answer: reading(some("", "", p, 81, 82)), want: "[80] 81 82"},
			{answer: reading(some("", "", p, 80)), want: "80 [81] [82]"}, {answer: reading(some("", "", w, 80)), want: "80"}}},
		{"a part ends with its parent, whichever name is first", []step{
			{answer: reading(some("SRV", "", w), some("A", "SRV", w, 80), some("Z", "SRV", w, 81)), want: "80 81"},
			{answer: reading(some("", "", w, 82)), want: "82"}}},
		{"one family fails from the start", []step{{answer: reading(some("A", "", w, 80), some("AAAA", "", u)), want: "80"},
			{answer: reading(some("A", "", w, 81), some("AAAA", "", u)), want: "81"}}},
		{"one family fails later", []step{{answer: reading(some("A", "", w, 80), some("AAAA", "", w, 90)), want: "80 90"},
			{answer: reading(some("A", "", w, 81), some("AAAA", "", u)), want: "81 [90]"}, {answer: reading(some("A", "", w, 81), some("AAAA", "", w)), want: "81"}}},
		{"an unknown target, and one that is no longer named", []step{
			{answer: reading(some("SRV", "", w), some("t1", "SRV", w, 80), some("t2", "SRV", w, 81)), want: "80 81"},
			{answer: reading(some("SRV", "", w), some("t1", "SRV", w, 80), some("t2", "SRV", u)), want: "80 [81]"},
			{answer: reading(some("SRV", "", w), some("t1", "SRV", w, 80)), want: "80"}}},
		{"the parent is not whole", []step{
			{answer: reading(some("SRV", "", w), some("t1", "SRV", w, 80), some("t2", "SRV", w, 81)), want: "80 81"},
			{answer: reading(some("SRV", "", p), some("t1", "SRV", w, 80)), want: "80 [81]"},
			{answer: reading(some("SRV", "", u)), want: "[80] [81]"},
			{answer: reading(some("SRV", "", w), some("t1", "SRV", u)), want: "[80]"}}},
		{"two parts list one address", []step{{answer: reading(some("a", "", w, 80), some("b", "", w, 80)), want: "80"},
			{answer: reading(some("a", "", u), some("b", "", w, 80)), want: "80"}, {answer: reading(some("a", "", u), some("b", "", w)), want: "[80]"},
			{answer: reading(some("a", "", w), some("b", "", w)), want: ""}}},
		{"what is kept can be accepted", []step{{answer: reading(some("", "", w, 80, 81)), want: "80 81"}, {fail: true, want: "[80] [81]"},
			{accept: []int{81, 99}, want: "[80]"}, {fail: true, want: "[80]"}, {answer: reading(some("", "", w, 80, 81)), want: "80 81"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := NewKnown(discovery.Policy{})
			for i, s := range tt.steps {
				now := start.Add(time.Duration(i) * time.Second)
				switch {
				case s.fail:
					k.Fail("refused", now)
				case s.accept != nil:
					k.Accept(addrs(s.accept...), now)
				default:
					k.Answer(s.answer, now)
				}
				if got := show(k.Set()); got != s.want {
					t.Fatalf("step %d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func addrs(ports ...int) []netip.AddrPort {
	var out []netip.AddrPort
	for _, p := range ports {
		out = append(out, addr(p))
	}
	return out
}

func TestKeptSaysWhyAndSinceWhen(t *testing.T) {
	k := NewKnown(discovery.Policy{})
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Whole, 90)), start)
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Unknown)), start.Add(time.Second))
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Unknown)), start.Add(time.Hour))
	want := Kept{Part: "AAAA", Reason: "server: SERVFAIL", Since: start.Add(time.Second)}
	if got := k.Set().Kept[addr(90)]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPolicyComesBeforePreference(t *testing.T) {
	named := func(a, name string) discovery.Endpoint {
		return discovery.Endpoint{Addr: netip.MustParseAddrPort(a), Name: name}
	}
	parts := func(v4 discovery.Completeness) discovery.Reading {
		r := reading(discovery.Part{Name: "A", State: v4}, discovery.Part{Name: "AAAA", Endpoints: []discovery.Endpoint{named("[2001:db8::1]:80", "web")}})
		if v4 == discovery.Whole {
			r.Parts[0].Endpoints = []discovery.Endpoint{named("10.0.0.1:80", "web")}
		}
		return r
	}
	list := func(k *Known) string { return fmt.Sprint(k.Set().Endpoints) }

	k := NewKnown(discovery.Policy{Family: discovery.PreferV4})
	k.Answer(parts(discovery.Whole), start)
	k.Answer(parts(discovery.Unknown), start) // the IPv4 address is kept, and goes on being preferred
	if got := list(k); got != "[10.0.0.1:80]" {
		t.Errorf("%s", got)
	}
	k.SetPolicy(discovery.Policy{Family: discovery.PreferV4, Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, start)
	if got := list(k); got != "[[2001:db8::1]:80]" {
		t.Errorf("refused IPv4: %s", got)
	}
	k.SetPolicy(discovery.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, start)
	if got := list(k); got != "[[2001:db8::1]:80]" || len(k.Set().Kept) != 1 {
		t.Errorf("everything refused: %s, kept %v", got, k.Set().Kept)
	}
}

func TestStateOfParts(t *testing.T) {
	k := NewKnown(discovery.Policy{})
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Whole, 90)), start)
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Unknown)), start.Add(time.Second))
	again := func() *Known {
		r := NewKnown(discovery.Policy{})
		parts, listed := k.State()
		r.Restore(parts, k.Set().Endpoints, listed, false, start)
		return r
	}
	r := again()
	if got := show(r.Set()); got != "[80] [90]" {
		t.Fatalf("restored: %s", got)
	}
	if r.MayRemove(addr(70)) || !r.MayRemove(addr(80)) {
		t.Error("what was never listed may be removed, or what was may not")
	}
	r.Answer(reading(some("A", "", discovery.Whole, 81), some("AAAA", "", discovery.Unknown)), start)
	if got := show(r.Set()); got != "81 [90]" {
		t.Errorf("one family answers: %s", got)
	}
	if since := r.Set().Kept[addr(90)].Since; !since.Equal(start.Add(time.Second)) {
		t.Errorf("kept since %s", since)
	}

	// A state without parts: what no part has stays until all is known.
	_, listed := k.State()
	r = NewKnown(discovery.Policy{})
	r.Restore(nil, eps(80, 90), listed, false, start)
	r.Answer(reading(some("A", "", discovery.Whole, 81), some("AAAA", "", discovery.Unknown)), start)
	if got := show(r.Set()); got != "[80] 81 [90]" {
		t.Errorf("old state, one family answers: %s", got)
	}
	r.Answer(reading(some("A", "", discovery.Whole, 81), some("AAAA", "", discovery.Whole)), start)
	if got := show(r.Set()); got != "81" {
		t.Errorf("old state, both answer: %s", got)
	}
}

// What was listed and is not in the set may be removed once its part was whole since the
// start: a crash may have lost the last answer before it.
func TestMayRemoveWaitsForThePart(t *testing.T) {
	k := NewKnown(discovery.Policy{})
	listed := []ListedState{{Addr: addr(90), Last: start, Part: "AAAA"}, {Addr: addr(80), Last: start, Part: "A"}}
	k.Restore([]PartState{{Name: "A"}, {Name: "AAAA"}}, nil, listed, false, start)
	k.Answer(reading(some("A", "", discovery.Whole), some("AAAA", "", discovery.Unknown)), start)
	if !k.MayRemove(addr(80)) || k.MayRemove(addr(90)) {
		t.Errorf("of the part that answers: %v, of the other: %v", k.MayRemove(addr(80)), k.MayRemove(addr(90)))
	}
	k.Answer(reading(some("A", "", discovery.Whole), some("AAAA", "", discovery.Whole)), start)
	if !k.MayRemove(addr(90)) {
		t.Error("not when the part is whole")
	}
}

func TestInheritedStaysUntilTheNewSourceHasSaidEverything(t *testing.T) {
	old := NewKnown(discovery.Policy{})
	old.Answer(reading(some("", "", discovery.Whole, 80, 81)), start)
	k := NewKnown(discovery.Policy{})
	k.Inherit(old, false, start)
	for i, step := range []struct {
		answer   discovery.Reading
		want     string
		replaced bool
	}{
		{reading(some("", "", discovery.Whole)), "[80] [81]", false}, // the name may be misspelt
		{reading(some("A", "", discovery.Whole, 90), some("AAAA", "", discovery.Unknown)), "[80] [81] 90", false},
		{reading(some("A", "", discovery.Whole, 90), discovery.Part{Name: "AAAA", State: discovery.Partial, Why: discovery.NoneYet + "NODATA"}), "90", true},
	} {
		if replaced := k.Answer(step.answer, start); replaced != step.replaced || show(k.Set()) != step.want {
			t.Errorf("step %d: %q, replaced %v; want %q, %v", i, show(k.Set()), replaced, step.want, step.replaced)
		}
	}
	if k.Listed(addr(80)) || !k.Seen() {
		t.Error("what another source listed is this one's")
	}
}

func TestUnionListsBeforeItKeeps(t *testing.T) {
	a, b := NewKnown(discovery.Policy{}), NewKnown(discovery.Policy{})
	a.Answer(reading(some("", "", discovery.Whole, 80, 81)), start)
	b.Answer(reading(discovery.Part{Endpoints: states(eps(80), discovery.Down, "critical")}), start)
	a.Fail("refused", start)
	c := Combine([]Contribution{{Name: "a", Set: a.Set(), Failing: true}, {Name: "b", Set: b.Set()}}, Failover{}, Position{}, start)
	if got := show(c.Set); got != "80 [81]" || c.Set.Endpoints[0].State != discovery.Down {
		t.Errorf("%s, %v", got, c.Set.Endpoints)
	}
	if k := c.Set.Kept[addr(81)]; k.Source != "a" {
		t.Errorf("kept: %+v", k)
	}
}

// The model of [TestKnownProperties]: an address is there if and only if a part that may
// say so says so, or a part that is not whole listed it since it was last whole.
type model map[string]map[int]bool

// Any number of parts and sources, each whole, partial, erring, silent, coming back, over
// time and restarts: an endpoint is in the set if and only if some part lists it, or it is
// kept with a reason, by a part that listed it and was not whole since.
func TestKnownProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"A", "AAAA", "t1", "t2", "t3"}
		k := NewKnown(discovery.Policy{})
		lists, keeps, keeper := model{}, model{}, discoverytest.Keeper{}
		for step := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now := start.Add(time.Duration(step) * time.Second)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				k.Fail("refused", now)
				for name := range lists {
					keeps.add(name, lists[name])
					lists[name] = nil
				}
			case 1:
				parts, listed := k.State()
				all := k.Set().Endpoints
				k = NewKnown(discovery.Policy{})
				k.Restore(parts, all, listed, false, now)
				for name := range lists {
					keeps.add(name, lists[name])
					lists[name] = nil
				}
			default:
				parent := discovery.Completeness(rapid.IntRange(0, 2).Draw(t, "parent"))
				r := reading(some("SRV", "", parent))
				for i, name := range names {
					child := i >= 2
					if child && (parent == discovery.Unknown || rapid.Bool().Draw(t, "not named")) {
						if parent == discovery.Whole {
							delete(lists, name)
							delete(keeps, name)
						} else {
							keeps.add(name, lists[name])
							delete(lists, name)
						}
						continue
					}
					p := some(name, "", discovery.Completeness(rapid.IntRange(0, 2).Draw(t, "state")))
					if child {
						p.Parent = "SRV"
					}
					said := map[int]bool{}
					if p.State != discovery.Unknown {
						for _, port := range rapid.SliceOfN(rapid.IntRange(1, 8), 0, 4).Draw(t, "ports") {
							said[port] = true
							p.Endpoints = append(p.Endpoints, eps(port)...)
						}
					}
					p.Endpoints = discovery.Normalize(p.Endpoints)
					if p.State == discovery.Whole {
						delete(keeps, name)
					} else {
						keeps.add(name, lists[name])
						for port := range said {
							delete(keeps[name], port)
						}
					}
					lists[name] = said
					r.Parts = append(r.Parts, p)
				}
				k.Answer(r, now)
				keeper.Take(r)
			}
			check(t, k.Set(), lists, keeps)
			if all := keeper.Endpoints(); !slices.Equal(all, k.Set().Endpoints) {
				t.Fatalf("the keeper of other tests has %v, want %s", all, show(k.Set()))
			}
		}
	})
}

func (m model) add(name string, ports map[int]bool) {
	if m[name] == nil {
		m[name] = map[int]bool{}
	}
	for p := range ports {
		m[name][p] = true
	}
}

func (m model) has(port int) bool {
	for _, ports := range m {
		if ports[port] {
			return true
		}
	}
	return false
}

func check(t *rapid.T, s Set, lists, keeps model) {
	there := discovery.ByAddr(s.Endpoints)
	for port := 1; port <= 8; port++ {
		_, ok := there[addr(port)]
		kept, isKept := s.Kept[addr(port)]
		switch {
		case ok != (lists.has(port) || keeps.has(port)):
			t.Fatalf("%d is there: %v, listed %v, kept %v; %s", port, ok, lists, keeps, show(s))
		case isKept != (!lists.has(port) && keeps.has(port)):
			t.Fatalf("%d is kept: %v, listed %v, kept %v; %s", port, isKept, lists, keeps, show(s))
		case isKept && (kept.Reason == "" || kept.Since.IsZero()):
			t.Fatalf("%d is kept without a word: %+v", port, kept)
		}
	}
}

// What is accepted is the operator's word: it may go wherever it is found, whatever becomes of
// the part that listed it.
func TestAcceptedMayBeRemovedAfterARestart(t *testing.T) {
	k := NewKnown(discovery.Policy{})
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Whole, 90)), start)
	k.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Unknown)), start.Add(time.Second))
	if gone := k.Accept([]netip.AddrPort{addr(90)}, start.Add(time.Minute)); len(gone) != 1 {
		t.Fatalf("accepted %v", gone)
	}
	if at := k.LastListed(addr(90)); !at.Equal(start) {
		t.Errorf("it was listed last at %s", at)
	}
	parts, listed := k.State()
	again := NewKnown(discovery.Policy{})
	again.Restore(parts, k.Set().Endpoints, listed, false, start)
	again.Answer(reading(some("A", "", discovery.Whole, 80), some("AAAA", "", discovery.Unknown)), start.Add(time.Hour))
	if !again.MayRemove(addr(90)) {
		t.Error("it is nobody's after a restart")
	}
}

// Time does not count for what a part listed that is not known now, also where it was whole
// without it before; nor does a reading without the part say that it is gone.
func TestSilentPartByPart(t *testing.T) {
	k := NewKnown(discovery.Policy{})
	parts := func(state discovery.Completeness, targets ...discovery.Part) discovery.Reading {
		return reading(append(targets, some("SRV", "", state))...)
	}
	k.Answer(parts(discovery.Whole, some("a", "SRV", discovery.Whole, 80), some("b", "SRV", discovery.Whole, 90)), start)
	for _, step := range []struct {
		answer         discovery.Reading
		silent, lacked bool // of 90
	}{
		{parts(discovery.Whole, some("a", "SRV", discovery.Whole, 80), some("b", "SRV", discovery.Whole)), false, true},
		{parts(discovery.Whole, some("a", "SRV", discovery.Whole, 80), some("b", "SRV", discovery.Unknown)), true, false},
		{parts(discovery.Whole, some("a", "SRV", discovery.Whole, 80)), false, true}, // the part has ended
		{parts(discovery.Unknown, some("a", "SRV", discovery.Whole, 80)), true, false},
		{parts(discovery.Whole, some("a", "SRV", discovery.Unknown)), false, true},
	} {
		k.Answer(step.answer, start)
		if k.Silent(addr(90)) != step.silent || k.Lacks(addr(90)) != step.lacked {
			t.Errorf("after %+v: silent %v, lacked %v", step.answer, k.Silent(addr(90)), k.Lacks(addr(90)))
		}
	}
}
