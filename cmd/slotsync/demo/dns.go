package demo

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/miekg/dns"
)

// A dnsServer knows one name, which has SRV records with the addresses of their targets
// sent along. It answers over UDP and TCP.
type dnsServer struct {
	addr     string // "127.0.0.1:port"
	udp, tcp *dns.Server
	running  sync.WaitGroup

	mu      sync.Mutex // guards following
	targets map[string]netip.AddrPort
	failing bool
}

// listenDNS returns a server that answers from now on.
func listenDNS() (*dnsServer, error) {
	s := &dnsServer{}
	listener, err := listenLocal()
	if err != nil {
		return nil, err
	}
	s.addr = listener.Addr().String()
	packets, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", s.addr)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	started := make(chan struct{}, 2)
	ready := func() { started <- struct{}{} }
	s.udp = &dns.Server{PacketConn: packets, Handler: s, NotifyStartedFunc: ready}
	s.tcp = &dns.Server{Listener: listener, Handler: s, NotifyStartedFunc: ready}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		s.running.Go(func() { _ = server.ActivateAndServe() }) // ends at close
	}
	<-started
	<-started
	return s, nil
}

// publish makes targets, by their names, those that are known.
func (s *dnsServer) publish(targets map[string]netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = targets
}

// fail has every query answered with SERVFAIL, or as usual again.
func (s *dnsServer) fail(failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = failing
}

// ServeDNS implements [dns.Handler].
func (s *dnsServer) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeFormatError)) // nobody to report to
		return
	}
	reply := s.answer(query)
	size := dns.MinMsgSize
	if opt := query.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
		reply.SetEdns0(dns.DefaultMsgSize, false)
	}
	if w.RemoteAddr().Network() == "udp" {
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

func (s *dnsServer) answer(query *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply, asked := new(dns.Msg).SetReply(query), query.Question[0]
	switch {
	case s.failing:
		reply.Rcode = dns.RcodeServerFailure
	case dns.CanonicalName(asked.Name) != dns.Fqdn(record) || s.targets == nil:
		reply.Rcode = dns.RcodeNameError
	case asked.Qtype == dns.TypeSRV:
		for name, at := range s.targets {
			reply.Answer = append(reply.Answer, &dns.SRV{Hdr: dnsHeader(asked.Name, dns.TypeSRV), Target: name, Port: at.Port()})
			reply.Extra = append(reply.Extra, &dns.A{Hdr: dnsHeader(name, dns.TypeA), A: at.Addr().AsSlice()})
		}
	}
	if len(reply.Answer) == 0 && !s.failing { // RFC 2308: nothing, for no time at all
		reply.Ns = []dns.RR{&dns.SOA{Hdr: dnsHeader(".", dns.TypeSOA), Ns: "ns.invalid.", Mbox: "nobody.invalid.", Serial: 1}}
	}
	return reply
}

func dnsHeader(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
}

func (s *dnsServer) close() error {
	err := errors.Join(s.udp.Shutdown(), s.tcp.Shutdown())
	s.running.Wait()
	return err
}
