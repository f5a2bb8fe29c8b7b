package consul

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// These are listed before anything strange is answered, with index 50.
const threeListed = `[{"Node":{"Address":"10.0.0.9"},"Service":{"ID":"a","Address":"10.0.0.1","Port":80},"Checks":[]},` +
	`{"Node":{"Address":"10.0.0.2"},"Service":{"ID":"b","Address":"","Port":80},"Checks":[]},` +
	`{"Node":{"Address":"10.0.0.9"},"Service":{"ID":"c","Address":"10.0.0.3","Port":80},"Checks":[]}]`

// What a strange answer says of itself in its headers.
const (
	leaderKnown = 1 << iota
	fromStream
	filteredByACLs
	denyByDefault
	old
)

// FuzzSource has a source that knows three instances be answered whatever it asks by
// these bytes. None of the three is gone unless they are an answer of Consul that may be
// believed and lacks it.
func FuzzSource(f *testing.F) {
	for _, body := range []string{threeListed, "[]", "null", threeListed[:150], strings.Replace(threeListed, "10.0.0.3", "10.0.0.4", 1), "[{}]", "<html>"} {
		f.Add(200, "51", byte(leaderKnown), []byte(body))
	}
	f.Add(200, "51", byte(fromStream), recorded(f, "health-1.8.7.json"))
	f.Add(200, "51", byte(leaderKnown|filteredByACLs), recorded(f, "health-1.22-ports.json"))
	f.Add(200, "51", byte(leaderKnown|fromStream|filteredByACLs), []byte(`[{"Node":{},"Service":{"Address":"10.0.0.1","Port":80}}]`))
	f.Add(200, "49", byte(0), []byte("[]"))
	f.Add(200, "1", byte(leaderKnown), []byte("[]"))
	f.Add(200, "50", byte(leaderKnown|old), []byte("[]"))
	f.Add(403, "51", byte(leaderKnown|denyByDefault), []byte("Permission denied"))
	f.Add(500, "", byte(0), []byte("No cluster leader"))
	f.Fuzz(func(t *testing.T, status int, index string, flags byte, body []byte) {
		status = 200 + int(uint(status-200)%400) // those that end an exchange
		synctest.Test(t, func(t *testing.T) { answerWith(t, status, index, flags, body) })
	})
}

func answerWith(t *testing.T, status int, index string, flags byte, body []byte) {
	fake, s := knowing(t, threeListed)
	k := discoverytest.Keeper{}
	before := k.Take(s.Last())
	header := []string{"X-Consul-Index", index, "X-Consul-LastContact", "0"}
	for flag, pair := range map[byte][2]string{
		leaderKnown: {"X-Consul-KnownLeader", "true"}, fromStream: {"X-Consul-Query-Backend", "streaming"},
		filteredByACLs: {"X-Consul-Results-Filtered-By-ACLs", "true"}, denyByDefault: {"X-Consul-Default-ACL-Policy", "deny"}, old: {"Age", "3600"},
	} {
		if flags&flag != 0 {
			header = append(header, pair[:]...)
		}
	}
	fake.Always(discoverytest.Reply(status, string(body), header...))
	listed, credible := naively(body)
	n, err := strconv.ParseUint(strings.TrimSpace(index), 10, 64)
	credible = credible && status == 200 && err == nil && n > 1 && flags&(leaderKnown|fromStream) != 0 && flags&filteredByACLs == 0 &&
		(len(listed) > 0 || flags&denyByDefault == 0)
	hear := func(r discovery.Reading, err error) {
		if err != nil {
			if len(r.Parts) > 0 {
				t.Fatalf("%v with %v", err, r)
			}
			return
		}
		checkReading(t, r, len(r.Endpoints())+len(r.Rejected))
		now := k.Take(r)
		for _, a := range before {
			if !slices.Contains(now, a) && (!credible || slices.Contains(listed, netip.MustParseAddrPort(a))) {
				t.Fatalf("%s is gone: %+v", a, r)
			}
		}
		if len(now) > discovery.MaxEndpoints {
			t.Fatalf("%d endpoints", len(now))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for range 3 {
		hear(s.Next(ctx))
		time.Sleep(time.Second)
	}
	hear(s.Confirm(ctx))
}

// naively reads the addresses in the answer of a Consul, and whether it is one.
func naively(body []byte) (listed []netip.AddrPort, ok bool) {
	var list []map[string]json.RawMessage
	if json.Unmarshal(body, &list) != nil || list == nil || len(list) > discovery.MaxEndpoints {
		return nil, false
	}
	for _, e := range list {
		var node, service map[string]json.RawMessage
		if json.Unmarshal(e["Node"], &node) != nil || json.Unmarshal(e["Service"], &service) != nil || node == nil || service == nil {
			return nil, false
		}
		var host, at string
		var port int
		_ = json.Unmarshal(node["Address"], &at)
		_ = json.Unmarshal(service["Address"], &host)
		_ = json.Unmarshal(service["Port"], &port)
		if host == "" {
			host = at
		}
		if ip, err := netip.ParseAddr(host); err == nil && port > 0 && port < 1<<16 {
			listed = append(listed, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
		}
	}
	return listed, true
}
