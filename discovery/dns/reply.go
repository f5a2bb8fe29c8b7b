package dns

import (
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const maxHops = 8 // of CNAMEs in one reply

// An outcome is what a server that knows says about a name and a type.
type outcome string

const (
	found    outcome = "records"
	noData   outcome = "NODATA"
	nxDomain outcome = "NXDOMAIN"
)

// A record is one SRV record (RFC 2782).
type record struct {
	target                 string // canonical
	port, priority, weight uint16
}

// A host is what is known about the addresses of one name. Addresses may be
// unfit to be endpoints.
type host struct {
	addrs []netip.Addr
	ttl   time.Duration
}

// A reply is what one valid answer says about its question.
type reply struct {
	outcome outcome
	server  string
	network string // that the answer came over
	records []record
	host    // the answer to a question for addresses; ttl is set for every reply
	glue    map[string]host
	alias   string // that the name's CNAMEs lead to, where that is without records
	proof   bool   // the server means its "none": it has an SOA record, or is the authority (RFC 2308)
	cut     bool   // it came over UDP from a server that cuts without a sign
}

// parse reads the reply m to the question for name and qtype. Records that do
// not belong to name are not looked at, whatever they say.
func parse(name string, qtype uint16, m *wire.Msg) (reply, error) {
	if m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return reply{}, discovery.Errorf(classOf(m.Rcode), "%s", rcodeName(m.Rcode))
	}
	rrs, end, ttl, onChain, err := follow(name, qtype, m.Answer)
	switch {
	case err != nil:
		return reply{}, err
	case len(m.Answer) > 0 && onChain == 0:
		return reply{}, discovery.Errorf(discovery.Protocol, "the answer has no record of %s", name)
	case m.Rcode == wire.RcodeNameError && len(rrs) > 0:
		return reply{}, discovery.Errorf(discovery.Protocol, "NXDOMAIN with records of %s", name)
	case len(rrs) == 0:
		r := negative(m, ttl)
		if end != wire.CanonicalName(name) && !r.proof {
			r.alias = end
		}
		return r, nil
	}
	r := reply{outcome: found, host: host{ttl: ttl}, glue: glueOf(m.Extra)}
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *wire.SRV:
			if rr.Target == "" {
				return reply{}, discovery.Errorf(discovery.Protocol, "an SRV record of %s without data", name)
			}
			r.records = append(r.records, record{wire.CanonicalName(rr.Target), rr.Port, rr.Priority, rr.Weight})
		case *wire.A:
			r.addrs = append(r.addrs, address(rr.A))
		case *wire.AAAA:
			r.addrs = append(r.addrs, address(rr.AAAA))
		}
	}
	return r, nil
}

// follow goes along the CNAMEs from name and returns the records at their end, the
// owner of those, the smallest TTL, and how many records it used.
func follow(name string, qtype uint16, answer []wire.RR) (rrs []wire.RR, owner string, ttl time.Duration, used int, err error) {
	owner = wire.CanonicalName(name)
	ttl = math.MaxInt64
	for range maxHops + 1 {
		next := ""
		for _, rr := range answer {
			h := rr.Header()
			if h.Class != wire.ClassINET || wire.CanonicalName(h.Name) != owner {
				continue
			}
			switch c, isAlias := rr.(*wire.CNAME); {
			case isAlias && c.Target == "":
				return nil, owner, 0, used, discovery.Errorf(discovery.Protocol, "a CNAME record of %s without data", name)
			case h.Rrtype == qtype:
				rrs = append(rrs, rr)
			case isAlias && (next == "" || wire.CanonicalName(c.Target) < next):
				next = wire.CanonicalName(c.Target)
			case !isAlias && h.Rrtype != wire.TypeA && h.Rrtype != wire.TypeAAAA: // Consul sends those instead of none of the other family
				continue
			}
			used++
			ttl = min(ttl, ttlOf(h))
		}
		if len(rrs) > 0 || next == "" {
			return rrs, owner, ttl, used, nil
		}
		owner = next
	}
	return nil, owner, 0, used, discovery.Errorf(discovery.Protocol, "more than %d CNAMEs from %s", maxHops, name)
}

// negative is the reply that there is nothing. It lives as long as the SOA record
// says (RFC 2308 5). NODATA is a proof only with that record, or from the authority
// itself: without, it may be a referral, or a server that could not follow an alias.
func negative(m *wire.Msg, ttl time.Duration) reply {
	r := reply{outcome: noData, host: host{ttl: ttl}}
	if m.Rcode == wire.RcodeNameError {
		r.outcome = nxDomain
	}
	soa, referral := false, false
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *wire.SOA:
			soa = true
			r.ttl = min(r.ttl, ttlOf(rr.Header()), time.Duration(rr.Minttl)*time.Second)
		case *wire.NS:
			referral = true
		}
	}
	if !soa {
		r.ttl = 0
	}
	r.proof = soa || r.outcome == nxDomain || m.Authoritative && !referral && len(m.Answer) == 0
	return r
}

// glueOf collects the addresses of an additional section by their owner.
func glueOf(extra []wire.RR) map[string]host {
	glue := map[string]host{}
	for _, rr := range extra {
		var a netip.Addr
		switch rr := rr.(type) {
		case *wire.A:
			a = address(rr.A)
		case *wire.AAAA:
			a = address(rr.AAAA)
		default:
			continue
		}
		if rr.Header().Class != wire.ClassINET {
			continue
		}
		name, ttl := wire.CanonicalName(rr.Header().Name), ttlOf(rr.Header())
		h, ok := glue[name]
		if ok {
			ttl = min(ttl, h.ttl)
		}
		glue[name] = host{append(h.addrs, a), ttl}
	}
	return glue
}

// address returns the invalid Addr for a record without one.
func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// ttlOf reads a TTL with the top bit set as 0 (RFC 2181 8).
func ttlOf(h *wire.RR_Header) time.Duration {
	if h.Ttl > math.MaxInt32 {
		return 0
	}
	return time.Duration(h.Ttl) * time.Second
}

func classOf(rcode int) discovery.Class {
	switch rcode {
	case wire.RcodeRefused:
		return discovery.Auth
	case wire.RcodeFormatError, wire.RcodeNotImplemented, wire.RcodeBadVers:
		return discovery.Config
	}
	return discovery.Server
}

func rcodeName(rcode int) string {
	if s, ok := wire.RcodeToString[rcode]; ok {
		return s
	}
	return "rcode " + strconv.Itoa(rcode)
}

// responses are what the servers said that were asked about one set.
type responses struct {
	shown  *reply
	denied []reply   // without records
	failed []failure // one for each server that has not answered
}

// A failure is the first trouble with one server.
type failure struct {
	server string
	err    error
}

func (c *responses) add(server string, r reply, err error) {
	switch {
	case err == nil && r.outcome == found:
		if c.shown == nil {
			c.shown = &r
		}
	case err == nil:
		c.denied = append(c.denied, r)
		c.failed = slices.DeleteFunc(c.failed, func(f failure) bool { return f.server == server })
	case c.failureOf(server) == nil:
		c.failed = append(c.failed, failure{server, err})
	case discovery.ClassOf(err) != discovery.Transport: // it tells more than silence
		c.failed = append(slices.DeleteFunc(c.failed, func(f failure) bool { return f.server == server }), failure{server, err})
	}
}

func (c *responses) failureOf(server string) error {
	for _, f := range c.failed {
		if f.server == server {
			return f.err
		}
	}
	return nil
}

// settled reports whether server is not worth asking again: it answered, if only with a
// failure.
func (c *responses) settled(server string) bool {
	err := c.failureOf(server)
	return err != nil && discovery.ClassOf(err) != discovery.Transport ||
		slices.ContainsFunc(c.denied, func(r reply) bool { return r.server == server })
}

func (c *responses) serverFailure() error {
	for _, f := range c.failed {
		if discovery.ClassOf(f.err) != discovery.Transport {
			return f.err
		}
	}
	return nil
}
