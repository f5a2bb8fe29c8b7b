package consultest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

// What a token may not read is left out, and only a read that reaches a server says so,
// to those who send a token.
func TestHide(t *testing.T) {
	const token = "7a1bd6c2-0000-4000-8000-00000000beef"
	f := consultest.NewFake(t)
	f.Set("web", consultest.Instances(3)...)
	client := http.Client{Transport: &http.Transport{DialContext: f.Dial}}
	t.Cleanup(client.CloseIdleConnections)
	ask := func(query, token string) (ids string, h http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://consul/v1/health/service/web?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("X-Consul-Token", token)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var list []struct{ Service struct{ ID string } }
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range list {
			all = append(all, e.Service.ID)
		}
		return strings.Join(all, " "), resp.Header
	}
	if ids, h := ask("", token); ids != "web-1 web-2 web-3" || h.Get("X-Consul-Default-ACL-Policy") != "" {
		t.Errorf("without ACLs: %s, %v", ids, h)
	}
	f.Hide(token, "node-web-2")
	f.Hide("", "node-web-1")
	for _, test := range []struct {
		query, token, want, filtered, leader, backend string
		stream                                        bool
	}{
		{"", token, "web-1 web-3", "true", "true", "", false},
		{"index=1&wait=1s", token, "web-1 web-3", "true", "true", "", false},
		{"index=1&wait=1s", token, "web-1 web-3", "", "false", "streaming", true},
		{"consistent", token, "web-1 web-3", "true", "true", "", true},
		{"", "", "web-2 web-3", "", "true", "", true},
		{"", "another", "web-1 web-2 web-3", "", "true", "", true},
	} {
		f.Stream(test.stream)
		ids, h := ask(test.query, test.token)
		if ids != test.want || h.Get("X-Consul-Results-Filtered-By-ACLs") != test.filtered || h.Get("X-Consul-KnownLeader") != test.leader ||
			h.Get("X-Consul-Query-Backend") != test.backend || h.Get("X-Consul-Default-ACL-Policy") != "deny" {
			t.Errorf("%+v: %s, %v", test, ids, h)
		}
	}
}
