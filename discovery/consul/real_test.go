package consul

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// TestC23RealRestarts kills a real Consul; what it knew stays until it says
// otherwise, and a rebuilt one with lower indexes is believed.
func TestC23RealRestarts(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t)
	for i, id := range []string{"a", "b", "c"} {
		server.Register("web", id, "10.0.0."+string(rune('1'+i)), 80)
	}
	w := discoverytest.Watch(t, source(t, realClient(t, server, Options{}), Query{}))
	count := func(n int) func(discovery.Update) bool {
		return func(u discovery.Update) bool { return u.Err == nil && len(u.Reading.Endpoints()) == n }
	}
	failed := func(u discovery.Update) bool { return u.Err != nil }

	_, at := w.Until(t, 0, count(3))
	server.Kill()
	_, at = w.Until(t, at, failed)
	server.Restart(true)
	_, at = w.Until(t, at, count(3))
	server.Register("web", "d", "10.0.0.4", 80)
	_, at = w.Until(t, at, count(4))
	server.Kill()
	_, at = w.Until(t, at, failed)
	before, _ := w.Seen()
	counts, _ := sets(before)
	if slices.Contains(counts, 0) {
		t.Errorf("sets of %v", counts)
	}
	server.Restart(false)
	server.Register("web", "e", "10.0.0.5", 80)
	w.Until(t, at, func(u discovery.Update) bool { return slices.Equal(describe(u.Reading), []string{"10.0.0.5:80"}) })
}

func TestRealFilter(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t)
	server.Register("web", "a", "10.0.0.1", 80, consultest.Meta(map[string]string{"v": "1"}), consultest.Tags("prod", "blue"))
	server.Register("web", "b", "10.0.0.2", 80, consultest.Meta(map[string]string{"v": "2"}), consultest.Tags("prod"))
	server.Register("web", "c", "10.0.0.3\nshutdown", 80)
	c := realClient(t, server, Options{})
	for _, test := range []struct {
		query Query
		want  []string
	}{
		{Query{}, []string{"10.0.0.1:80", "10.0.0.2:80"}},
		{Query{Tags: []string{"prod", "blue"}}, []string{"10.0.0.1:80"}},
		{Query{Tags: []string{"prod"}, Filter: `Service.Meta.v == "2"`}, []string{"10.0.0.2:80"}},
		{Query{Tags: []string{"none"}}, []string{}},
	} {
		if r, err := source(t, c, test.query).Next(t.Context()); err != nil || !slices.Equal(describe(r), test.want) {
			t.Errorf("%+v: %+v %v", test.query, r, err)
		}
	}
	_, err := source(t, c, Query{Filter: "Service.Meta.v = 2"}).Next(t.Context()) // C19
	if discovery.ClassOf(err) != discovery.Config {
		t.Errorf("a faulty filter: %v", err)
	}
	server.NodeMaintenance(true)
	if r, err := source(t, c, Query{Tags: []string{"blue"}}).Next(t.Context()); err != nil || !slices.Equal(describe(r), []string{"10.0.0.1:80 (drain)"}) {
		t.Errorf("node maintenance: %+v %v", r, err)
	}
}

// TestRealPlaces asks the real agent where instances are, and of which nodes.
func TestRealPlaces(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t)
	server.Register("web", "a", "10.0.0.1", 8080, consultest.TaggedAddress("wan", "198.51.100.1", 18080))
	server.Register("web", "b", "10.0.0.2", 8081)
	server.Register("web", "c", "", 0)
	server.Register("web", "d", "0010.0.0.4", 8082)
	c := realClient(t, server, Options{})
	for _, test := range []struct {
		query Query
		want  []string
	}{
		{Query{}, []string{"10.0.0.1:8080", "10.0.0.2:8081"}},
		{Query{DefaultPort: 99}, []string{"10.0.0.1:8080", "10.0.0.2:8081", "127.0.0.1:99"}},
		{Query{AddressTag: "wan", DefaultPort: 99}, []string{"10.0.0.2:8081", "127.0.0.1:99", "198.51.100.1:18080"}},
		{Query{AddressTag: "lan_ipv4", PortName: "http"}, []string{"10.0.0.1:8080", "10.0.0.2:8081"}},
		{Query{NodeMeta: []string{"rack:1"}}, []string{}},
		{Query{Datacenter: "dc1"}, []string{"10.0.0.1:8080", "10.0.0.2:8081"}},
	} {
		if r, err := source(t, c, test.query).Next(t.Context()); err != nil || !slices.Equal(describe(r), test.want) {
			t.Errorf("%+v: %+v %v", test.query, r, err)
		}
	}
	// The leader registers a node first, and the node tells its metadata later.
	discoverytest.Watch(t, source(t, c, Query{NodeMeta: []string{"consul-network-segment:"}})).Until(t, 0, func(u discovery.Update) bool {
		return u.Err == nil && slices.Equal(describe(u.Reading), []string{"10.0.0.1:8080", "10.0.0.2:8081"})
	})
	if _, err := source(t, c, Query{Datacenter: "mars"}).Next(t.Context()); discovery.ClassOf(err) != discovery.Server {
		t.Errorf("a datacenter that there is not: %v", err)
	}
}

// TestC55RealAgent holds that 1.8.7 ignores partitions, which is why it is not
// asked for one, whether it tells its version or not.
func TestC55RealAgent(t *testing.T) {
	t.Parallel()
	server := consultest.StartACL(t)
	server.Register("web", "a", "10.0.0.1", 80)
	services := `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`
	for _, test := range []struct {
		name, rules, service string
		options              Options
		want                 string
	}{
		{"a partition", services + ` agent_prefix "" { policy = "read" }`, "web", Options{Partition: "west"}, "is Consul 1.8.7 and ignores partitions"},
		{"a namespace", services + ` agent_prefix "" { policy = "read" }`, "web", Options{Namespace: "team"}, "is Consul 1.8.7 and ignores namespaces"},
		{"a partition, without agent:read", services, "web", Options{Partition: "west"}, "it ignores them"},
		{"one without instances, and without agent:read", services, "none", Options{Partition: "west"}, "without agent:read"},
		{"a namespace, without agent:read", services, "web", Options{Namespace: "team"}, "Namespaces are a Consul Enterprise feature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := server.NewToken(test.rules)
			test.options.Token = func() string { return token }
			_, err := source(t, realClient(t, server, test.options), Query{Service: test.service}).Next(t.Context())
			if discovery.ClassOf(err) != discovery.Config || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	token := server.NewToken(services)
	c := realClient(t, server, Options{Token: func() string { return token }})
	if r, err := source(t, c, Query{Filter: `Service.ID == "a"`}).Next(t.Context()); err != nil || len(r.Endpoints()) != 1 {
		t.Errorf("a filter, without agent:read: %+v %v", r, err)
	}
}

// TestC17C18RealACLs asks with too few rights, and with none. That 1.8.7 answers
// both as if there were no instances, without a sign, is why an empty set is held;
// newer agents say so in headers, as the fake does in the other tests.
func TestC17C18RealACLs(t *testing.T) {
	t.Parallel()
	server := consultest.StartACL(t)
	server.Register("web", "a", "10.0.0.1", 80)
	for _, test := range []struct {
		name, rules string
		want        discovery.Class // "": an empty set
	}{
		{"C17 no node:read", `service_prefix "" { policy = "read" }`, ""},
		{"C17 no service:read", `node_prefix "" { policy = "read" }`, ""},
		{"C18 no token", "", ""},
		{"a token that there is not", "none", discovery.Auth},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := ""
			switch test.rules {
			case "":
			case "none":
				token = "7a1bd6c2-0000-4000-8000-00000000dead"
			default:
				token = server.NewToken(test.rules)
			}
			c := realClient(t, server, Options{Token: func() string { return token }})
			r, err := source(t, c, Query{}).Next(t.Context())
			if test.want == "" && (err != nil || len(r.Endpoints()) != 0) || test.want != "" && discovery.ClassOf(err) != test.want {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

func TestRealTokens(t *testing.T) {
	t.Parallel()
	server := consultest.StartACL(t)
	server.Register("web", "a", "10.0.0.1", 80)
	rules := `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`
	first, second := server.NewToken(rules), server.NewToken(rules)
	path := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	file, err := longpoll.NewTokenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := source(t, realClient(t, server, Options{Token: file.Token, Denied: file.Reread, Wait: time.Second}), Query{})
	if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 1 {
		t.Fatalf("the first token: %+v %v", r, err)
	}
	server.RevokeToken(first)
	if _, err := s.Confirm(t.Context()); discovery.ClassOf(err) != discovery.Auth || strings.Contains(err.Error(), first) {
		t.Errorf("a revoked token: %v", err)
	}
	write(second)
	if r, err := s.Confirm(t.Context()); err != nil || len(r.Endpoints()) != 1 {
		t.Errorf("the second token: %+v %v", r, err)
	}
	if r, err := s.Next(t.Context()); err != nil || len(r.Endpoints()) != 1 {
		t.Errorf("and the watch: %+v %v", r, err)
	}
}
