package consul

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

func TestJudge(t *testing.T) {
	const none = discovery.Class("")
	good := func(index uint64, n int, change ...func(*reply)) reply {
		r := reply{index: index, leader: true, entries: make([]entry, n), token: true}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	noLeader := func(r *reply) { r.leader = false }
	streaming := func(r *reply) { r.leader, r.streaming = false, true }
	filtered := func(r *reply) { r.filtered = true }
	anonymous := func(r *reply) { r.token, r.deny = false, true }
	allowed := func(r *reply) { r.token, r.deny = false, false }
	old := func(r *reply) { r.age = time.Hour }
	anybody := func(r *reply) { r.anyServer = true }
	plain := longpoll.Request{Mode: longpoll.Default}
	at := func(index uint64) longpoll.Request {
		return longpoll.Request{Mode: longpoll.Stale, Index: index, Wait: time.Minute}
	}

	tests := []struct {
		name        string
		ask         longpoll.Request
		have        int
		reply       reply
		disposition longpoll.Disposition
		class       discovery.Class
	}{
		{"C27 no index, blocking", at(7), 3, good(0, 3), 0, discovery.Protocol},
		{"C27 no index, plain", plain, 3, good(0, 3), 0, discovery.Protocol},
		{"C20 index 1, blocking", at(7), 3, good(1, 0, streaming), longpoll.Reseed, none},
		{"C20 index 1, plain", plain, 3, good(1, 0, streaming), 0, discovery.Server},
		{"C30 no leader, blocking", at(7), 3, good(8, 1, noLeader, old), longpoll.ApplyPartly, none},
		{"no leader and index as asked", at(7), 3, good(7, 3, noLeader), longpoll.Reseed, none},
		{"no leader and lower", at(7), 3, good(6, 3, noLeader), longpoll.Reseed, none},
		{"C29 streaming, none left", at(7), 3, good(8, 0, streaming), longpoll.Doubtful, none},
		{"C29 streaming, lower", at(7), 3, good(6, 4, streaming), longpoll.Reseed, none},
		{"C29 streaming, as asked", at(7), 3, good(7, 0, streaming), longpoll.Unchanged, none},
		{"C18 streaming, none without a token", at(7), 3, good(8, 0, func(r *reply) { streaming(r); anonymous(r) }), 0, discovery.Auth},
		{"C17 streaming, filtered", at(7), 3, good(8, 0, func(r *reply) { streaming(r); filtered(r) }), 0, discovery.Auth},
		{"too old and lower", at(7), 3, good(6, 3, old), longpoll.TooOld, none},
		{"too old, plain", plain, 3, good(8, 3, old), longpoll.Apply, none},
		{"just not too old", at(7), 3, good(8, 3, func(r *reply) { r.age = 10 * time.Second }), longpoll.Apply, none},
		{"no leader, plain", plain, 3, good(8, 3, noLeader), 0, discovery.Server},
		{"C29 streaming knows no leader, blocking", at(7), 3, good(8, 4, streaming), longpoll.Apply, none},
		{"streaming knows no leader, plain", plain, 3, good(8, 4, streaming), longpoll.Apply, none},
		{"streaming has no age", at(7), 3, good(8, 4, streaming, old), longpoll.Apply, none},
		{"C17 filtered and none, blocking", at(7), 3, good(8, 0, filtered), 0, discovery.Auth},
		{"filtered and fewer, blocking", at(7), 3, good(8, 2, filtered), longpoll.Apply, none}, // partly: see TestC60NewlyFiltered
		{"filtered and fewer, plain", plain, 3, good(8, 2, filtered), longpoll.Apply, none},
		{"filtered and fewer, index as asked", at(7), 3, good(7, 2, filtered), longpoll.Doubtful, none},
		{"more, index as asked", at(7), 2, good(7, 3), longpoll.Doubtful, none},
		{"filtered as before, index as asked", at(7), 2, good(7, 2, filtered), longpoll.Unchanged, none},
		{"filtered and half are gone", at(7), 6, good(8, 3, filtered), longpoll.Doubtful, none},
		{"C17 filtered and none at first", plain, -1, good(8, 0, filtered), 0, discovery.Auth},
		{"filtered as before", plain, 3, good(8, 3, filtered), longpoll.Apply, none},
		{"C18 none without a token, blocking", at(7), 3, good(8, 0, anonymous), 0, discovery.Auth},
		{"C18 none without a token, plain", plain, -1, good(8, 0, anonymous), 0, discovery.Auth},
		{"some without a token", plain, -1, good(8, 1, anonymous), longpoll.Apply, none},
		{"none without a token where that is allowed", plain, 3, good(8, 0, allowed), longpoll.Apply, none},
		{"none with a token", plain, 3, good(8, 0, func(r *reply) { r.deny = true }), longpoll.Apply, none},
		{"too old", at(7), 3, good(8, 3, old), longpoll.TooOld, none},
		{"too old and unchanged proves nothing", at(7), 3, good(7, 3, old), longpoll.TooOld, none},
		{"the leader is never too old", longpoll.Request{Mode: longpoll.Default, Index: 7}, 3, good(8, 3, old), longpoll.Apply, none},
		{"the cache is", longpoll.Request{Mode: longpoll.Cached, Index: 7}, 3, good(8, 3, old), longpoll.TooOld, none},
		{"C22 lower", at(1000), 1000, good(180, 164), longpoll.Reseed, none},
		{"C26 far lower", at(1<<64 - 1), 3, good(5, 3), longpoll.Reseed, none},
		{"C26 the highest", at(7), 3, good(1<<64-1, 3), longpoll.Apply, none},
		{"C23 lower, plain", plain, 3, good(5, 10), longpoll.Apply, none},
		{"C21 as asked", at(7), 3, good(7, 0), longpoll.Unchanged, none},
		{"C31 none left", at(7), 1, good(8, 0), longpoll.Doubtful, none},
		{"none left, plain, of any server", plain, 5, good(8, 0, anybody), longpoll.Doubtful, none},
		{"half and 3 gone, plain, of any server", plain, 6, good(8, 3, anybody), longpoll.Doubtful, none},
		{"one gone, plain, of any server", plain, 6, good(8, 5, anybody), longpoll.Apply, none},
		{"first, of any server", plain, -1, good(8, 3, anybody), longpoll.Apply, none},
		{"none left, plain", plain, 5, good(8, 0), longpoll.Apply, none},
		{"none before either", at(7), 0, good(8, 0), longpoll.Apply, none},
		{"half and 3 gone", at(7), 6, good(8, 3), longpoll.Doubtful, none},
		{"half and 2 gone", at(7), 4, good(8, 2), longpoll.Apply, none},
		{"3 and less than half gone", at(7), 7, good(8, 4), longpoll.Apply, none},
		{"half and 3 gone, plain", plain, 6, good(8, 3), longpoll.Apply, none},
		{"more", at(7), 3, good(8, 4), longpoll.Apply, none},
		{"first", plain, -1, good(8, 4), longpoll.Apply, none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := judge(test.ask, test.have, false, 10*time.Second, test.reply)
			var class discovery.Class
			if err != nil {
				class = discovery.ClassOf(err)
			}
			if v != test.disposition || class != test.class {
				t.Errorf("got %d %v, want %d %s", v, err, test.disposition, test.class)
			}
		})
	}
}

func TestParseHeader(t *testing.T) {
	tests := []struct {
		name string
		h    http.Header
		want reply
	}{
		{"none", header(), reply{}},
		{"all", header("X-Consul-Index", "18446744073709551615", "X-Consul-KnownLeader", "true", "X-Consul-LastContact", "6",
			"X-Consul-Query-Backend", "streaming", "X-Consul-Results-Filtered-By-ACLs", "true", "X-Consul-Default-ACL-Policy", "deny",
			"X-Cache", "HIT", "X-Consul-Effective-Consistency", "stale"),
			reply{index: 1<<64 - 1, leader: true, age: 6 * time.Millisecond, streaming: true, filtered: true, deny: true, cached: true, anyServer: true}},
		{"C27 a word", header("X-Consul-Index", "abc"), reply{}},
		{"C27 negative", header("X-Consul-Index", "-1"), reply{}},
		{"C27 too large", header("X-Consul-Index", "18446744073709551616"), reply{}},
		{"the cache's age", header("X-Consul-LastContact", "5", "Age", "60"), reply{age: time.Minute}},
		{"ages beyond counting", header("X-Consul-LastContact", "9223372036854775807"), reply{age: 1<<63 - 1}},
		{"and beyond numbers", header("Age", strings.Repeat("9", 40)), reply{age: 1<<63 - 1}},
		{"what an agent of 1.8 sends of a fresh read", header("Vary", "Accept-Encoding", "X-Consul-Effective-Consistency", "leader", "X-Consul-Index", "19",
			"X-Consul-Knownleader", "true", "X-Consul-Lastcontact", "0"), reply{index: 19, leader: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := parseHeader(test.h); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestNotes(t *testing.T) {
	for want, r := range map[string]reply{
		"index 43, leader 12ms ago":         {index: 43, leader: true, mode: longpoll.Stale, age: 12 * time.Millisecond},
		"index 43, from the leader":         {index: 43, leader: true, mode: longpoll.Default},
		"index 43, confirmed by the leader": {index: 43, leader: true, mode: longpoll.Consistent},
		"index 43, cached 5s ago":           {index: 43, leader: true, mode: longpoll.Cached, cached: true, age: 5 * time.Second},
		"index 43, leader 0s ago":           {index: 43, leader: true, mode: longpoll.Cached},
		"index 43, no leader":               {index: 43, mode: longpoll.Stale, age: time.Hour},
		"index 43, streamed to the agent":   {index: 43, mode: longpoll.Stale, streaming: true},
		"index 43, leader 20ms ago":         {index: 43, leader: true, mode: longpoll.Default, anyServer: true, age: 20 * time.Millisecond},
	} {
		if got := (Query{}).reading(r).Note; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	one := `{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Port":80},"Checks":[]}`
	tests := map[string]string{
		"C1 null":                   `null`,
		"C3 a null entry":           `[null]`,
		"C3 an empty entry":         `[{}]`,
		"C3 no service":             `[{"Node":{"Address":"10.0.0.1"}}]`,
		"C3 no node":                `[{"Service":{"ID":"a"}}]`,
		"C4 HTML":                   `<html><body>Log in</body></html>`,
		"an object":                 `{}`,
		"nothing":                   ``,
		"a string":                  `"no"`,
		"C6 cut in an entry":        `[` + one[:40],
		"C6 cut between":            `[` + one + `,`,
		"C6 cut before the end":     `[` + one,
		"C6 garbage after the list": `[` + one + `]x`,
		"two lists":                 `[][]`,
		"brackets alone":            strings.Repeat("[", 8<<20),
		"an instance of brackets":   `[{"Node":{"Meta":` + strings.Repeat(`[`, 8<<20),
		"a port that is a word":     strings.Replace(`[`+one+`]`, "80", `"80"`, 1),
		"a port beyond numbers":     strings.Replace(`[`+one+`]`, "80", `1e400`, 1),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := decode([]byte(body)); err == nil {
				t.Errorf("it became %+v", got)
			}
		})
	}
	for _, body := range []string{`[]`, ` [ ] ` + "\n", `[` + one + `]`} {
		if got, err := decode([]byte(body)); err != nil || got == nil {
			t.Errorf("%s: %v %v", body, got, err)
		}
	}
}

func TestC52MoreThanEnough(t *testing.T) {
	entry := `{"Node":{},"Service":{}}`
	list := func(n int) string { return "[" + strings.Repeat(entry+",", n-1) + entry + "]" }
	if got, err := decode([]byte(list(discovery.MaxEndpoints))); err != nil || len(got) != discovery.MaxEndpoints {
		t.Errorf("as many as allowed: %d %v", len(got), err)
	}
	if _, err := decode([]byte(list(20_000))); err == nil || !strings.Contains(err.Error(), "10000") {
		t.Errorf("20000: %v", err)
	}
}

// Strings may hold whatever the text around them is made of.
func TestDecodeKeepsStrings(t *testing.T) {
	odd := `]}\",[{` + strings.Repeat("[", 2*maxDepth)
	raw, err := json.Marshal([]any{map[string]any{"Node": map[string]any{"Address": "10.0.0.1"}, "Service": map[string]any{"ID": odd, "Port": 80}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(raw)
	if err != nil || got[0].Service.ID != odd {
		t.Errorf("%+v: %v", got, err)
	}
}

// BenchmarkDecode40 compares decode with what the client of consul/api does with a reply.
func BenchmarkDecode40(b *testing.B) {
	entry := `{"Node":{"ID":"b3f4c1d2","Node":"vm","Address":"127.0.0.1","TaggedAddresses":{"lan":"127.0.0.1","wan":"127.0.0.1"},"Meta":{"a":""}},` +
		`"Service":{"ID":"web-1","Service":"web","Tags":["a"],"Address":"127.20.1.1","Meta":null,"Port":8000,"Weights":{"Passing":1,"Warning":1},"Proxy":{}},` +
		`"Checks":[{"Node":"vm","CheckID":"serfHealth","Name":"Serf Health Status","Status":"passing","Output":"Agent alive and reachable"}]}`
	raw := []byte("[" + strings.Repeat(entry+",", 39) + entry + "]")
	for name, decode := range map[string]func() error{
		"slim":       func() error { _, err := decode(raw); return err },
		"consul/api": func() error { var all []*api.ServiceEntry; return json.NewDecoder(bytes.NewReader(raw)).Decode(&all) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// checkReading holds r against what every reading promises.
func checkReading(t *testing.T, r discovery.Reading, entries int) {
	t.Helper()
	if len(r.Endpoints())+len(r.Rejected) > entries || !slices.Equal(r.Endpoints(), discovery.Normalize(r.Endpoints())) {
		t.Fatalf("%d entries became %+v", entries, r)
	}
	if entries > 0 && len(r.Endpoints()) == 0 && r.Whole() {
		t.Fatalf("all were refused, and the reading removes: %+v", r)
	}
	for _, e := range r.Endpoints() {
		if discovery.Check(e.Addr) != "" || e.Weight < 0 || e.Weight > maxWeight || e.State > discovery.Down ||
			discovery.Printable(e.Name, 101) != e.Name {
			t.Fatalf("endpoint %+v", e)
		}
	}
	for _, x := range r.Rejected {
		if !slices.Contains(discovery.Reasons[:], x.Reason) || discovery.Printable(x.Value, 101) != x.Value ||
			discovery.Printable(x.Name, 101) != x.Name {
			t.Fatalf("rejection %+v", x)
		}
	}
}
