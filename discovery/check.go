package discovery

import (
	"net/netip"
	"unicode"
)

func isPrintable(r rune) bool { return r != unicode.ReplacementChar && unicode.IsPrint(r) }

// isPlain reports whether s is printable ASCII, as nearly everything is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

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
// allowed. Addresses are judged unmapped: ::ffff:169.254.1.1 is link-local.
func Check(a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	switch {
	case !ip.IsValid() || ip.Zone() != "":
		return BadAddress
	case ip.IsUnspecified():
		return Unspecified
	case ip.IsMulticast() || ip == broadcast:
		return Multicast
	case ip.IsLinkLocalUnicast():
		return LinkLocal
	case ip == metadata6:
		return Metadata
	case a.Port() == 0:
		return BadPort
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
