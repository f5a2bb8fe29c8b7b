package consul

import (
	"math"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

func FuzzDecode(f *testing.F) {
	f.Add(recorded(f, "health-1.8.7.json"))
	f.Add(recorded(f, "health-1.22-ports.json"))
	f.Add([]byte(`[{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Address":"","Port":80,"Weights":{"Passing":9,"Warning":0}},` +
		`"Checks":[{"CheckID":"serfHealth","Status":"passing"},{"CheckID":"_node_maintenance","Status":"critical"},null]}]`))
	f.Add([]byte(`[{"Node":{"Address":"fe80::1%a;b\n"},"Service":{"ID":"\u001b[31m","Port":-70000,"Weights":{"Passing":-1,"Warning":99999999}}}]`))
	f.Add([]byte(`[{"Node":{"TaggedAddresses":{"wan":[]}},"Service":{"ID":"a","Port":0,"Ports":[{"Name":"http","Port":1e9},null],"TaggedAddresses":{"wan":{"Port":-1}}}}]`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[{}]`))
	queries := []Query{
		{Health: Warning}, {Health: Passing, IgnoreNodeHealth: true}, {Health: Any},
		{Health: Warning, AddressTag: "wan", PortName: "http", DefaultPort: 80}, {Health: Warning, AddressTag: "lan", DefaultPort: 80},
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := decode(raw)
		if err != nil {
			return
		}
		for _, q := range queries {
			checkReading(t, q.reading(reply{entries: entries, index: 5}), len(entries))
		}
	})
}

// FuzzJudge sends headers and a number of instances through what decides on them,
// and holds the verdict against the rules that matter most.
func FuzzJudge(f *testing.F) {
	// index, leader, contact, backend, filtered, policy, age, cache, consistency; asked for, instances, had
	f.Add("19", "true", "0", "", "", "", "", "", "leader", uint64(0), 3, -1)
	f.Add("11", "true", "0", "", "", "", "", "MISS", "leader", uint64(10), 3, 3)
	f.Add("1", "false", "0", "streaming", "", "allow", "", "", "leader", uint64(40), 0, 3)
	f.Add("180", "true", "6", "blocking-query", "", "allow", "", "", "stale", uint64(1056), 164, 1000)
	f.Add("51", "false", "3600000", "", "", "", "", "", "stale", uint64(50), 1, 3)
	f.Add("50", "true", "0", "", "true", "deny", "", "", "leader", uint64(0), 0, -1)
	f.Add("18446744073709551615", "true", "99999999999999999999", "", "", "", "60", "HIT", "leader", uint64(5), 0, 9)
	f.Add("-1", "", "abc", "\x00", "", "", "-5", "", "", uint64(math.MaxUint64), 0, 0)
	f.Fuzz(func(t *testing.T, index, leader, contact, backend, filtered, policy, age, cache, consistency string, asked uint64, n, had int) {
		n, had = int(uint(n)%20_000), max(had%20_000, -1)
		h := header("X-Consul-Index", index, "X-Consul-KnownLeader", leader, "X-Consul-LastContact", contact, "X-Consul-Query-Backend", backend,
			"X-Consul-Results-Filtered-By-ACLs", filtered, "X-Consul-Default-ACL-Policy", policy, "Age", age, "X-Cache", cache,
			"X-Consul-Effective-Consistency", consistency)
		r := parseHeader(h)
		if r.age < 0 {
			t.Fatalf("age %s of %q and %q", r.age, contact, age)
		}
		if note := r.note(); discovery.Printable(note, 100) != note {
			t.Fatalf("note %q", note)
		}
		r.entries = make([]entry, n)
		for _, a := range []longpoll.Request{{Mode: longpoll.Default}, {Mode: longpoll.Consistent}, {Mode: longpoll.Stale, Index: asked}, {Mode: longpoll.Default, Index: asked}} {
			v, err := judge(a, had, false, 10*time.Second, r)
			if wrong := misjudged(a, had, r, v, err); wrong != "" {
				t.Fatalf("%s: %+v of %d, had %d: %+v is %d %v", wrong, a, n, had, r.index, v, err)
			}
		}
	})
}

// misjudged returns which rule a verdict breaks.
func misjudged(a longpoll.Request, had int, r reply, v longpoll.Disposition, err error) string {
	n := len(r.entries)
	removes := err == nil && v == longpoll.Apply && n < had
	switch {
	case err == nil && (r.index == 0 || r.index == 1 && v != longpoll.Reseed):
		return "a reply without state was used"
	case err == nil && a.Index > 0 && r.index <= a.Index && (v == longpoll.Apply || v == longpoll.ApplyPartly || v == longpoll.ReadPlainly):
		return "the payload of an old index was used"
	case removes && !r.leader && !r.streaming:
		return "without a leader something was removed"
	case removes && r.filtered && n == 0:
		return "what may not be read was removed"
	case removes && n == 0 && (a.Index > 0 || r.deny && !r.token):
		return "nothing was left, unconfirmed"
	case a.Index == 0 && err == nil && v != longpoll.Apply && v != longpoll.Doubtful:
		return "a plain read has no index to be measured by"
	}
	return ""
}

// FuzzVersion reads what an agent may say that it is.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.8.7", "1.22.0-rc1", "1.15.2+ent.fips1402", "", "1.8", "1.8.7\n+ent\x1b", "99999.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := parseVersion(s)
		if discovery.Printable(v.text, maxVersion) != v.text || (v.text == "") != (v == version{}) || (v.text == "") != (v.release == nil) {
			t.Fatalf("%q became %+v", s, v)
		}
		_ = v.lacks([]need{{since: "1.3"}})
	})
}
