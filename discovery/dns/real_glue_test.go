package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/tools/eventually"
)

// TestD41RealGlueIsCut has BIND leave out addresses for want of room, without the sign for
// it: those that are not there are asked for, and none comes and goes.
func TestD41RealGlueIsCut(t *testing.T) {
	t.Parallel()
	var targets []dnstest.Target
	for i := range 13 {
		targets = append(targets, dnstest.Target{
			Name: fmt.Sprintf("instance-%d-with-a-long-name.slots.example", i), Port: realPort, Priority: 1, Weight: 10,
			Addrs: dnstest.Addrs(fmt.Sprintf("10.0.0.%d", i+1), fmt.Sprintf("2001:db8::%d", i+1)),
		})
	}
	zone := dnstest.Zone{Name: "slots.example", TTL: realTTL, Services: map[string][]dnstest.Target{"_web._tcp.slots.example": targets}}
	server := dnstest.StartBind(t, zone)
	m := askPlainly(t, "udp", server.Addr(), "_web._tcp.slots.example", wire.TypeSRV)
	came := map[uint16]int{}
	for _, rr := range m.Extra {
		if strings.HasPrefix(rr.Header().Name, "instance-") {
			came[rr.Header().Rrtype]++
		}
	}
	t.Logf("truncated %v, %d records, with them %d A and %d AAAA", m.Truncated, len(m.Answer), came[wire.TypeA], came[wire.TypeAAAA])
	if m.Truncated || len(m.Answer) != 13 || came[wire.TypeA]+came[wire.TypeAAAA] >= 26 || came[wire.TypeA]+came[wire.TypeAAAA] == 0 {
		t.Fatal("this is not what is tried here")
	}
	s := newSource(t, realOptions(server.Addr()), Query{Record: "_web._tcp.slots.example"})
	for end := time.Now().Add(time.Duration(realRounds(1)) * 4 * time.Second); time.Now().Before(end); {
		r := next(t, s)
		if len(r.Endpoints()) != 26 || len(gaps(r)) > 0 {
			t.Fatalf("%d endpoints: %v", len(r.Endpoints()), gaps(r))
		}
	}
	zone.Services["_web._tcp.slots.example"][3].Addrs = []netip.Addr{targets[3].Addrs[0]}
	server.Change(zone)
	eventually.True(t, "one IPv6 address leaves", func() bool { return len(next(t, s).Endpoints()) == 25 })
}
