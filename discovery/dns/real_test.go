package dns

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

const (
	realTTL  = time.Second
	realPort = 8080
	// late is what a busy machine may add; how long it really took is logged.
	late = 3 * time.Second
)

// realOptions ask as soon as the TTLs of these tests are over.
func realOptions(server string) Options {
	return Options{Servers: []string{server}, MinRefresh: 200 * time.Millisecond, MaxRefresh: 2 * time.Second}
}

// rounds is how often something is repeated: SLOTSYNC_LONG=1 does ten times as much.
func realRounds(n int) int {
	if os.Getenv("SLOTSYNC_LONG") == "1" {
		return 10 * n
	}
	return n
}

// A realServer is a real DNS server with one service.
type realServer struct {
	addr    string
	glue    int     // how many of 100 SRV targets' addresses come along
	service Query   // by SRV records
	names   []Query // by address records
	publish func(instances []netip.Addr)
	kill    func()
	restart func()
	// away is for how long what is missing may not be believed after a change: the server is
	// restarted for it, and a query that meets that moment meets an outage.
	away time.Duration
}

// realServers are the servers that are tried, by name.
func realServers() map[string]func(*testing.T) realServer {
	zoned := func(glue int, start func(dnstest.TB, dnstest.Zone) *dnstest.Real) func(*testing.T) realServer {
		return func(t *testing.T) realServer {
			s := start(t, realZone(nil))
			return realServer{
				addr: s.Addr(), glue: glue, service: Query{Record: "_web._tcp.slots.example"},
				names:   []Query{{Record: "web.slots.example", Port: realPort}, {Record: "www.slots.example", Port: realPort}},
				publish: func(instances []netip.Addr) { s.Change(realZone(instances)) },
				kill:    s.Kill, restart: s.Restart,
			}
		}
	}
	return map[string]func(*testing.T) realServer{
		"bind":    zoned(0, dnstest.StartBind), // it has them along for 13 targets at most
		"unbound": zoned(0, dnstest.StartUnbound),
		"dnsmasq": func(t *testing.T) realServer {
			s := zoned(100, dnstest.StartDnsmasq)(t)
			s.away = settleTime
			return s
		},
		"consul": realConsul,
	}
}

// realZone has a service of these instances, as SRV records, as addresses of a
// name, and as those of its alias.
func realZone(instances []netip.Addr) dnstest.Zone {
	z := dnstest.Zone{Name: "slots.example", TTL: realTTL}
	if len(instances) == 0 {
		return z
	}
	var targets []dnstest.Target
	for i, a := range instances {
		targets = append(targets, dnstest.Target{
			Name: fmt.Sprintf("i%d.slots.example", i), Port: realPort, Priority: 1, Weight: 10, Addrs: []netip.Addr{a},
		})
	}
	z.Services = map[string][]dnstest.Target{"_web._tcp.slots.example": targets}
	z.Addrs = map[string][]netip.Addr{"web.slots.example": instances}
	z.Aliases = map[string]string{"www.slots.example": "web.slots.example"}
	return z
}

func realConsul(t *testing.T) realServer {
	s := consultest.Start(t)
	var registered []netip.Addr
	return realServer{
		addr: s.DNSAddr(), glue: 100, service: Query{Record: "web.service.consul", Type: TypeSRV},
		names: []Query{{Record: "web.service.consul", Port: realPort}},
		publish: func(instances []netip.Addr) {
			for _, a := range registered {
				if !slices.Contains(instances, a) {
					s.Deregister(a.String())
				}
			}
			for _, a := range instances {
				if !slices.Contains(registered, a) {
					s.Register("web", a.String(), a.String(), realPort, consultest.Weights(10, 10))
				}
			}
			registered = instances
		},
		kill: s.Kill, restart: func() { s.Restart(true) },
	}
}

// TestRealServers runs one body over every real server.
func TestRealServers(t *testing.T) {
	t.Parallel()
	for name, start := range realServers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRealServer(t, start(t))
		})
	}
}

// testRealServer follows a service through its life: a hundred instances, of
// which some go and some come, none, and again; and through a crash of the server.
func testRealServer(t *testing.T, s realServer) {
	all := slices.Concat(fleet(100), dnstest.Addrs("2001:db8::1", "2001:db8::2"))
	s.publish(all[2:])
	checkGlue(t, s)
	w := watchReal(t, s)
	w.expect(t, "at first", all[2:], late)
	for i := range realRounds(2) {
		some := slices.Concat(all[:i%7], all[i%7+5:])
		s.publish(some)
		w.expect(t, "some went, some came", some, s.away+realTTL+late)
	}
	s.publish(all[90:])
	w.expect(t, "few are left", all[90:], s.away+realTTL+late)
	s.publish(nil)
	w.expect(t, "none", nil, s.away+realTTL+late)
	s.publish(all)
	w.expect(t, "again", all, s.away+realTTL+late)

	before := w.count()
	s.kill()
	w.expectError(t, discovery.Transport, 3*realTTL+late)
	s.restart()
	w.expect(t, "after a crash", all, 2*time.Second+late)
	w.neverLacked(t, before, all)
}

// checkGlue wants s to be as it is said to be: if all were of one kind, a half of
// what is tried here would not be.
func checkGlue(t *testing.T, s realServer) {
	t.Helper()
	over := map[string]*wire.Msg{}
	for _, network := range []string{"udp", "tcp"} {
		over[network] = askPlainly(t, network, s.addr, s.service.Record, wire.TypeSRV)
	}
	addresses := 0
	for _, rr := range over["tcp"].Extra {
		isTarget := !strings.HasPrefix(rr.Header().Name, "ns.")
		if rrtype := rr.Header().Rrtype; isTarget && (rrtype == wire.TypeA || rrtype == wire.TypeAAAA) {
			addresses++
		}
	}
	if len(over["udp"].Answer) >= 100 || len(over["tcp"].Answer) != 100 || addresses != s.glue {
		t.Errorf("100 SRV records: %d over UDP, %d over TCP, %d addresses came along",
			len(over["udp"].Answer), len(over["tcp"].Answer), addresses)
	}
}

// askPlainly asks as any program would.
func askPlainly(t *testing.T, network, server, name string, qtype uint16) *wire.Msg {
	t.Helper()
	q := new(wire.Msg)
	q.SetQuestion(wire.Fqdn(name), qtype)
	q.SetEdns0(1232, false)
	c := wire.Client{Net: network, Timeout: 5 * time.Second}
	m, _, err := c.ExchangeContext(t.Context(), q, server)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRealForwarder watches BIND through an unbound that caches: what it has cached
// is followed by what is new when that ends (the log shows how soon; TestPace proves
// the pace); a forwarder that has lost its server says SERVFAIL, and nothing is lost
// by that.
func TestRealForwarder(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	zone := func(n int) dnstest.Zone {
		z := realZone(fleet(n))
		z.TTL = ttl
		return z
	}
	bind := dnstest.StartBind(t, zone(5))
	forwarder := dnstest.StartForwarder(t, bind.Addr())
	for _, qtype := range bothFamilies {
		askPlainly(t, "udp", forwarder.Addr(), "web.slots.example", qtype)
	}
	cached := time.Now()
	bind.Change(zone(6))
	waitUntil(t, cached.Add(ttl/2))
	o := realOptions(forwarder.Addr())
	o.MaxRefresh = 10 * time.Second
	w := watchQueries(t, o, Query{Record: "web.slots.example", Port: realPort})
	w.expect(t, "from the cache", fleet(5), late)
	w.expect(t, "once the cached answer has ended", fleet(6), time.Until(cached.Add(ttl+late)))

	before := w.count()
	bind.Kill()
	w.expectError(t, discovery.Server, 2*ttl+late)
	bind.Restart()
	w.expect(t, "the forwarder has its server back", fleet(6), 10*time.Second+late)
	w.neverLacked(t, before, fleet(6))
}

func waitUntil(t *testing.T, at time.Time) {
	t.Helper()
	discovery.Sleep(t.Context(), time.Until(at))
}
