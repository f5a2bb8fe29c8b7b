package dnstest

import (
	"net"

	"github.com/miekg/dns"
)

// serve answers one query. Errors of writing are the client's business.
func (s *Server) serve(w dns.ResponseWriter, q *dns.Msg) {
	network := networkOf(w)
	hook, mode := s.arrived(network)
	if hook != nil && hook(w, q) {
		return
	}
	switch mode {
	case Hang:
		if network == "tcp" {
			<-s.done
		}
	case Drop:
		if network == "tcp" {
			_ = w.Close()
		}
	case Garbage:
		_, _ = w.Write([]byte("this is no DNS message, and too short"))
	case Cut:
		m := s.reply(q)
		if network == "udp" {
			m.Answer = m.Answer[:min(3, len(m.Answer))]
			m.Extra = nil
		}
		_ = w.WriteMsg(m)
	default:
		m := s.reply(q)
		if network == "udp" {
			m.Truncate(sizeFor(q))
		}
		_ = w.WriteMsg(m)
	}
}

// arrived counts a query and says what to do with it.
func (s *Server) arrived(network string) (hook func(dns.ResponseWriter, *dns.Msg) bool, m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[network]++
	return s.hook, s.mode
}

// reply is the honest answer to q. Of the name's records it has those of the
// type asked for, and every alias.
func (s *Server) reply(q *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	m.Compress = true
	name, qtype := q.Question[0].Name, q.Question[0].Qtype
	e, ok := s.names[dns.CanonicalName(name)]
	switch {
	case s.rcode != dns.RcodeSuccess:
		m.Rcode = s.rcode
	case !ok:
		m.Rcode = dns.RcodeNameError
	default:
		m.Rcode = e.rcode
	}
	if m.Rcode == dns.RcodeSuccess {
		for _, rr := range shuffled(e.records) {
			if t := rr.Header().Rrtype; t == qtype || t == dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	switch {
	case len(m.Answer) > 0:
		m.Extra = shuffled(e.extra)
	case m.Rcode == dns.RcodeSuccess, m.Rcode == dns.RcodeNameError:
		m.Ns = []dns.RR{soa()}
	}
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
	}
	return m
}

// soa proves that there is nothing (RFC 2308), for no time at all.
func soa() dns.RR {
	return &dns.SOA{Hdr: header(".", dns.TypeSOA, 0), Ns: "ns.invalid.", Mbox: "nobody.invalid.", Serial: 1}
}

// sizeFor is the largest datagram that the sender of q takes.
func sizeFor(q *dns.Msg) int {
	if o := q.IsEdns0(); o != nil {
		return int(o.UDPSize())
	}
	return dns.MinMsgSize
}

func networkOf(w dns.ResponseWriter) string {
	if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
		return "tcp"
	}
	return "udp"
}
