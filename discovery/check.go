package discovery

import (
	"cmp"
	"net/netip"
	"slices"
)

// Reasons why something that a source named is not an endpoint. [Check] and
// [Parse] return them; sources may add no others, so that metrics can start
// every one at 0.
const (
	BadAddress  = "bad_address" // not an IP address, or one with a zone
	BadPort     = "bad_port"    // not within 1..65535
	Unspecified = "unspecified" // 0.0.0.0, ::
	Multicast   = "multicast"   // also broadcast
	LinkLocal   = "link_local"  // 169.254.0.0/16 and fe80::/10
	Metadata    = "metadata"    // fd00:ec2::254; the IPv4 one is link-local
	Unresolved  = "unresolved"  // an SRV target without an address
	Incomplete  = "incomplete"  // an entry without the parts that make an endpoint
	NotAllowed  = "not_allowed" // in none of the networks that the backend allows
	Denied      = "denied"      // in a network that the backend denies
	OtherFamily = "family"      // of an address family that the backend does not take
)

// Reasons lists every reason for a [Rejection].
var Reasons = [...]string{BadAddress, BadPort, Unspecified, Multicast, LinkLocal, Metadata, Unresolved, Incomplete,
	NotAllowed, Denied, OtherFamily}

var metadata6 = netip.MustParseAddr("fd00:ec2::254")
var broadcast = netip.MustParseAddr("255.255.255.255")

// Check returns why a must not be an endpoint, or "" if it may. Loopback is
// allowed. Addresses are judged unmapped, and so are the IPv4 addresses that others
// stand for: ::ffff:169.254.1.1 and 64:ff9b::169.254.1.1 are link-local.
func Check(a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	if !ip.IsValid() || ip.Zone() != "" {
		return BadAddress
	}
	if reason := refused(ip); reason != "" {
		return reason
	}
	if reason := refusedWithin(ip); reason != "" {
		return reason
	}
	if a.Port() == 0 {
		return BadPort
	}
	return ""
}

func refused(ip netip.Addr) string {
	switch {
	case ip.IsUnspecified():
		return Unspecified
	case ip.IsMulticast() || ip == broadcast:
		return Multicast
	case ip.IsLinkLocalUnicast():
		return LinkLocal
	case ip == metadata6:
		return Metadata
	}
	return ""
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Site  = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291, 2.5.5.1
)

// refusedWithin returns why the IPv4 address is refused that is reached through ip, an
// IPv6 one; "" if there is none or it is not.
func refusedWithin(ip netip.Addr) string {
	raw := ip.As16()
	at := func(i ...int) netip.Addr { return netip.AddrFrom4([4]byte{raw[i[0]], raw[i[1]], raw[i[2]], raw[i[3]]}) }
	switch {
	case !ip.Is6(), ip.IsLoopback():
		return ""
	case nat64.Contains(ip), compatible.Contains(ip):
		return refused(at(12, 13, 14, 15))
	case sixToFour.Contains(ip):
		return refused(at(2, 3, 4, 5))
	case !nat64Site.Contains(ip):
		return ""
	}
	// Each site chooses how long its prefix is, and by that where the address is (RFC
	// 6052, 2.2). Nobody can tell from outside, so that only what must not be is looked
	// for in every place.
	for _, v4 := range []netip.Addr{at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), at(12, 13, 14, 15)} {
		if v4.IsLinkLocalUnicast() {
			return LinkLocal
		}
	}
	return ""
}

// Parse makes the address of an endpoint of what a source said. The reason is
// "" if it is fit to be one. The result is unmapped, so that one endpoint has
// one address.
func Parse(host string, port int) (a netip.AddrPort, reason string) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return a, BadAddress
	}
	if port < 1 || port > 65535 {
		return a, BadPort
	}
	a = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	return a, Check(a)
}

// WhyRefused says for people why what a source named is no endpoint, for one of [Reasons].
func WhyRefused(reason string) string {
	why := map[string]string{
		BadAddress:  "it is not an IP address",
		BadPort:     "its port is not within 1 and 65535",
		Unspecified: "it is no address of a host",
		Multicast:   "it is a multicast or broadcast address",
		LinkLocal:   "link-local addresses are never used",
		Metadata:    "the address of a cloud's metadata is never used",
		Unresolved:  "its name has no address",
		Incomplete:  "parts of it are missing",
		NotAllowed:  "no network in allow has it",
		Denied:      "a network in deny has it",
		OtherFamily: "the backend takes no addresses of its family",
	}
	return cmp.Or(why[reason], "it is refused")
}

// Which address families a backend takes; see [Policy].
const (
	AnyFamily = "any"
	OnlyV4    = "v4"
	OnlyV6    = "v6"
	PreferV4  = "prefer-v4"
)

// A Policy says which addresses may be endpoints of one backend at all. The zero
// value lets everything pass that [Check] does.
type Policy struct {
	// Allow lists networks; empty allows all. Deny lists networks that are refused
	// even where Allow has them.
	Allow, Deny []netip.Prefix
	// Family is [AnyFamily] (also if empty), [OnlyV4], [OnlyV6], or [PreferV4],
	// which leaves out the IPv6 addresses of what has an IPv4 address under the
	// same name.
	Family string
}

// IsZero reports whether p lets everything pass.
func (p Policy) IsZero() bool {
	return len(p.Allow) == 0 && len(p.Deny) == 0 && (p.Family == "" || p.Family == AnyFamily)
}

// Select returns those of eps that p lets pass, in their order, and why the others are
// not. What is refused for its network is not there for [PreferV4].
func (p Policy) Select(eps []Endpoint) (kept []Endpoint, refused []Rejection) {
	if p.IsZero() {
		return eps, nil
	}
	refuse := func(e Endpoint, reason string) {
		refused = append(refused, Rejection{Reason: reason, Name: e.Name, Value: e.Addr.String()})
	}
	v4 := map[string]bool{} // names that have such an address
	for _, e := range eps {
		if reason := p.Check(e.Addr); reason != "" {
			refuse(e, reason)
			continue
		}
		kept = append(kept, e)
		v4[e.Name] = v4[e.Name] || e.Name != "" && e.Addr.Addr().Is4() // what has no name is not one thing
	}
	if p.Family != PreferV4 {
		return kept, refused
	}
	all := kept
	kept = nil
	for _, e := range all {
		if !e.Addr.Addr().Is4() && v4[e.Name] {
			refuse(e, OtherFamily)
			continue
		}
		kept = append(kept, e)
	}
	return kept, refused
}

// Check returns why a, alone and without a name, is not let pass: [OtherFamily],
// [Denied] or [NotAllowed]; "" if it is.
func (p Policy) Check(addr netip.AddrPort) string {
	a := addr.Addr()
	within := func(n netip.Prefix) bool { return n.Contains(a) }
	switch {
	case p.Family == OnlyV4 && !a.Is4(), p.Family == OnlyV6 && a.Is4():
		return OtherFamily
	case slices.ContainsFunc(p.Deny, within):
		return Denied
	case len(p.Allow) > 0 && !slices.ContainsFunc(p.Allow, within):
		return NotAllowed
	}
	return ""
}
