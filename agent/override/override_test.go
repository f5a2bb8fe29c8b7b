package override

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

func addr(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), uint16(port))
}

// eps are endpoints with the ports from 1 to n.
func eps(n int) []discovery.Endpoint {
	var out []discovery.Endpoint
	for port := range n {
		out = append(out, discovery.Endpoint{Addr: addr(port + 1)})
	}
	return out
}

func setOf(list ...api.Override) Set {
	s := Set{}
	for _, o := range list {
		s, _ = s.With(o)
	}
	return s
}

func TestStoredOverridesAreChecked(t *testing.T) {
	s := Restore([]api.Override{
		{Backend: "web", Address: "127.0.0.9:80", Kind: api.OverrideState, State: api.StateDrain},
		{Backend: "web", Address: "127.0.0.9:80", Kind: api.OverrideState, State: api.StateMaint, By: "ann\x1b[2J"}, // one for the same
		{Backend: "web", Address: "127.0.0.9:80", Kind: api.OverrideState, State: "off"},
		{Backend: "web", Address: "169.254.169.254:80", Kind: api.OverrideServer},
		{Backend: "web", Address: "web1\nset server", Kind: api.OverrideServer},
		{Address: "127.0.0.9", Kind: api.OverrideState, State: api.StateDrain},
		{Address: "127.0.0.9", Kind: api.OverrideWeight, Weight: "1"},
		{Address: "127.0.0.9", Kind: api.OverrideServer},
		{Backend: "web", Address: "127.0.0.9:80", Kind: api.OverrideWeight, Weight: "1000"},
		{Backend: "web", Address: "127.0.0.9:80", Kind: "other"},
	})
	var got []string
	for _, o := range s.Sorted() {
		got = append(got, strings.TrimSpace(o.Backend+" "+o.Address+" "+o.Kind+" "+o.State+" "+o.By))
	}
	if strings.Join(got, "; ") != "127.0.0.9 state drain; 127.0.0.9 weight; web 127.0.0.9:80 state maint ann.[2J" {
		t.Errorf("got %q", got)
	}
}

func TestOverridesOfTheBackendCountFirst(t *testing.T) {
	l := setOf(api.Override{Address: "127.0.0.9", Kind: api.OverrideState, State: api.StateMaint},
		api.Override{Backend: "web", Address: "127.0.0.9:80", Kind: api.OverrideState, State: api.StateDrain})
	got := l.Apply("web", []discovery.Endpoint{{Addr: addr(80)}, {Addr: addr(81)}})
	if got[0].State != discovery.Drain || got[1].State != discovery.Down {
		t.Errorf("got %+v", got)
	}
}

// TestManyOverridesAreFoundCheaply: each endpoint is looked for among all of them,
// every second.
func TestManyOverridesAreFoundCheaply(t *testing.T) {
	l := manyOverrides(500)
	most := testing.AllocsPerRun(10, func() {
		if l.Find("web", addr(500), api.OverrideState) == nil || l.Find("web", addr(501), api.OverrideState) != nil {
			t.Error("found wrongly")
		}
	})
	if most > 10 {
		t.Errorf("%v allocations to find one", most)
	}
}

// manyOverrides are those of the first n ports, and of an address that nobody has.
func manyOverrides(n int) Set {
	l := setOf(api.Override{Address: "127.0.0.8", Kind: api.OverrideState, State: api.StateDrain})
	for port := range n {
		o := api.Override{Backend: "web", Address: addr(port + 1).String(), Kind: api.OverrideState, State: api.StateDrain}
		l[KeyOf(&o)] = &o
	}
	return l
}

// TestManyOverridesAreKeptCheaply: every second all of them are held against all
// endpoints of their backend.
func TestManyOverridesAreKeptCheaply(t *testing.T) {
	now := time.Now()
	l, set := manyOverrides(500), eps(2000)
	most := testing.AllocsPerRun(10, func() {
		left, gone := l.Expire(map[string][][]discovery.Endpoint{"web": {eps(1), set}, "api": nil}, now)
		if len(left) != 500 || len(gone) != 1 || len(l.Of("web")) != 501 || len(l.Of("api")) != 1 {
			t.Fatalf("%d are left, %d are over", len(left), len(gone))
		}
		if out := l.Of("web").Apply("web", set); out[499].State != discovery.Drain || out[500].State != discovery.Ready {
			t.Fatal("applied wrongly")
		}
	})
	if most > 200 {
		t.Errorf("%v allocations a second", most)
	}
}

// TestWeightOfAnAddedServer: its own goes before that of its address, and after one that
// it was given later.
func TestWeightOfAnAddedServer(t *testing.T) {
	server := api.Override{Backend: "web", Address: "127.0.0.9:90", Kind: api.OverrideServer}
	heavy, given := server, server
	heavy.Weight = "50"
	given.Kind, given.Weight = api.OverrideWeight, "7"
	address := api.Override{Address: "127.0.0.9", Kind: api.OverrideWeight, Weight: "20"}
	for want, all := range map[string][]api.Override{"20": {server, address}, "50": {heavy, address}, "7": {heavy, given, address}} {
		l := setOf(all...)
		if o := l.weight("web", addr(90)); o == nil || o.Weight != want {
			t.Errorf("got %+v, want weight %s", o, want)
		}
	}
}
