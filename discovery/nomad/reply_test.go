package nomad

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// recorded is an answer of the form that the documentation of Nomad's API shows
// for GET /v1/service/example-cache-redis.
const recorded = `[
  {
    "Address": "127.0.0.1", "AllocID": "177160af-26f6-619f-9c9f-5e46d1104395", "CreateIndex": 14, "Datacenter": "dc1",
    "ID": "_nomad-task-177160af-26f6-619f-9c9f-5e46d1104395-redis-example-cache-redis-db", "JobID": "example", "ModifyIndex": 24,
    "Namespace": "default", "NodeID": "7406e90b-de16-d118-80fe-60d0f2730cb3", "Port": 29702, "ServiceName": "example-cache-redis", "Tags": ["db", "cache"]
  },
  {
    "Address": "127.0.0.1", "AllocID": "ba731da0-6df9-9858-ef23-806e9758a899", "CreateIndex": 14, "Datacenter": "dc1",
    "ID": "_nomad-task-ba731da0-6df9-9858-ef23-806e9758a899-redis-example-cache-redis-db", "JobID": "example", "ModifyIndex": 18,
    "Namespace": "default", "NodeID": "7406e90b-de16-d118-80fe-60d0f2730cb3", "Port": 27232, "ServiceName": "example-cache-redis", "Tags": ["db"]
  }
]`

func TestRecorded(t *testing.T) {
	list, err := decode([]byte(recorded))
	if err != nil {
		t.Fatal(err)
	}
	for tags, want := range map[string][]string{
		"": {"127.0.0.1:27232 ba731da0", "127.0.0.1:29702 177160af"}, "db": {"127.0.0.1:27232 ba731da0", "127.0.0.1:29702 177160af"},
		"db cache": {"127.0.0.1:29702 177160af"}, "cache": {"127.0.0.1:29702 177160af"}, "db none": {},
	} {
		q := Query{Service: "example-cache-redis", Tags: strings.Fields(tags)}
		r := q.reading(reply{list: list, index: 24, leader: true})
		got := []string{}
		for _, e := range r.Endpoints() {
			got = append(got, e.String()+" "+e.Name)
		}
		if !slices.Equal(got, want) || !r.Whole() || r.Note != "index 24" {
			t.Errorf("tags %q: %q, whole %t, note %q", tags, got, r.Whole(), r.Note)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	one := `{"ServiceName":"web","ID":"a","Address":"10.0.0.1","Port":80}`
	for _, body := range []string{
		"", "null", "{}", "[null]", "[{}]", "[" + one + ",null]", "[" + one, "[" + one + ",", "[" + one + "]]", "[" + one + "][]", "[" + one + "] x",
		`[{"ServiceName":"web"}]`, `[{"ID":"a"}]`, `[{"ServiceName":"web","ID":"a","Port":"80"}]`, `[{"ServiceName":"web","ID":"a","Port":1e99}]`,
		"<html>Sign in</html>", strings.Repeat("[", 100_000), `["web"]`,
		"[" + strings.Repeat(one+",", discovery.MaxEndpoints) + one + "]",
	} {
		if list, err := decode([]byte(body)); err == nil || list != nil {
			t.Errorf("%.60s: %d instances, %v", body, len(list), err)
		}
	}
	for body, n := range map[string]int{"[]": 0, " [ ] \n": 0, "[" + one + " ,\t" + one + "]": 2} {
		if list, err := decode([]byte(body)); err != nil || list == nil || len(list) != n {
			t.Errorf("%s: %v %v", body, list, err)
		}
	}
}

func TestParseHeader(t *testing.T) {
	for _, test := range []struct {
		index, leader string
		want          reply
	}{
		{"42", "true", reply{index: 42, leader: true}},
		{"18446744073709551615", "false", reply{index: 1<<64 - 1}},
		{"18446744073709551616", "", reply{}},
		{"-1", "TRUE", reply{}},
		{"abc", "", reply{}},
		{"", "true", reply{leader: true}},
	} {
		h := http.Header{"X-Nomad-Index": {test.index}, "X-Nomad-Knownleader": {test.leader}}
		got := parseHeader(h)
		if got.index != test.want.index || got.leader != test.want.leader || got.cut {
			t.Errorf("%+v: got %+v", test, got)
		}
	}
}

func TestJudge(t *testing.T) {
	n := func(n int) []*api.ServiceRegistration {
		return slices.Repeat([]*api.ServiceRegistration{{ServiceName: "web"}}, n)
	}
	plain, block := longpoll.Request{}, longpoll.Request{Index: 50}
	tests := []struct {
		name string
		ask  longpoll.Request
		have int
		r    reply
		want string
	}{
		{"no index", plain, 0, reply{leader: true}, "protocol"},
		{"no index while blocking", block, 5, reply{leader: true, list: n(5)}, "protocol"},
		{"a page", block, 5, reply{index: 51, leader: true, list: n(5), cut: true}, "protocol"},
		{"another service", plain, 0, reply{index: 51, leader: true, list: []*api.ServiceRegistration{{ServiceName: "api"}}}, "protocol"},
		{"no leader", plain, 5, reply{index: 51, list: n(5)}, "server"},
		{"no leader while blocking", block, 5, reply{index: 51, list: n(2)}, "applyPartly"},
		{"no leader and an older index", block, 5, reply{index: 49, list: n(7)}, "reseed"},
		{"no leader and the same index", block, 5, reply{index: 50, list: n(7)}, "reseed"},
		{"the leader is never behind", block, 5, reply{index: 51, leader: true, list: n(5)}, "apply"},
		{"a lower index", block, 5, reply{index: 49, leader: true, list: n(1)}, "reseed"},
		{"index 1", block, 5, reply{index: 1, leader: true}, "reseed"},
		{"the same index", block, 5, reply{index: 50, leader: true}, "unchanged"},
		{"index 1 from the start", longpoll.Request{Index: 1}, 0, reply{index: 1, leader: true}, "unchanged"},
		{"all gone", block, 1, reply{index: 51, leader: true}, "doubtful"},
		{"half gone", block, 6, reply{index: 51, leader: true, list: n(3)}, "doubtful"},
		{"some gone", block, 6, reply{index: 51, leader: true, list: n(4)}, "apply"},
		{"few gone", block, 4, reply{index: 51, leader: true, list: n(2)}, "apply"},
		{"all gone, plainly", plain, 6, reply{index: 51, leader: true}, "apply"},
		{"a lower index, plainly", plain, 6, reply{index: 3, leader: true, list: n(1)}, "apply"},
	}
	names := map[longpoll.Disposition]string{longpoll.Apply: "apply", longpoll.ApplyPartly: "applyPartly", longpoll.Unchanged: "unchanged", longpoll.Reseed: "reseed", longpoll.Doubtful: "doubtful"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := judge(Query{Service: "web"}, test.ask, test.have, test.r)
			got := names[v]
			if err != nil {
				got = string(discovery.ClassOf(err))
			}
			if got != test.want {
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestReading(t *testing.T) {
	hostile := &api.ServiceRegistration{ID: "a\x1b[2J\nb", ServiceName: "web", Address: "10.0.0.1\nset server b/s state maint", Port: 80}
	list := []*api.ServiceRegistration{
		hostile, {ID: "x", Address: "web.example.org", Port: 80}, {ID: "x", Address: "", Port: 80}, {ID: "x", Address: "169.254.169.254", Port: 80},
		{ID: "x", Address: "10.0.0.2", Port: 0}, {ID: "x", Address: "10.0.0.2", Port: -70000}, {ID: "x", Address: "10.0.0.2", Port: 99999},
		{ID: "x", Address: "0.0.0.0", Port: 80}, {ID: "x", Address: "fe80::1%eth0", Port: 80},
	}
	r := Query{}.reading(reply{list: list, index: 9})
	if len(r.Endpoints()) != 0 || r.Whole() || len(r.Rejected) != len(list) {
		t.Errorf("%+v", r)
	}
	for _, rejected := range r.Rejected {
		if !slices.Contains(discovery.Reasons[:], rejected.Reason) || strings.ContainsAny(rejected.Name+rejected.Value, "\n\x1b") {
			t.Errorf("%+v", rejected)
		}
	}
	list = append(list, &api.ServiceRegistration{ID: "good", Address: "::ffff:10.0.0.3", Port: 80}, &api.ServiceRegistration{ID: "good", Address: "10.0.0.3", Port: 80})
	r = Query{}.reading(reply{list: list, index: 9})
	if got := fmt.Sprint(r.Endpoints()); got != "[10.0.0.3:80]" || !r.Whole() || r.Endpoints()[0].Name != "good" {
		t.Errorf("%s, whole %t", got, r.Whole())
	}
	if r := (Query{}).reading(reply{index: 1}); r.Whole() || len(r.Endpoints()) > 0 {
		t.Errorf("index 1: %+v", r)
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range []string{recorded, "[]", "null", "[null]", `[{"ServiceName":"web","ID":"a","Tags":null,"Port":-1}]`, "[{}", "[[["} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := decode(body)
		if err != nil && list != nil || err == nil && list == nil {
			t.Fatalf("%d instances, %v", len(list), err)
		}
		r := Query{Tags: []string{"db"}}.reading(reply{list: list, index: 2})
		for _, e := range r.Endpoints() {
			if discovery.Check(e.Addr) != "" || discovery.Printable(e.Name, 101) != e.Name {
				t.Fatalf("%+v", e)
			}
		}
	})
}
