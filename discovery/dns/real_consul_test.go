package dns

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/tools/eventually"
)

// TestD42RealConsulOutside has real Consul name host names instead of addresses: as the
// only answer it is an alias, beside others an SRV target.
func TestD42RealConsulOutside(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	consul.Register("db", "db1", "db.example.org", realPort, consultest.Weights(1, 1))
	consul.Register("mix", "m1", "10.0.0.1", realPort, consultest.Weights(1, 1))
	consul.Register("mix", "m2", "10.0.0.2", realPort, consultest.Weights(1, 1))
	consul.Register("mix", "m3", "db.example.org", realPort, consultest.Weights(1, 1))
	machine := dnstest.NewServer(t)
	source := func(q Query) *Source {
		path := filepath.Join(t.TempDir(), "resolv.conf")
		writeResolvConf(t, path, "nameserver 192.0.2.9\n")
		o := realOptions(consul.DNSAddr())
		o.ResolvConf = path
		s := newSource(t, o, q)
		real := s.client.exchange
		s.client.exchange = func(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error) {
			if server == system {
				server = machine.Addr()
			}
			return real(ctx, network, server, q)
		}
		t.Cleanup(func() { _ = s.client.Close() })
		return s
	}
	db := source(Query{Record: "db.service.consul", Type: TypeA, Port: realPort})
	mix := source(Query{Record: "mix.service.consul", Type: TypeSRV})

	var r discovery.Reading
	eventually.True(t, "the services are there", func() bool { r = next(t, mix); return len(r.Endpoints()) == 2 })
	wantPart(t, r, "A of db.example.org:8080", discovery.Partial, "none yet: NXDOMAIN")
	wantPart(t, next(t, db), "A of db.service.consul", discovery.Partial, "none yet: CNAME to db.example.org: NXDOMAIN")
	consul.Deregister("m1")
	eventually.True(t, "an instance leaves beside the one outside", func() bool { r = next(t, mix); return len(r.Endpoints()) == 1 })
	wantStrong(t, r, "10.0.0.2:8080")

	machine.SetA("db.example.org", time.Second, netip.MustParseAddr("10.9.9.9"))
	wantStrong(t, next(t, db), "10.9.9.9:8080")
	wantStrong(t, next(t, mix), "10.0.0.2:8080", "10.9.9.9:8080")
	machine.SetRcode(wire.RcodeServerFailure)
	wantPart(t, next(t, mix), "A of db.example.org:8080", discovery.Unknown, "REFUSED; the system's resolver: 192.0.2.9:53: db.example.org.: SERVFAIL")
}

// TestD22RealConsulOverUDPAlone reaches real Consul through a relay of datagrams.
func TestD22RealConsulOverUDPAlone(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	for _, a := range []string{"10.0.0.1", "10.0.0.2"} {
		consul.Register("web", a, a, realPort, consultest.Weights(1, 1))
	}
	o := realOptions(relay(t, consul.DNSAddr()))
	o.HoldObsolete = time.Second
	s := newSource(t, o, Query{Record: "web.service.consul", Type: TypeSRV})
	kept := discoverytest.Keeper{}
	eventually.True(t, "both are there", func() bool { return len(kept.Take(next(t, s))) == 2 })
	if got := strings.Join(s.Activity().Remarks, "\n"); !strings.Contains(got, "tcp: never") {
		t.Errorf("remarks %q", got)
	}
	consul.Deregister("10.0.0.1")
	eventually.True(t, "one leaves", func() bool { return len(kept.Take(next(t, s))) == 1 })
}

// relay passes datagrams on to a server, and has no TCP port.
func relay(t *testing.T, to string) string {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, readSize)
		for {
			n, from, err := front.ReadFrom(b)
			if err != nil {
				return
			}
			back, err := net.Dial("udp", to)
			if err != nil {
				return
			}
			_ = back.SetDeadline(time.Now().Add(time.Second))
			if _, err = back.Write(b[:n]); err == nil {
				if n, err = back.Read(b); err == nil {
					_, _ = front.WriteTo(b[:n], from)
				}
			}
			_ = back.Close()
		}
	}()
	t.Cleanup(func() { _ = front.Close(); <-done })
	return front.LocalAddr().String()
}
