package consul

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
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
			if e := r.Endpoints[0]; e.State != test.state || e.Reason != test.reason || e.Name != "a" {
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
			e := read(t, Query{Health: Warning}, instance(test.change...)).Endpoints[0]
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
			for _, e := range r.Endpoints {
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
			if got != test.want || len(r.Endpoints)+len(r.Rejected) != 2 || r.Weak {
				t.Errorf("got %q, want %q in %+v", got, test.want, r)
			}
		})
	}
}

// TestPlaces has one instance for every question of where it is.
func TestPlaces(t *testing.T) {
	several := func(e *api.ServiceEntry) {
		e.Service.Port = 0
		e.Service.Ports = api.ServicePorts{{Name: "metrics", Port: 9102}, {Name: "http", Port: 8080, Default: true}}
	}
	tagged := func(e *api.ServiceEntry) {
		e.Service.TaggedAddresses = map[string]api.ServiceAddress{
			"lan": {Address: "192.168.0.1", Port: 81}, "wan": {Address: "198.51.100.1"}, "bare": {Port: 82}, "bad": {Address: "a;b", Port: 83},
			"mapped": {Address: "::ffff:192.168.0.2", Port: 84}, "zone": {Address: "fe80::1%eth0", Port: 85},
		}
		e.Node.TaggedAddresses = map[string]string{"lan": "192.0.2.2", "wan": "192.0.2.3", "lan_ipv6": "2001:db8::2"}
	}
	at := func(host string) func(*api.ServiceEntry) {
		return func(e *api.ServiceEntry) { e.Service.Address = host }
	}
	port := func(n int) func(*api.ServiceEntry) { return func(e *api.ServiceEntry) { e.Service.Port = n } }
	tests := []struct {
		name   string
		query  Query
		change []func(*api.ServiceEntry)
		want   string // an address or the reason
	}{
		{"no tag asked for", Query{}, []func(*api.ServiceEntry){tagged}, "10.0.0.1:80"},
		{"the service's, with a port", Query{AddressTag: "lan"}, []func(*api.ServiceEntry){tagged}, "192.168.0.1:81"},
		{"the service's, without", Query{AddressTag: "wan"}, []func(*api.ServiceEntry){tagged}, "198.51.100.1:80"},
		{"a port alone", Query{AddressTag: "bare"}, []func(*api.ServiceEntry){tagged}, "10.0.0.1:82"},
		{"the node's, for a service at the node's", Query{AddressTag: "lan_ipv6"}, []func(*api.ServiceEntry){tagged, at("192.0.2.1")}, "[2001:db8::2]:80"},
		{"the node's, for one at another of the node's", Query{AddressTag: "lan_ipv6"}, []func(*api.ServiceEntry){tagged, at("192.0.2.3")}, "[2001:db8::2]:80"},
		{"the node's, for one without", Query{AddressTag: "lan_ipv6"}, []func(*api.ServiceEntry){tagged, at("")}, "[2001:db8::2]:80"},
		{"not the node's, for one elsewhere", Query{AddressTag: "lan_ipv6"}, []func(*api.ServiceEntry){tagged}, "10.0.0.1:80"},
		{"neither's", Query{AddressTag: "virtual"}, []func(*api.ServiceEntry){tagged}, "10.0.0.1:80"},
		{"no tags at all", Query{AddressTag: "lan"}, nil, "10.0.0.1:80"},
		{"C41 one that is none", Query{AddressTag: "bad"}, []func(*api.ServiceEntry){tagged}, discovery.BadAddress},
		{"C42 mapped", Query{AddressTag: "mapped"}, []func(*api.ServiceEntry){tagged}, "192.168.0.2:84"},
		{"C42 a zone", Query{AddressTag: "zone"}, []func(*api.ServiceEntry){tagged}, discovery.BadAddress},
		{"the default port of several", Query{}, []func(*api.ServiceEntry){several}, "10.0.0.1:8080"},
		{"and where Consul says it already", Query{}, []func(*api.ServiceEntry){several, port(8081)}, "10.0.0.1:8081"},
		{"a port by name", Query{PortName: "metrics"}, []func(*api.ServiceEntry){several, port(8080)}, "10.0.0.1:9102"},
		{"the default one by name", Query{PortName: "http"}, []func(*api.ServiceEntry){several}, "10.0.0.1:8080"},
		{"C43 a name it does not have", Query{PortName: "grpc", DefaultPort: 99}, []func(*api.ServiceEntry){several, port(8080)}, discovery.BadPort},
		{"a name where there is one port", Query{PortName: "grpc"}, nil, "10.0.0.1:80"},
		{"by name, at a tagged address", Query{PortName: "metrics", AddressTag: "lan"}, []func(*api.ServiceEntry){several, tagged}, "192.168.0.1:9102"},
		{"one port, at a tagged address", Query{PortName: "metrics", AddressTag: "lan"}, []func(*api.ServiceEntry){tagged}, "192.168.0.1:81"},
		{"C43 none, and a default", Query{DefaultPort: 99}, []func(*api.ServiceEntry){port(0)}, "10.0.0.1:99"},
		{"C43 none, and no default", Query{}, []func(*api.ServiceEntry){port(0)}, discovery.BadPort},
		{"C43 a bad one, and a default", Query{DefaultPort: 99}, []func(*api.ServiceEntry){port(-70000)}, discovery.BadPort},
		{"C43 one beyond, and a default", Query{DefaultPort: 99}, []func(*api.ServiceEntry){port(99999)}, discovery.BadPort},
		{"one of its own, and a default", Query{DefaultPort: 99}, nil, "10.0.0.1:80"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, test.query, instance(test.change...))
			got := ""
			for _, e := range r.Endpoints {
				got = e.Addr.String()
			}
			for _, x := range r.Rejected {
				got = x.Reason
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestOddTags spoils nothing that nobody asked for, and one instance else.
func TestOddTags(t *testing.T) {
	const body = `[{"Node":{"Address":"10.0.0.1","TaggedAddresses":{"lan":1}},"Service":{"ID":"a","Port":80,"Ports":{"http":80}}},` +
		`{"Node":{"Address":"10.0.0.2","TaggedAddresses":null},"Service":{"ID":"b","Port":80,"Ports":null,"TaggedAddresses":null}},` +
		`{"Node":{"Address":"10.0.0.3"},"Service":{"ID":"c","Port":80,"Ports":[],"TaggedAddresses":"lan"}}]`
	entries, err := decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		query Query
		want  []string
	}{
		"nobody asks": {Query{}, []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}},
		"by tag":      {Query{AddressTag: "lan"}, []string{"10.0.0.2:80"}},
		"by port":     {Query{PortName: "http"}, []string{"10.0.0.2:80", "10.0.0.3:80"}},
	} {
		r := test.query.reading(reply{entries: entries, index: 7, leader: true})
		checkReading(t, r, len(entries))
		if got := describe(r); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
		for _, x := range r.Rejected {
			if x.Reason != discovery.Incomplete {
				t.Errorf("%s: %+v", name, x)
			}
		}
	}
}

// TestRecordings reads what Consul has sent.
func TestRecordings(t *testing.T) {
	tests := []struct {
		file     string
		query    Query
		want     []string
		rejected int
	}{
		{"health-1.8.7.json", Query{}, []string{"10.0.0.1:8080", "10.0.0.4:80 (drain)"}, 2},
		{"health-1.8.7.json", Query{AddressTag: "wan", DefaultPort: 99}, []string{"10.0.0.4:80 (drain)", "127.0.0.1:99", "198.51.100.1:18080"}, 1},
		{"health-1.8.7.json", Query{AddressTag: "lan_ipv4", Health: Passing}, []string{"10.0.0.1:8080 (drain)", "10.0.0.4:80 (drain)"}, 2},
		{"health-1.22-ports.json", Query{}, []string{"10.0.0.1:8080"}, 0},
		{"health-1.22-ports.json", Query{PortName: "metrics", AddressTag: "wan"}, []string{"198.51.100.1:9102"}, 0},
	}
	for _, test := range tests {
		entries, err := decode(recorded(t, test.file))
		if err != nil {
			t.Fatal(err)
		}
		r := test.query.reading(reply{entries: entries, index: 7, leader: true})
		checkReading(t, r, len(entries))
		if got := describe(r); !slices.Equal(got, test.want) || len(r.Rejected) != test.rejected {
			t.Errorf("%s %+v: %v, rejected %+v", test.file, test.query, got, r.Rejected)
		}
	}
}

func recorded(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestAllRefusedRemovesNothing(t *testing.T) {
	r := read(t, Query{}, consultest.Instance("a", "a.example.org", 80), consultest.Instance("b", "b.example.org", 80))
	if !r.Weak || len(r.Endpoints) != 0 || len(r.Rejected) != 2 {
		t.Errorf("got %+v", r)
	}
	if r := read(t, Query{}); r.Weak || len(r.Rejected) != 0 {
		t.Errorf("no instances at all: %+v", r)
	}
}

func TestC45OneIDOnTwoNodes(t *testing.T) {
	same := []*api.ServiceEntry{consultest.Instance("a", "10.0.0.1", 80), consultest.Instance("a", "10.0.0.2", 80)}
	if r := read(t, Query{}, same...); len(r.Endpoints) != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestC46TwoIDsAtOneAddress(t *testing.T) {
	light, heavy := instance(weights(1, 1)), instance(weights(9, 1))
	heavy.Service.ID = "z"
	for _, order := range [][]*api.ServiceEntry{{light, heavy}, {heavy, light}} {
		r := read(t, Query{}, order...)
		if len(r.Endpoints) != 1 || r.Endpoints[0].Weight != 9 || r.Endpoints[0].Name != "z" {
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
		return slots.Scale(read(t, Query{}, all...).Endpoints)
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
	if n := len([]rune(r.Endpoints[0].Name)); n > 101 || len(fmt.Sprintf("%+v", r)) > 600 {
		t.Errorf("the name has %d letters", n)
	}
}

func TestC47OrderIsNoNews(t *testing.T) {
	list := consultest.Instances(20)
	want := read(t, Query{}, list...)
	slices.Reverse(list)
	if got := read(t, Query{}, list...); !slices.Equal(want.Endpoints, got.Endpoints) {
		t.Errorf("%v\n%v", want, got)
	}
}
