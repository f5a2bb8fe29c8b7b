package dnstest_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

func smallZone(addrs ...string) dnstest.Zone {
	return dnstest.Zone{
		Name: "slots.example", TTL: time.Second,
		Services: map[string][]dnstest.Target{"_web._tcp.slots.example": {
			{Name: "a.slots.example", Port: 80, Priority: 1, Weight: 2, Addrs: dnstest.Addrs("10.0.0.9", "2001:db8::9")},
		}},
		Addrs:   map[string][]netip.Addr{"web.slots.example": dnstest.Addrs(addrs...)},
		Aliases: map[string]string{"www.slots.example": "web.slots.example"},
	}
}

// contents lists the data of the records of a reply's answer, without TTLs.
func contents(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(out)
	return out
}

// TestRealServers runs one body over every real server: the same zone gives the
// same answers, and so do a changed one and a restart.
func TestRealServers(t *testing.T) {
	for name, start := range map[string]func(dnstest.TB, dnstest.Zone) *dnstest.Real{
		"bind": dnstest.StartBind, "unbound": dnstest.StartUnbound, "dnsmasq": dnstest.StartDnsmasq,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, smallZone("10.0.0.1", "10.0.0.2", "2001:db8::1"))
			checkReal(t, s.Addr(), "10.0.0.1", "10.0.0.2")
			s.Change(smallZone("10.0.0.3"))
			checkReal(t, s.Addr(), "10.0.0.3")
			s.Kill()
			s.Kill()
			if m, err := askAt(t, s.Addr(), "udp", "web.slots.example", dns.TypeA); err == nil {
				t.Errorf("killed, and it answers %v", m)
			}
			s.Restart()
			checkReal(t, s.Addr(), "10.0.0.3")
		})
	}
}

func checkReal(t *testing.T, addr string, want ...string) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		for _, q := range []struct {
			name  string
			qtype uint16
			rcode int
			want  []string
		}{
			{"web.slots.example", dns.TypeA, dns.RcodeSuccess, want},
			{"www.slots.example", dns.TypeA, dns.RcodeSuccess, append(slices.Clone(want), "web.slots.example.")},
			{"a.slots.example", dns.TypeAAAA, dns.RcodeSuccess, []string{"2001:db8::9"}},
			{"_web._tcp.slots.example", dns.TypeSRV, dns.RcodeSuccess, []string{"1 2 80 a.slots.example."}},
			{"gone.slots.example", dns.TypeA, dns.RcodeNameError, nil},
		} {
			m, err := askAt(t, addr, network, q.name, q.qtype)
			if err != nil {
				t.Fatal(err)
			}
			if m.Rcode != q.rcode || !slices.Equal(contents(m), q.want) {
				t.Errorf("%s %s: got %v, want %q", network, q.name, m, q.want)
			}
			for _, rr := range m.Answer {
				if rr.Header().Ttl != 1 {
					t.Errorf("the TTL of %v", rr)
				}
			}
		}
	}
}

func TestRealForwarder(t *testing.T) {
	t.Parallel()
	s := dnstest.StartUnbound(t, smallZone("10.0.0.1"))
	f := dnstest.StartForwarder(t, s.Addr())
	m, err := askAt(t, f.Addr(), "udp", "web.slots.example", dns.TypeA)
	if err != nil || !slices.Equal(contents(m), []string{"10.0.0.1"}) {
		t.Fatalf("got %v %v", m, err)
	}
	s.Kill()
	m, err = askAt(t, f.Addr(), "udp", "other.slots.example", dns.TypeA)
	if err != nil || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("nobody to ask, and got %v %v", m, err)
	}
}
