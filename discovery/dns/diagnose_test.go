package dns

import (
	"context"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

// found lists findings as "verdict text".
func foundBy(t *testing.T, s *Source) []string {
	t.Helper()
	var out []string
	for _, f := range discovery.Diagnose(t.Context(), s) {
		out = append(out, f.Verdict+" "+f.Text)
	}
	return out
}

func TestDiagnose(t *testing.T) {
	web := Query{Record: "web.example.org", Type: TypeA, Port: 80}
	ones := func(s *dnstest.Server) {
		s.SetA("web.example.org", time.Second, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	}
	deafOver := func(network string) func(*dnstest.Server) {
		return func(s *dnstest.Server) {
			ones(s)
			s.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
				if w.RemoteAddr().Network() != network {
					return false
				}
				m := new(wire.Msg)
				m.SetRcode(q, wire.RcodeServerFailure)
				_ = w.WriteMsg(m)
				return true
			})
		}
	}
	dead := func(s *dnstest.Server) { _ = s.Close() }
	other := func(s *dnstest.Server) { s.SetA("web.example.org", time.Second, netip.MustParseAddr("10.0.0.3")) }
	big := func(s *dnstest.Server) {
		var many []netip.Addr
		for i := range 200 {
			many = append(many, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}))
		}
		s.SetA("web.example.org", time.Second, many...)
	}
	tests := []struct {
		name string
		a, b func(*dnstest.Server) // b: nil for one server
		tcp  string
		want []string
	}{
		{"two", ones, ones, "", []string{"ok 2 servers answer over UDP and TCP, and say the same"}},
		{"one", ones, nil, "", []string{"ok 127.0.0.1:* answers over UDP and TCP; with a second server, removals would not rest on one alone"}},
		{"two, TCP off", ones, ones, Never, []string{"ok 2 servers answer over UDP, and say the same"}},
		{"two, TCP alone", ones, deafOver("udp"), Always, []string{"ok 2 servers answer over TCP, and say the same"}},
		{"answers that do not fit", big, big, "", []string{"ok 2 servers answer over UDP and TCP, and say the same"}},
		{"no TCP", ones, deafOver("tcp"), "", []string{"warn server 127.0.0.1:* does not answer over TCP (*): answers that do not fit into UDP cannot be read"}},
		{"no UDP", deafOver("udp"), nil, "", []string{"warn server 127.0.0.1:* does not answer over UDP (*): every question costs a connection", "fail server: 127.0.0.1:*: SERVFAIL"}},
		{"one is dead", ones, dead, "", []string{"warn server 127.0.0.1:* does not answer (*): take it out, or mend it"}},
		{"all are dead", dead, nil, "", []string{"warn server 127.0.0.1:* does not answer (*): take it out, or mend it", "fail no server answers"}},
		{"they differ", ones, other, "", []string{"warn the servers do not say the same: 1 records from 127.0.0.1:*; 2 records from 127.0.0.1:*; what any of them lists is used"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			servers := []*dnstest.Server{dnstest.NewServer(t)}
			test.a(servers[0])
			if test.b != nil {
				servers = append(servers, dnstest.NewServer(t))
				test.b(servers[1])
			}
			o := patient(addrsOf(servers...)...)
			o.TCP = test.tcp
			got := foundBy(t, newSource(t, o, web))
			wantFindings(t, got, test.want...)
		})
	}
}

// matches compares s with a text in which * stands for anything.
func matches(s, pattern string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(s, parts[0])
	for _, part := range parts[1:] {
		_, after, found := strings.Cut(rest, part)
		ok, rest = ok && found, after
	}
	return ok && (rest == "" || strings.HasSuffix(pattern, "*"))
}

func TestDiagnoseServices(t *testing.T) {
	s := dnstest.NewServer(t)
	s.SetSRV("_web._tcp.example.org", time.Second, dnstest.Target{Name: "a.example.org", Port: 80}, dnstest.Target{Name: "b.example.org", Port: 80})
	s.SetA("a.example.org", time.Second, dnstest.Addrs("10.0.0.1")...)
	s.Fail("b.example.org", wire.RcodeServerFailure)
	wantFindings(t, foundBy(t, newSource(t, patient(s.Addr()), Query{Record: "_web._tcp.example.org"})),
		"ok 127.0.0.1:* answers over UDP and TCP*",
		"warn A of b.example.org:80: server: 127.0.0.1:*: b.example.org.: SERVFAIL",
		"warn AAAA of b.example.org:80: server: 127.0.0.1:*: b.example.org.: SERVFAIL")
	wantFindings(t, foundBy(t, newSource(t, patient(s.Addr()), Query{Record: "none.example.org", Type: TypeA, Port: 80})),
		"ok 127.0.0.1:* answers over UDP and TCP*",
		"warn A of none.example.org: none yet: NXDOMAIN twice from 127.0.0.1:*")
}

// A family that cannot be reached from here is named, with what helps.
func TestDiagnoseUnreachableFamily(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("web.example.org", time.Second, dnstest.Addrs("10.0.0.1", "2001:db8::1", "2001:db8::2")...)
	for _, test := range []struct {
		name, family string
		err          error
		want         []string
	}{
		{"no route", "", syscall.ENETUNREACH, []string{"ok *", "warn there is no way from here to the IPv6 addresses of web.example.org (as in [2001:db8::1]:80), which have IPv4 addresses too: set family: prefer-v4"}},
		{"preferred already", discovery.PreferV4, syscall.ENETUNREACH, []string{"ok *"}},
		{"only v6", discovery.OnlyV6, syscall.ENETUNREACH, []string{"ok *"}},
		{"a route", "", nil, []string{"ok *"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSource(t, patient(server.Addr()), Query{Record: "web.example.org", Port: 80, Family: test.family})
			s.client.reach = func(context.Context, netip.AddrPort) error { return test.err }
			wantFindings(t, foundBy(t, s), test.want...)
		})
	}
	if err := reach(t.Context(), netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
		t.Errorf("to the loopback interface: %v", err)
	}
}

// One family's trouble is not the server's.
func TestDiagnoseOneFamilyInTrouble(t *testing.T) {
	server := dnstest.NewServer(t)
	server.SetA("web.example.org", time.Second, dnstest.Addrs("10.0.0.1")...)
	server.SetHook(failing(wire.TypeAAAA, wire.RcodeNotImplemented))
	wantFindings(t, foundBy(t, newSource(t, patient(server.Addr()), Query{Record: "web.example.org", Port: 80})),
		"ok *", "warn AAAA of web.example.org: config: *NOTIMP")
}

func wantFindings(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !matches(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}
