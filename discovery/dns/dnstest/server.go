// Package dnstest has a real DNS server with settable answers, for tests and
// demonstrations.
//
// It can misbehave in the ways that clients meet: error codes, silence,
// garbage, answers that are cut with or without a sign.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Mode says what a server does with queries.
type Mode int

const (
	Answer  Mode = iota // answers them; the zero value
	Drop                // says nothing on UDP, and closes TCP connections
	Hang                // says nothing, and leaves TCP connections open
	Garbage             // answers with bytes that are no message
	Cut                 // answers over UDP with at most three records, and without the sign for it, as Consul does
)

// A Target is one SRV record, and the addresses of it that are sent along in
// the additional section.
type Target struct {
	Name                   string
	Port, Priority, Weight uint16
	Addrs                  []netip.Addr
}

// TB is the part of [testing.TB] that is needed here.
type TB interface {
	Helper()
	Cleanup(f func())
	Fatal(args ...any)
}

// A Server answers on one port of the loopback interface over UDP and TCP. Its
// methods may be called at any time from any goroutine. It sends records in
// random order.
type Server struct {
	addr  netip.AddrPort
	udp   *dns.Server
	tcp   *dns.Server
	done  chan struct{} // closed by Close
	close func() error
	wg    sync.WaitGroup

	mu     sync.Mutex // guards following
	names  map[string]entry
	rcode  int
	mode   Mode
	hook   func(w dns.ResponseWriter, q *dns.Msg) bool
	counts map[string]int
}

// An entry is what is known of one name.
type entry struct {
	rcode   int
	records []dns.RR
	extra   []dns.RR
}

// NewServer returns a server that is closed when the test ends.
func NewServer(tb TB) *Server {
	tb.Helper()
	s, err := Listen()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Fatal(err)
		}
	})
	return s
}

// Listen returns a server that answers when Listen returns. Every name is
// NXDOMAIN until it is set. The caller closes it.
func Listen() (*Server, error) {
	s := &Server{names: map[string]entry{}, counts: map[string]int{}, done: make(chan struct{})}
	s.close = sync.OnceValue(s.shutdown)
	pc, l, err := onePort()
	if err != nil {
		return nil, fmt.Errorf("dnstest: %w", err)
	}
	s.addr = l.Addr().(*net.TCPAddr).AddrPort()
	started := make(chan struct{}, 2)
	ready := func() { started <- struct{}{} }
	s.udp = &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(s.serve), NotifyStartedFunc: ready}
	s.tcp = &dns.Server{Listener: l, Handler: dns.HandlerFunc(s.serve), NotifyStartedFunc: ready}
	failed := make(chan error, 2)
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		s.wg.Go(func() { failed <- d.ActivateAndServe() })
	}
	for range 2 {
		select {
		case <-started:
		case err := <-failed:
			return nil, errors.Join(fmt.Errorf("dnstest: %w", err), pc.Close(), l.Close())
		}
	}
	return s, nil
}

// onePort listens on the same free port for datagrams and connections.
func onePort() (pc net.PacketConn, l net.Listener, err error) {
	var lc net.ListenConfig
	for range 50 {
		if pc, err = lc.ListenPacket(context.Background(), "udp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if l, err = lc.Listen(context.Background(), "tcp", pc.LocalAddr().String()); err == nil {
			return pc, l, nil
		}
		_ = pc.Close()
	}
	return nil, nil, err
}

// Close stops the server and waits until it has stopped.
func (s *Server) Close() error { return s.close() }

func (s *Server) shutdown() error {
	close(s.done)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := errors.Join(s.udp.ShutdownContext(ctx), s.tcp.ShutdownContext(ctx))
	if err == nil {
		s.wg.Wait()
	}
	return err
}

// Addr returns "127.0.0.1:port", the same for UDP and TCP.
func (s *Server) Addr() string { return s.addr.String() }

// SetA gives name address records, A or AAAA as each address needs, in place of
// what it had. Without addresses the name exists and has no records (NODATA).
// The TTL is sent in whole seconds.
func (s *Server) SetA(name string, ttl time.Duration, addrs ...netip.Addr) {
	s.set(name, entry{records: addressRecords(name, ttl, addrs)})
}

// SetSRV gives name SRV records in place of what it had. Their addresses are
// sent along; a target that is asked for by itself needs SetA.
func (s *Server) SetSRV(name string, ttl time.Duration, targets ...Target) {
	var e entry
	for _, t := range targets {
		e.records = append(e.records, &dns.SRV{
			Hdr: header(name, dns.TypeSRV, ttl), Target: dns.Fqdn(t.Name),
			Port: t.Port, Priority: t.Priority, Weight: t.Weight,
		})
		e.extra = append(e.extra, addressRecords(t.Name, ttl, t.Addrs)...)
	}
	s.set(name, e)
}

// SetRecords gives name these records in place of what it had, of
// whatever owner they are. Those of the type asked for and CNAMEs are sent.
func (s *Server) SetRecords(name string, answer, extra []dns.RR) {
	s.set(name, entry{records: answer, extra: extra})
}

// Fail answers every query for name with rcode, as in [dns.RcodeServerFailure].
func (s *Server) Fail(name string, rcode int) { s.set(name, entry{rcode: rcode}) }

// Remove makes name NXDOMAIN.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, dns.CanonicalName(name))
}

func (s *Server) set(name string, e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[dns.CanonicalName(name)] = e
}

// SetRcode answers every query with rcode; [dns.RcodeSuccess] goes back to what
// is set for the names.
func (s *Server) SetRcode(rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcode = rcode
}

// SetMode changes what the server does with queries from now on.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// SetHook calls f for every query first. If f returns true it has dealt with
// the query: what it gave to w.Write went out as it is, as one datagram or
// behind a length. nil removes it.
func (s *Server) SetHook(f func(w dns.ResponseWriter, q *dns.Msg) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// Queries returns how many queries came over "udp" or "tcp", answered or not.
func (s *Server) Queries(network string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[network]
}

func addressRecords(name string, ttl time.Duration, addrs []netip.Addr) []dns.RR {
	var rrs []dns.RR
	for _, a := range addrs {
		if a.Is4() {
			rrs = append(rrs, &dns.A{Hdr: header(name, dns.TypeA, ttl), A: a.AsSlice()})
		} else {
			rrs = append(rrs, &dns.AAAA{Hdr: header(name, dns.TypeAAAA, ttl), AAAA: a.AsSlice()})
		}
	}
	return rrs
}

func header(name string, rrtype uint16, ttl time.Duration) dns.RR_Header {
	return dns.RR_Header{Name: dns.Fqdn(name), Rrtype: rrtype, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)}
}

// Addrs parses addresses, for readable tests. It panics if one is none.
func Addrs(addrs ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func shuffled(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, j := range rand.Perm(len(rrs)) {
		out[i] = rrs[j]
	}
	return out
}
