package discovery

import (
	"context"
	"fmt"
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

// Restrict returns a source that has of src's endpoints only those that p lets
// pass; the others are among the reading's Rejected. A reading of which nothing is
// left that way is weak: a policy that refuses everything removes nothing.
func (p Policy) Restrict(src Source) Source {
	if p.IsZero() {
		return src
	}
	return &restricted{Source: src, policy: p}
}

// A restricted source is one behind a policy.
type restricted struct {
	Source
	policy Policy
}

// Next implements [Source].
func (s *restricted) Next(ctx context.Context) (Reading, error) {
	r, err := s.Source.Next(ctx)
	return s.policy.apply(r), err
}

// Confirm implements [Source].
func (s *restricted) Confirm(ctx context.Context) (Reading, error) {
	r, err := s.Source.Confirm(ctx)
	return s.policy.apply(r), err
}

// Recovered implements [Recoverer], for sources that do.
func (s *restricted) Recovered(ctx context.Context, err error) { recovered(ctx, s.Source, err) }

// Activity implements [Active], for sources that do.
func (s *restricted) Activity() Activity { return ActivityOf(s.Source) }

func (p Policy) apply(r Reading) Reading {
	v4 := map[string]bool{} // names that have such an address
	for _, e := range r.Endpoints {
		v4[e.Name] = v4[e.Name] || e.Name != "" && e.Addr.Addr().Is4() // what has no name is not one thing
	}
	had := len(r.Endpoints) > 0
	kept := make([]Endpoint, 0, len(r.Endpoints))
	r.Rejected = slices.Clone(r.Rejected)
	for _, e := range r.Endpoints {
		reason := p.refuses(e, v4[e.Name])
		if reason == "" {
			kept = append(kept, e)
			continue
		}
		r.Rejected = append(r.Rejected, Rejection{Reason: reason, Name: e.Name, Value: e.Addr.String()})
	}
	r.Endpoints = kept
	if had && len(kept) == 0 {
		r.Weak = true
		r.Note += fmt.Sprintf("; weak: all %d addresses are refused", len(r.Rejected))
	}
	return r
}

// Check returns why a, alone and without a name, is not let pass: [OtherFamily],
// [Denied] or [NotAllowed]; "" if it is.
func (p Policy) Check(a netip.AddrPort) string { return p.refuses(Endpoint{Addr: a}, false) }

// refuses returns why e is not let pass, or "".
func (p Policy) refuses(e Endpoint, nameHasV4 bool) string {
	a := e.Addr.Addr()
	within := func(n netip.Prefix) bool { return n.Contains(a) }
	switch {
	case p.Family == OnlyV4 && !a.Is4(), p.Family == OnlyV6 && a.Is4(), p.Family == PreferV4 && !a.Is4() && nameHasV4:
		return OtherFamily
	case slices.ContainsFunc(p.Deny, within):
		return Denied
	case len(p.Allow) > 0 && !slices.ContainsFunc(p.Allow, within):
		return NotAllowed
	}
	return ""
}
