package nomad

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/nomad/nomadtest"
)

// three is an answer with instances at these addresses.
func three(a, b, c string) string {
	one := func(host string) string {
		return fmt.Sprintf(`{"Address":%q,"AllocID":"177160af-26f6","ID":"_nomad-task-%s","Port":80,"ServiceName":"web","Tags":[]}`, host, host)
	}
	return "[" + strings.Join([]string{one(a), one(b), one(c)}, ",") + "]"
}

// FuzzSource has a source that knows three instances be answered whatever it asks by
// these bytes. None of the three is gone unless they are an answer of Nomad that may be
// believed and lacks it.
func FuzzSource(f *testing.F) {
	good := three("10.0.0.1", "10.0.0.2", "10.0.0.3")
	renamed := strings.ReplaceAll(recorded, "example-cache-redis", "web")
	for _, body := range []string{good, good[:200], three("10.0.0.1", "10.0.0.2", "0.0.0.0"), recorded, renamed, "[]", "null", "[{}]", "<html>"} {
		f.Add(200, "51", true, "", []byte(body))
	}
	f.Add(200, "49", false, "", []byte("[]"))
	f.Add(200, "1", true, "", []byte("[]"))
	f.Add(200, "51", true, "default.web", []byte("[]"))
	f.Add(403, "51", true, "", []byte("Permission denied"))
	f.Add(500, "", false, "", []byte("No cluster leader"))
	f.Fuzz(func(t *testing.T, status int, index string, leader bool, page string, body []byte) {
		status = 200 + int(uint(status-200)%400) // those that end an exchange
		synctest.Test(t, func(t *testing.T) { answerWith(t, status, index, leader, page, body) })
	})
}

func answerWith(t *testing.T, status int, index string, leader bool, page string, body []byte) {
	fake := nomadtest.NewFake(t)
	s := fakeSource(t, fake, Options{})
	usual := []string{"X-Nomad-LastContact", "0"}
	fake.Script(discoverytest.Reply(200, three("10.0.0.1", "10.0.0.2", "10.0.0.3"), append(usual, "X-Nomad-Index", "50", "X-Nomad-KnownLeader", "true")...))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k := discoverytest.Keeper{}
	before := k.Take(r)
	fake.Always(discoverytest.Reply(status, string(body), append(usual, "X-Nomad-Index", index, "X-Nomad-KnownLeader", fmt.Sprint(leader), "X-Nomad-NextToken", page)...))
	listed, credible := naively(body)
	n, err := strconv.ParseUint(strings.TrimSpace(index), 10, 64)
	credible = credible && status == 200 && err == nil && n > 1 && leader && strings.TrimSpace(page) == ""
	hear := func(r discovery.Reading, err error) {
		if err != nil {
			if len(r.Parts) > 0 {
				t.Fatalf("%v with %v", err, r)
			}
			return
		}
		now := k.Take(r)
		for _, a := range before {
			if !slices.Contains(now, a) && (!credible || slices.Contains(listed, netip.MustParseAddrPort(a))) {
				t.Fatalf("%s is gone: %+v", a, r)
			}
		}
		for _, e := range r.Endpoints() {
			if discovery.Check(e.Addr) != "" || discovery.Printable(e.Name, 101) != e.Name {
				t.Fatalf("%+v", e)
			}
		}
		if len(now) > discovery.MaxEndpoints {
			t.Fatalf("%d endpoints", len(now))
		}
	}
	for range 3 {
		hear(s.Next(ctx))
		time.Sleep(time.Second)
	}
	hear(s.Confirm(ctx))
}

// naively reads the addresses in the answer of a Nomad about web, and whether it is one.
func naively(body []byte) (listed []netip.AddrPort, ok bool) {
	var list []*struct {
		ServiceName, ID, Address string
		Port                     int
	}
	if json.Unmarshal(body, &list) != nil || list == nil || len(list) > discovery.MaxEndpoints {
		return nil, false
	}
	for _, i := range list {
		if i == nil || i.ServiceName != "web" || i.ID == "" {
			return nil, false
		}
		if ip, err := netip.ParseAddr(i.Address); err == nil && i.Port > 0 && i.Port < 1<<16 {
			listed = append(listed, netip.AddrPortFrom(ip.Unmap(), uint16(i.Port)))
		}
	}
	return listed, true
}
