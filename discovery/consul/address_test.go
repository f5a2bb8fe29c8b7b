package consul

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery"
)

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
			for _, e := range r.Endpoints() {
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
