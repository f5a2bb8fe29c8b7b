package override

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A Set is what operators asked for, by what it is about. nil is none.
type Set map[Key]*api.Override

// With returns s with o, in place of one for the same. It fails if there are too many.
func (s Set) With(o api.Override) (Set, error) {
	next := Set{}
	maps.Copy(next, s)
	next[KeyOf(&o)] = &o
	if n, most := next.count(o.Limited), quotaOf(o.Limited); n > most && n > s.count(o.Limited) {
		return s, fmt.Errorf("%w: there are %d overrides, %d at most%s", api.ErrBadRequest, n-1, most, ofThose(o.Limited))
	}
	return next, nil
}

// Without returns s without the one that is about the same as o, and whether there was one.
func (s Set) Without(o api.Override) (Set, bool) {
	gone := KeyOf(&o)
	left := maps.Clone(s)
	delete(left, gone)
	return left, len(left) != len(s)
}

// count returns how many were asked for with full rights, or without.
func (s Set) count(limited bool) (n int) {
	for _, o := range s {
		if o.Limited == limited {
			n++
		}
	}
	return n
}

// quotaOf is how many may be asked for with full rights, or without. Who has fewer rights
// takes no place from who has more.
func quotaOf(limited bool) int {
	if limited {
		return maxLimited
	}
	return Max
}

// ofThose says whose quota it is.
func ofThose(limited bool) string {
	if limited {
		return " without full rights"
	}
	return ""
}

// Of returns those that endpoints of the backend may be concerned by; nil for none.
func (s Set) Of(backend string) Set {
	var out Set
	for k, o := range s {
		if k.Backend != "" && k.Backend != backend {
			continue
		}
		if out == nil {
			out = Set{}
		}
		out[k] = o
	}
	return out
}

// Find returns the override of that kind for an endpoint, the one of its backend
// before the one for its address; nil for none.
func (s Set) Find(backend string, a netip.AddrPort, kind string) *api.Override {
	if len(s) == 0 { // as mostly, and this is asked often
		return nil
	}
	return cmp.Or(s[Key{backend, a, kind}], s[Key{"", netip.AddrPortFrom(a.Addr(), 0), kind}])
}

// Names reports whether anything is asked of that endpoint, itself.
func (s Set) Names(backend string, a netip.AddrPort) bool {
	return slices.ContainsFunc(api.OverrideKinds[:], func(kind string) bool { return s[Key{backend, a, kind}] != nil })
}

// Expire returns s without those that are over, and these; listed are the endpoints of
// the backends that any is about, in lists that are sorted: who is in one is listed now.
func (s Set) Expire(listed map[string][][]discovery.Endpoint, now time.Time) (left, gone Set) {
	left, gone = Set{}, Set{}
	for k, o := range s {
		for backend, lists := range listed {
			if (k.Backend == "" || k.Backend == backend) && slices.ContainsFunc(lists, k.isIn) {
				o.Listed = now
			}
		}
		if isOver(o, now) {
			gone[k] = o
		} else {
			left[k] = o
		}
	}
	return left, gone
}

// Sorted returns them in an order for people.
func (s Set) Sorted() []api.Override {
	out := make([]api.Override, 0, len(s))
	for _, o := range s {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b api.Override) int {
		return cmp.Or(strings.Compare(a.Backend, b.Backend), strings.Compare(a.Address, b.Address), strings.Compare(a.Kind, b.Kind))
	})
	return out
}

// WithAdded returns eps, which are sorted, with the endpoints that operators added to the
// backend, as far as the policy lets them pass: it may be younger than they are.
func (s Set) WithAdded(backend string, eps []discovery.Endpoint, policy discovery.Policy) []discovery.Endpoint {
	var added []discovery.Endpoint
	for k, o := range s {
		if k.Kind == api.OverrideServer && k.Backend == backend && !k.isIn(eps) && policy.Check(k.Addr) == "" {
			added = append(added, discovery.Endpoint{Addr: k.Addr, Name: o.Name})
		}
	}
	if len(added) == 0 {
		return eps
	}
	return discovery.Normalize(slices.Concat(eps, added))
}

// Apply returns eps in the states that operators asked for. What a source takes out of
// service they cannot put back.
func (s Set) Apply(backend string, eps []discovery.Endpoint) []discovery.Endpoint {
	if len(s) == 0 {
		return eps
	}
	out := slices.Clone(eps)
	for i, e := range out {
		out[i] = s.applyTo(backend, e)
	}
	return out
}

func (s Set) applyTo(backend string, e discovery.Endpoint) discovery.Endpoint {
	switch o := s.Blocking(backend, e.Addr); {
	case o == nil:
	case o.State == api.StateMaint:
		e.State, e.Reason = discovery.Down, "stopped by an operator"
	case e.State != discovery.Ready:
	case o.Kind == api.OverrideState:
		e.State, e.Reason = discovery.Drain, "drained by an operator"
	default:
		e.State, e.Reason = discovery.Drain, "weight 0 by an operator"
	}
	return e
}

// Blocking returns the override that keeps an endpoint from its traffic; nil for none.
func (s Set) Blocking(backend string, a netip.AddrPort) *api.Override {
	if o := s.Find(backend, a, api.OverrideState); o != nil {
		return o
	}
	if o := s.weight(backend, a); o != nil && isZero(o.Weight) {
		return o
	}
	return nil
}

// Reweigh changes the weights of targets as operators want them. initial are the
// weights of the template, by slot.
func (s Set) Reweigh(backend string, targets []slots.Target, initial func(number int) int) {
	if len(s) == 0 {
		return
	}
	for i, t := range targets {
		if !t.Addr.IsValid() {
			continue
		}
		o := s.weight(backend, t.Addr)
		if o == nil {
			continue
		}
		if w := weightOf(o.Weight, initial(t.Number)); w > 0 {
			targets[i].Weight = w
		}
	}
}

// weight returns the override that gives an endpoint its weight, the one of its backend
// before the one for its address; nil for none.
func (s Set) weight(backend string, a netip.AddrPort) *api.Override {
	o := s.Find(backend, a, api.OverrideWeight)
	if o != nil && o.Backend != "" {
		return o
	}
	if added := s.Find(backend, a, api.OverrideServer); added != nil && added.Weight != "" {
		return added
	}
	return o
}
