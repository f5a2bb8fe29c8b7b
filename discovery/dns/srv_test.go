package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

var srv = Query{Record: "_web._tcp.test"}

const srvName = "_web._tcp.test"

// target is one SRV record of weight 1 with these addresses along.
func target(name string, port uint16, addrs ...string) dnstest.Target {
	return dnstest.Target{Name: name, Port: port, Weight: 1, Addrs: dnstest.Addrs(addrs...)}
}

func TestServices(t *testing.T) {
	prioritised := func(priority uint16, t dnstest.Target) dnstest.Target { t.Priority = priority; return t }
	weighted := func(weight uint16, t dnstest.Target) dnstest.Target { t.Weight = weight; return t }
	cases := []struct {
		name    string
		targets []dnstest.Target
		want    []string
		weights []int
		weak    bool
		refused []string
	}{
		{
			name:    "addresses along",
			targets: []dnstest.Target{target("b.test", 81, "10.0.0.2"), target("a.test", 80, "10.0.0.1")},
			want:    []string{"10.0.0.1:80", "10.0.0.2:81"}, weights: []int{1, 1},
		},
		{
			name:    "two instances on one host",
			targets: []dnstest.Target{target("a.test", 80, "10.0.0.1"), target("a.test", 81)},
			want:    []string{"10.0.0.1:80", "10.0.0.1:81"}, weights: []int{1, 1},
		},
		{
			name:    "D25 target .",
			targets: []dnstest.Target{target(".", 0)},
		},
		{
			name:    "target . beside others",
			targets: []dnstest.Target{target(".", 80), target("a.test", 80, "10.0.0.1")},
			want:    []string{"10.0.0.1:80"}, weights: []int{1}, refused: []string{discovery.Incomplete},
		},
		{
			name:    "D26 port 0 and port 65535",
			targets: []dnstest.Target{target("a.test", 0, "10.0.0.1"), target("b.test", 65535, "10.0.0.2")},
			want:    []string{"10.0.0.2:65535"}, weights: []int{1}, refused: []string{discovery.BadPort},
		},
		{
			name: "D27 the lowest priority",
			targets: []dnstest.Target{
				prioritised(20, target("spare.test", 80, "10.0.0.9")), prioritised(10, target("a.test", 80, "10.0.0.1")),
			},
			want: []string{"10.0.0.1:80"}, weights: []int{1},
		},
		{
			name: "D27 the lowest priority that has endpoints",
			targets: []dnstest.Target{
				prioritised(20, target("spare.test", 80, "10.0.0.9")), prioritised(10, target("gone.test", 80)),
			},
			want: []string{"10.0.0.9:80"}, weights: []int{1}, refused: []string{discovery.Unresolved},
		},
		{
			name:    "D28 weights all 0",
			targets: []dnstest.Target{weighted(0, target("a.test", 80, "10.0.0.1")), weighted(0, target("b.test", 80, "10.0.0.2"))},
			want:    []string{"10.0.0.1:80", "10.0.0.2:80"}, weights: []int{0, 0},
		},
		{
			name: "D28 weights 0, 5 and 65535",
			targets: []dnstest.Target{
				weighted(0, target("a.test", 80, "10.0.0.1")), weighted(5, target("b.test", 80, "10.0.0.2")),
				weighted(65535, target("c.test", 80, "10.0.0.3")),
			},
			want: []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}, weights: []int{1, 5, 65535},
		},
		{
			name: "a weight shared by the addresses of a target",
			targets: []dnstest.Target{
				weighted(10, target("a.test", 80, "10.0.0.1", "10.0.0.2", "2001:db8::1")), weighted(2, target("b.test", 80, "10.0.1.1", "10.0.1.2", "10.0.1.3")),
			},
			want:    []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80", "[2001:db8::1]:80"},
			weights: []int{3, 3, 1, 1, 1, 3},
		},
		{
			name:    "only refused addresses",
			targets: []dnstest.Target{target("a.test", 80, "0.0.0.0")},
			weak:    true, refused: []string{discovery.Unspecified},
		},
		{
			name:    "only targets without addresses",
			targets: []dnstest.Target{target("gone.test", 80)},
			refused: []string{discovery.Unresolved},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := dnstest.NewServer(t)
			server.SetSRV(srvName, 0, c.targets...)
			r := next(t, newSource(t, patient(server.Addr()), srv))
			wantAddrs(t, r, c.want...)
			var refused []string
			for _, j := range r.Rejected {
				refused = append(refused, j.Reason)
			}
			if !slices.Equal(weights(r), c.weights) || (len(gaps(r)) > 0) != c.weak || !slices.Equal(refused, c.refused) {
				t.Errorf("weights %v weak %v refused %v, want %v %v %v", weights(r), gaps(r), refused, c.weights, c.weak, c.refused)
			}
		})
	}
}

func TestNamesOfServices(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetSRV(srvName, 0, target(`A\007\.b.test`, 80, "10.0.0.1"))
	r := next(t, newSource(t, patient(server.Addr()), srv))
	want := []discovery.Endpoint{{Addr: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1, Name: `a\007\.b.test`}}
	if !slices.Equal(r.Endpoints(), want) {
		t.Errorf("got %+v, want %+v", r.Endpoints(), want)
	}
}

func TestD27GroupsComeAndGo(t *testing.T) {
	server := dnstest.NewServer(t)
	spare := dnstest.Target{Name: "s.test", Port: 80, Priority: 20, Addrs: dnstest.Addrs("10.0.0.9")}
	main := dnstest.Target{Name: "m.test", Port: 80, Priority: 10, Addrs: dnstest.Addrs("10.0.0.1")}
	s := newSource(t, patient(server.Addr()), srv)
	for range 2 {
		server.SetSRV(srvName, 0, spare, main)
		wantStrong(t, next(t, s), "10.0.0.1:80")
		server.SetSRV(srvName, 0, spare)
		wantStrong(t, next(t, s), "10.0.0.9:80")
	}
}

// Targets whose addresses did not come along.
func TestD23Gaps(t *testing.T) {
	server := dnstest.NewServer(t)
	set := func() {
		server.SetSRV(srvName, 0, target("ok.test", 80), target("gone.test", 80), target("sick.test", 80))
	}
	set()
	server.SetA("ok.test", 0, dnstest.Addrs("10.0.0.1")...)
	server.SetA("gone.test", 0, dnstest.Addrs("10.0.0.2")...)
	server.SetA("sick.test", 0, dnstest.Addrs("10.0.0.3", "2001:db8::3")...)
	s := newSource(t, patient(server.Addr()), srv)
	wantStrong(t, next(t, s), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "[2001:db8::3]:80")

	server.Remove("gone.test")
	server.Fail("sick.test", wire.RcodeServerFailure)
	for range 2 {
		r := next(t, s)
		wantPart(t, r, "A of ok.test:80", discovery.Whole, "", "10.0.0.1:80")
		wantPart(t, r, "A of gone.test:80", discovery.Whole, "")
		wantPart(t, r, "A of sick.test:80", discovery.Unknown, "SERVFAIL")
		wantPart(t, r, "AAAA of sick.test:80", discovery.Unknown, "SERVFAIL")
	}

	t.Run("not known from before", func(t *testing.T) {
		r := next(t, newSource(t, patient(server.Addr()), srv))
		wantWeak(t, r, "10.0.0.1:80")
		wantPart(t, r, "A of gone.test:80", discovery.Partial, "none yet: NXDOMAIN")
		wantPart(t, r, "A of sick.test:80", discovery.Unknown, "SERVFAIL")
	})
	t.Run("nothing known at all", func(t *testing.T) {
		server.SetSRV(srvName, 0, target("sick.test", 80))
		r := next(t, newSource(t, patient(server.Addr()), srv))
		wantPart(t, r, "SRV of _web._tcp.test", discovery.Whole, "")
		wantPart(t, r, "A of sick.test:80", discovery.Unknown, "SERVFAIL")
	})
	t.Run("trouble does not bring spares into play", func(t *testing.T) {
		spare := target("spare.test", 80, "10.0.0.9")
		spare.Priority = 7
		server.SetSRV(srvName, 0, target("sick.test", 80), spare)
		r := next(t, newSource(t, patient(server.Addr()), srv))
		wantAddrs(t, r)
		wantPart(t, r, "SRV of _web._tcp.test", discovery.Partial, "whether priority 0 has servers is not known")
	})
	t.Run("nor does it take them out of play", func(t *testing.T) {
		spare := target("spare.test", 80, "10.0.0.9")
		spare.Priority = 7
		server.SetSRV(srvName, 0, target("never.test", 80), spare)
		s := newSource(t, patient(server.Addr()), srv)
		wantStrong(t, next(t, s), "10.0.0.9:80")
		server.SetRcode(wire.RcodeServerFailure)
		wantError(t, s, discovery.Server)
		server.SetRcode(wire.RcodeSuccess)
		server.Fail("never.test", wire.RcodeServerFailure)
		for range 2 {
			wantAddrs(t, next(t, s), "10.0.0.9:80")
		}
	})
}

func TestD24StrayGlue(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetRecords(srvName,
		[]wire.RR{mustRR(srvName + ". 0 IN SRV 1 1 80 a.test.")},
		[]wire.RR{mustRR("a.test. 0 IN A 10.0.0.1"), mustRR("b.test. 0 IN A 6.6.6.6"), mustRR("a.test. 0 CH A 6.6.6.6")})
	wantStrong(t, next(t, newSource(t, patient(server.Addr()), srv)), "10.0.0.1:80")
}

func TestD29TooManyTargets(t *testing.T) {
	server := dnstest.NewServer(t)
	var targets []dnstest.Target
	for i := range maxTargets + 1 {
		targets = append(targets, target(fmt.Sprintf("t%d.test", i), 80))
	}
	server.SetSRV(srvName, 0, targets...)
	s := newSource(t, patient(server.Addr()), srv)
	wantError(t, s, discovery.Protocol)
	if n := server.Queries("udp") + server.Queries("tcp"); n > 4 {
		t.Errorf("%d queries", n)
	}

	addrs := fleet(2000)
	targets = nil
	for i, a := range addrs {
		targets = append(targets, dnstest.Target{Name: fmt.Sprintf("t%d.", i), Port: 80, Addrs: []netip.Addr{a}})
	}
	server.SetSRV(srvName, 0, targets[:1200]...)
	if r := next(t, s); len(r.Endpoints()) != 1200 {
		t.Errorf("%d endpoints with their addresses along, want 1200", len(r.Endpoints()))
	}
}

func TestRecordWithoutData(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
		b := pack(answer(q))
		b[7] = 1                                               // one answer:
		b = append(b, 0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 0, 0, 0) // the name, SRV, IN, TTL 0, no data
		_, _ = w.Write(b)
		return true
	})
	wantError(t, newSource(t, patient(server.Addr()), srv), discovery.Protocol)
}
