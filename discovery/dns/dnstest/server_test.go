package dnstest_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, s *dnstest.Server, network, name string, qtype uint16) (*dns.Msg, error) {
	t.Helper()
	return askAt(t, s.Addr(), network, name, qtype)
}

func askAt(t *testing.T, addr, network, name string, qtype uint16) (*dns.Msg, error) {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), qtype)
	c := dns.Client{Net: network, Timeout: 3 * time.Second}
	m, _, err := c.ExchangeContext(t.Context(), q, addr)
	return m, err
}

func mustAsk(t *testing.T, s *dnstest.Server, network, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m, err := ask(t, s, network, name, qtype)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnswers(t *testing.T) {
	s := dnstest.NewServer(t)
	s.SetA("a.test", 7*time.Second, dnstest.Addrs("10.0.0.1", "2001:db8::1")...)
	s.SetA("none.test", 0)
	s.SetSRV("_a._tcp.test", 0, dnstest.Target{Name: "a.test", Port: 80, Priority: 1, Weight: 2, Addrs: dnstest.Addrs("10.0.0.1")})
	s.Fail("sick.test", dns.RcodeServerFailure)
	cases := []struct {
		name                  string
		qtype                 uint16
		rcode, answers, extra int
	}{
		{"A.test", dns.TypeA, dns.RcodeSuccess, 1, 0},
		{"a.test", dns.TypeAAAA, dns.RcodeSuccess, 1, 0},
		{"a.test", dns.TypeSRV, dns.RcodeSuccess, 0, 0},
		{"none.test", dns.TypeA, dns.RcodeSuccess, 0, 0},
		{"gone.test", dns.TypeA, dns.RcodeNameError, 0, 0},
		{"sick.test", dns.TypeA, dns.RcodeServerFailure, 0, 0},
		{"_a._tcp.test", dns.TypeSRV, dns.RcodeSuccess, 1, 1},
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range cases {
			t.Run(network+" "+c.name+" "+dns.TypeToString[c.qtype], func(t *testing.T) {
				m := mustAsk(t, s, network, c.name, c.qtype)
				if m.Rcode != c.rcode || len(m.Answer) != c.answers || len(m.Extra) != c.extra {
					t.Errorf("got %v", m)
				}
				none := c.answers == 0 && c.rcode != dns.RcodeServerFailure
				if (len(m.Ns) == 1) != none {
					t.Errorf("SOA records: %v", m.Ns)
				}
			})
		}
		if n := s.Queries(network); n != len(cases) {
			t.Errorf("%d queries over %s, want %d", n, network, len(cases))
		}
	}
	s.Remove("a.test")
	if m := mustAsk(t, s, "udp", "a.test", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("removed, and got %v", m)
	}
	s.SetRcode(dns.RcodeRefused)
	if m := mustAsk(t, s, "udp", "none.test", dns.TypeA); m.Rcode != dns.RcodeRefused {
		t.Errorf("refusing, and got %v", m)
	}
}

func TestTruncates(t *testing.T) {
	s := dnstest.NewServer(t)
	addrs := dnstest.Addrs()
	for i := range 100 {
		addrs = append(addrs, dnstest.Addrs("10.0.0."+string(rune('0'+i%10)))...)
	}
	s.SetA("a.test", 0, addrs...)
	if m := mustAsk(t, s, "udp", "a.test", dns.TypeA); !m.Truncated {
		t.Error("not truncated")
	}
	if m := mustAsk(t, s, "tcp", "a.test", dns.TypeA); m.Truncated || len(m.Answer) != 100 {
		t.Errorf("%d records over TCP", len(m.Answer))
	}
	s.SetMode(dnstest.Cut)
	if m := mustAsk(t, s, "udp", "a.test", dns.TypeA); m.Truncated || len(m.Answer) != 3 {
		t.Errorf("cut to %d records, truncated %v", len(m.Answer), m.Truncated)
	}
}

func TestModes(t *testing.T) {
	for _, mode := range []dnstest.Mode{dnstest.Drop, dnstest.Hang, dnstest.Garbage} {
		for _, network := range []string{"udp", "tcp"} {
			s := dnstest.NewServer(t)
			s.SetMode(mode)
			q := new(dns.Msg)
			q.SetQuestion("a.test.", dns.TypeA)
			c := dns.Client{Net: network, Timeout: 50 * time.Millisecond}
			if m, _, err := c.ExchangeContext(t.Context(), q, s.Addr()); err == nil {
				t.Errorf("mode %d over %s answered %v", mode, network, m)
			}
			s.SetMode(dnstest.Answer)
			mustAsk(t, s, network, "a.test", dns.TypeA)
		}
	}
}

func TestHook(t *testing.T) {
	s := dnstest.NewServer(t)
	s.SetHook(func(w dns.ResponseWriter, q *dns.Msg) bool {
		m := new(dns.Msg)
		_ = w.WriteMsg(m.SetRcode(q, dns.RcodeYXDomain))
		return true
	})
	if m := mustAsk(t, s, "udp", "a.test", dns.TypeA); m.Rcode != dns.RcodeYXDomain {
		t.Errorf("got %v", m)
	}
	s.SetHook(nil)
	if m := mustAsk(t, s, "udp", "a.test", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("got %v", m)
	}
}

func TestCloseWithOpenConnections(t *testing.T) {
	s, err := dnstest.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.SetMode(dnstest.Hang)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	q := new(dns.Msg)
	q.SetQuestion("a.test.", dns.TypeA)
	conn := dns.Conn{Conn: c}
	if err := conn.WriteMsg(q); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.Queries("tcp") == 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the query does not arrive")
		}
	}
	begin := time.Now()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("closing took %v", d)
	}
}

func TestSameNumber(t *testing.T) {
	names := []string{}
	for range 5 {
		s := dnstest.NewServer(t)
		mustAsk(t, s, "udp", "a.test", dns.TypeA)
		mustAsk(t, s, "tcp", "a.test", dns.TypeA)
		names = append(names, s.Addr())
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != 5 {
		t.Errorf("addresses %v", names)
	}
}
