package consul

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots"
)

// read sends instances through JSON, as Consul does.
func read(t *testing.T, q Query, instances ...*api.ServiceEntry) discovery.Reading {
	t.Helper()
	raw, err := json.Marshal(append([]*api.ServiceEntry{}, instances...))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	r := q.reading(reply{entries: entries, index: 42})
	checkReading(t, r, len(instances))
	return r
}

func instance(change ...func(*api.ServiceEntry)) *api.ServiceEntry {
	e := consultest.Instance("a", "10.0.0.1", 80)
	for _, c := range change {
		c(e)
	}
	return e
}

func checks(pairs ...string) func(*api.ServiceEntry) {
	return func(e *api.ServiceEntry) {
		e.Checks = nil
		for i := 0; i < len(pairs); i += 2 {
			e.Checks = append(e.Checks, &api.HealthCheck{CheckID: pairs[i], Status: pairs[i+1]})
		}
	}
}

func weights(passing, warning int) func(*api.ServiceEntry) {
	return func(e *api.ServiceEntry) { e.Service.Weights = api.AgentWeights{Passing: passing, Warning: warning} }
}

func TestStates(t *testing.T) {
	const serf, nodeMaint, maint = "serfHealth", "_node_maintenance", "_service_maintenance:a"
	tests := []struct {
		name   string
		query  Query
		change func(*api.ServiceEntry)
		state  discovery.State
		reason string
	}{
		{"no checks", Query{}, checks(), discovery.Ready, ""},
		{"passing", Query{}, checks(serf, "passing", "a", "passing"), discovery.Ready, ""},
		{"warning", Query{}, checks(serf, "passing", "a", "warning"), discovery.Ready, ""},
		{"warning where only passing is ready", Query{Health: Passing}, checks("a", "warning"), discovery.Drain, "warning"},
		{"critical", Query{}, checks("a", "critical"), discovery.Down, "critical"},
		{"critical beats warning", Query{Health: Passing}, checks("a", "critical", "b", "warning"), discovery.Down, "critical"},
		{"critical where any is ready", Query{Health: Any}, checks("a", "critical"), discovery.Ready, ""},
		{"C51 unknown status", Query{}, checks("a", "unknown"), discovery.Down, "critical"},
		{"C51 empty status", Query{}, checks("a", ""), discovery.Down, "critical"},
		{"a check that is null", Query{}, func(e *api.ServiceEntry) { e.Checks = append(e.Checks, nil) }, discovery.Down, "critical"},
		{"C50 maintenance", Query{}, checks(serf, "passing", maint, "critical"), discovery.Drain, "maintenance"},
		{"C50 node maintenance", Query{}, checks(nodeMaint, "critical", "a", "passing"), discovery.Drain, "maintenance"},
		{"maintenance where any is ready", Query{Health: Any}, checks(maint, "critical"), discovery.Drain, "maintenance"},
		{"maintenance beats critical", Query{}, checks("a", "critical", maint, "critical"), discovery.Drain, "maintenance"},
		{"maintenance beats the unknown", Query{}, checks("a", "?", maint, "critical"), discovery.Drain, "maintenance"},
		{"node critical", Query{}, checks(serf, "critical", "a", "passing"), discovery.Down, "node critical"},
		{"C40 node critical, ignored", Query{IgnoreNodeHealth: true}, checks(serf, "critical", "a", "passing"), discovery.Ready, ""},
		{"node ignored, service critical", Query{IgnoreNodeHealth: true}, checks(serf, "critical", "a", "critical"), discovery.Down, "critical"},
		{"node ignored, service warning", Query{IgnoreNodeHealth: true, Health: Passing}, checks(serf, "critical", "a", "warning"), discovery.Drain, "warning"},
		{"another check of the node", Query{IgnoreNodeHealth: true}, checks("disk", "critical"), discovery.Down, "critical"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, test.query, instance(test.change))
			if e := r.Endpoints()[0]; e.State != test.state || e.Reason != test.reason || e.Name != "a" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestWeights(t *testing.T) {
	warning := checks("a", "warning")
	tests := []struct {
		name   string
		change []func(*api.ServiceEntry)
		weight int
		state  discovery.State
	}{
		{"passing", []func(*api.ServiceEntry){weights(10, 3)}, 10, discovery.Ready},
		{"warning", []func(*api.ServiceEntry){weights(10, 3), warning}, 3, discovery.Ready},
		{"C49 warning without weight", []func(*api.ServiceEntry){weights(10, 0), warning}, 0, discovery.Drain},
		{"passing while warning has none", []func(*api.ServiceEntry){weights(10, 0)}, 10, discovery.Ready},
		{"none named", []func(*api.ServiceEntry){weights(0, 0)}, 0, discovery.Ready},
		{"none named, warning", []func(*api.ServiceEntry){weights(0, 0), warning}, 0, discovery.Ready},
		{"C48 the largest", []func(*api.ServiceEntry){weights(65535, 1)}, 65535, discovery.Ready},
		{"beyond the largest", []func(*api.ServiceEntry){weights(1<<40, 1)}, 65535, discovery.Ready},
		{"negative", []func(*api.ServiceEntry){weights(-1, 1)}, 0, discovery.Drain},
		{"in maintenance", []func(*api.ServiceEntry){weights(7, 1), checks("_node_maintenance", "critical")}, 7, discovery.Drain},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := read(t, Query{Health: Warning}, instance(test.change...)).Endpoints()[0]
			if e.Weight != test.weight || e.State != test.state || (e.Reason == "weight 0") != (e.Weight == 0 && e.State == discovery.Drain) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	tests := []struct {
		name, addr string
		port       int
		want       string // an address or the reason
	}{
		{"C41 a second command", "10.0.0.1\nset server b/s state maint", 80, discovery.BadAddress},
		{"C42 a host name", "web.example.org", 80, discovery.BadAddress},
		{"C42 none: the node's", "", 80, "192.0.2.1:80"},
		{"C42 mapped", "::ffff:10.0.0.1", 80, "10.0.0.1:80"},
		{"C42 leading zero", "010.0.0.1", 80, discovery.BadAddress},
		{"C42 a zone", "fe80::1%eth0", 80, discovery.BadAddress},
		{"IPv6", "2001:db8::1", 80, "[2001:db8::1]:80"},
		{"C43 port 0", "10.0.0.1", 0, discovery.BadPort},
		{"C43 negative port", "10.0.0.1", -70000, discovery.BadPort},
		{"C43 port beyond", "10.0.0.1", 99999, discovery.BadPort},
		{"C44 unspecified", "0.0.0.0", 80, discovery.Unspecified},
		{"C44 multicast", "224.0.0.1", 80, discovery.Multicast},
		{"C44 metadata", "169.254.169.254", 80, discovery.LinkLocal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			odd := consultest.Instance("odd", test.addr, test.port)
			r := read(t, Query{}, odd, consultest.Instance("b", "10.0.0.2", 80))
			got := ""
			for _, e := range r.Endpoints() {
				if e.Name == "odd" {
					got = e.Addr.String()
				}
			}
			for _, x := range r.Rejected {
				got = x.Reason
				if x.Name != "odd" || !strings.Contains(x.Value, fmt.Sprint("port ", test.port)) {
					t.Errorf("rejection %+v", x)
				}
			}
			if got != test.want || len(r.Endpoints())+len(r.Rejected) != 2 || !r.Whole() {
				t.Errorf("got %q, want %q in %+v", got, test.want, r)
			}
		})
	}
}

func TestAllRefusedRemovesNothing(t *testing.T) {
	r := read(t, Query{}, consultest.Instance("a", "a.example.org", 80), consultest.Instance("b", "b.example.org", 80))
	if r.Whole() || len(r.Endpoints()) != 0 || len(r.Rejected) != 2 {
		t.Errorf("got %+v", r)
	}
	if r := read(t, Query{}); !r.Whole() || len(r.Rejected) != 0 {
		t.Errorf("no instances at all: %+v", r)
	}
}

func TestC45OneIDOnTwoNodes(t *testing.T) {
	same := []*api.ServiceEntry{consultest.Instance("a", "10.0.0.1", 80), consultest.Instance("a", "10.0.0.2", 80)}
	if r := read(t, Query{}, same...); len(r.Endpoints()) != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestC46TwoIDsAtOneAddress(t *testing.T) {
	light, heavy := instance(weights(1, 1)), instance(weights(9, 1))
	heavy.Service.ID = "z"
	for _, order := range [][]*api.ServiceEntry{{light, heavy}, {heavy, light}} {
		r := read(t, Query{}, order...)
		if len(r.Endpoints()) != 1 || r.Endpoints()[0].Weight != 9 || r.Endpoints()[0].Name != "z" {
			t.Errorf("got %+v", r)
		}
	}
}

// TestC48WeightsAreScaled has one instance of every power of two, and takes the
// largest that is ready away: the others keep their weights, since it is still
// registered.
func TestC48WeightsAreScaled(t *testing.T) {
	scale := func(change ...func(*api.ServiceEntry)) map[netip.AddrPort]int {
		var all []*api.ServiceEntry
		for i := range 17 {
			e := consultest.Instance("a", fmt.Sprintf("10.0.0.%d", i+1), 80)
			weights(min(1<<i, 65535), 1)(e)
			all = append(all, e)
		}
		for _, c := range change {
			c(all[16])
		}
		return slots.Scale(read(t, Query{}, all...).Endpoints())
	}
	before, after := scale(), scale(checks("a", "critical"))
	for addr, weight := range before {
		if weight < 1 || weight > 256 || after[addr] != weight {
			t.Errorf("%s has weight %d, then %d", addr, weight, after[addr])
		}
	}
	if lightest, heaviest := before[netip.MustParseAddrPort("10.0.0.1:80")], before[netip.MustParseAddrPort("10.0.0.17:80")]; lightest != 1 || heaviest != 256 {
		t.Errorf("weights from %d to %d", lightest, heaviest)
	}
}

func TestC53NothingElseIsRead(t *testing.T) {
	e := instance(func(e *api.ServiceEntry) {
		e.Service.ID = `web";set server` + "\x1b\n" + strings.Repeat("x", 1<<20)
		e.Service.Meta = map[string]string{`k";\n`: strings.Repeat(`";`, 1<<19)}
		e.Service.Tags = []string{strings.Repeat("t", 1<<20)}
		e.Checks[0].Output = strings.Repeat("o", 1<<20)
	})
	r := read(t, Query{}, e)
	if n := len([]rune(r.Endpoints()[0].Name)); n > 101 || len(fmt.Sprintf("%+v", r)) > 600 {
		t.Errorf("the name has %d letters", n)
	}
}

func TestC47OrderIsNoNews(t *testing.T) {
	list := consultest.Instances(20)
	want := read(t, Query{}, list...)
	slices.Reverse(list)
	if got := read(t, Query{}, list...); !slices.Equal(want.Endpoints(), got.Endpoints()) {
		t.Errorf("%v\n%v", want, got)
	}
}
