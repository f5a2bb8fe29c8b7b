package discovery

import (
	"net/netip"
	"slices"
)

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
