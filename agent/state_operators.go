package agent

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// overrides returns the stored ones that could have been asked for.
func (s stored) overrides() overrides {
	out, n := overrides{}, map[bool]int{}
	for _, o := range s.Overrides {
		if n[o.Limited]++; isValid(&o) && n[o.Limited] <= quotaOf(o.Limited) {
			o.By, o.Reason, o.Name = discovery.Printable(o.By, 100), discovery.Printable(o.Reason, 200), discovery.Printable(o.Name, 100)
			out[subjectOf(&o)] = &o
		}
	}
	return out
}

// isValid reports whether o could have been asked for.
func isValid(o *Override) bool {
	addr := subjectOf(o).addr
	if o.Backend == "" {
		addr = netip.AddrPortFrom(addr.Addr(), 1)
	}
	if discovery.Check(addr) != "" {
		return false
	}
	switch o.Kind {
	case OverrideState:
		return o.State == StateDrain || o.State == StateMaint
	case OverrideWeight:
		return CheckWeight(o.Weight) == nil
	case OverrideServer:
		return o.Backend != "" && (o.Weight == "" || CheckWeight(o.Weight) == nil)
	}
	return false
}

// pauses returns the stored ones that are not over.
func (s stored) pauses(now time.Time) pauses {
	out := pauses{}
	for _, p := range s.Pauses[:min(len(s.Pauses), maxOverrides)] {
		p.By, p.Reason = discovery.Printable(p.By, 100), discovery.Printable(p.Reason, 200)
		out[p.Backend] = p
	}
	out.expire(now)
	return out
}

// sorted returns the pauses by backend.
func (p pauses) sorted() []Pause {
	out := []Pause{}
	for _, x := range p {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Pause) int { return strings.Compare(a.Backend, b.Backend) })
	return out
}
