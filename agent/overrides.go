package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// overrides are what operators asked for, by what it is about. nil is none.
type overrides map[subject]*Override

// put returns l with o, in place of one for the same.
func (l overrides) put(o Override) overrides {
	next := overrides{}
	maps.Copy(next, l)
	next[subjectOf(&o)] = &o
	return next
}

// drop returns l without the one that is about the same as o, and whether there was one.
func (l overrides) drop(o Override) (overrides, bool) {
	gone := subjectOf(&o)
	left := maps.Clone(l)
	delete(left, gone)
	return left, len(left) != len(l)
}

// count returns how many were asked for with full rights, or without.
func (l overrides) count(limited bool) (n int) {
	for _, o := range l {
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
	return maxOverrides
}

// ofThose says whose quota it is.
func ofThose(limited bool) string {
	if limited {
		return " without full rights"
	}
	return ""
}

// of returns those that endpoints of the backend may be concerned by; nil for none.
func (l overrides) of(backend string) overrides {
	var out overrides
	for s, o := range l {
		if s.backend != "" && s.backend != backend {
			continue
		}
		if out == nil {
			out = overrides{}
		}
		out[s] = o
	}
	return out
}

// find returns the override of that kind for an endpoint, the one of its backend
// before the one for its address; nil for none.
func (l overrides) find(backend string, a netip.AddrPort, kind string) *Override {
	if len(l) == 0 { // as mostly, and this is asked often
		return nil
	}
	return cmp.Or(l[subject{backend, a, kind}], l[subject{"", netip.AddrPortFrom(a.Addr(), 0), kind}])
}

// name reports whether anything is asked of that endpoint, itself.
func (l overrides) name(backend string, a netip.AddrPort) bool {
	return slices.ContainsFunc(OverrideKinds[:], func(kind string) bool { return l[subject{backend, a, kind}] != nil })
}

// expire returns l without those that are over, and these; listed are the endpoints of
// the backends that any is about, sorted: who is there is listed now.
func (l overrides) expire(listed map[string][]discovery.Endpoint, now time.Time) (left, gone overrides) {
	left, gone = overrides{}, overrides{}
	for s, o := range l {
		for backend, eps := range listed {
			if (s.backend == "" || s.backend == backend) && s.isIn(eps) {
				o.Listed = now
			}
		}
		if isOver(o, now) {
			gone[s] = o
		} else {
			left[s] = o
		}
	}
	return left, gone
}

// sorted returns them in an order for people.
func (l overrides) sorted() []Override {
	out := make([]Override, 0, len(l))
	for _, o := range l {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b Override) int {
		return cmp.Or(strings.Compare(a.Backend, b.Backend), strings.Compare(a.Address, b.Address), strings.Compare(a.Kind, b.Kind))
	})
	return out
}

// add returns eps, which are sorted, with the endpoints that operators added to the
// backend, as far as the policy lets them pass: it may be younger than they are.
func (l overrides) add(backend string, eps []discovery.Endpoint, policy discovery.Policy) []discovery.Endpoint {
	var added []discovery.Endpoint
	for s, o := range l {
		if s.kind == OverrideServer && s.backend == backend && !s.isIn(eps) && policy.Check(s.addr) == "" {
			added = append(added, discovery.Endpoint{Addr: s.addr, Name: o.Name})
		}
	}
	if len(added) == 0 {
		return eps
	}
	return discovery.Normalize(slices.Concat(eps, added))
}

// apply returns eps in the states that operators asked for. What a source takes out of
// service they cannot put back.
func (l overrides) apply(backend string, eps []discovery.Endpoint) []discovery.Endpoint {
	if len(l) == 0 {
		return eps
	}
	out := slices.Clone(eps)
	for i, e := range out {
		out[i] = l.applyTo(backend, e)
	}
	return out
}

func (l overrides) applyTo(backend string, e discovery.Endpoint) discovery.Endpoint {
	switch o := l.holds(backend, e.Addr); {
	case o == nil:
	case o.State == StateMaint:
		e.State, e.Reason = discovery.Down, "stopped by an operator"
	case e.State != discovery.Ready:
	case o.Kind == OverrideState:
		e.State, e.Reason = discovery.Drain, "drained by an operator"
	default:
		e.State, e.Reason = discovery.Drain, "weight 0 by an operator"
	}
	return e
}

// holds returns the override that keeps an endpoint from its traffic; nil for none.
func (l overrides) holds(backend string, a netip.AddrPort) *Override {
	if o := l.find(backend, a, OverrideState); o != nil {
		return o
	}
	if o := l.weighs(backend, a); o != nil && isZero(o.Weight) {
		return o
	}
	return nil
}

// reweigh changes the weights of targets as operators want them. initial are the
// weights of the template, by slot.
func (l overrides) reweigh(backend string, targets []slots.Target, initial func(number int) int) {
	if len(l) == 0 {
		return
	}
	for i, t := range targets {
		if !t.Addr.IsValid() {
			continue
		}
		o := l.weighs(backend, t.Addr)
		if o == nil {
			continue
		}
		if w := weightOf(o.Weight, initial(t.Number)); w > 0 {
			targets[i].Weight = w
		}
	}
}

// weighs returns the override that gives an endpoint its weight, the one of its backend
// before the one for its address; nil for none.
func (l overrides) weighs(backend string, a netip.AddrPort) *Override {
	o := l.find(backend, a, OverrideWeight)
	if o != nil && o.Backend != "" {
		return o
	}
	if added := l.find(backend, a, OverrideServer); added != nil && added.Weight != "" {
		return added
	}
	return o
}
