package oracle

import (
	"net/netip"
	"slices"
	"time"
)

// This file judges what goes because an operator accepted it.

// Accepted tells that an operator let these go.
func (o *Oracle) Accepted(at time.Time, backend string, removed []netip.AddrPort) {
	o.keep("Accepted", at, backend, removed)
	b := o.backends[backend]
	if b == nil {
		return
	}
	b.accepting = nil
	for _, a := range removed {
		for _, f := range b.feeds {
			for _, p := range f.parts {
				if state, ok := p.has[a]; ok && !p.now[a] {
					b.accepting = append(b.accepting, entry{p, a, state})
					delete(p.has, a)
				}
			}
		}
	}
	b.reckon(at)
	for _, a := range removed {
		if _, gone := b.gone[a]; gone || !b.listed[a] {
			b.accepted[a] = true
		}
	}
}

// An entry is an endpoint as a part has it.
type entry struct {
	of    *part
	addr  netip.AddrPort
	state string
}

// NotAccepted tells that the agent did not let these go that an operator wanted to.
func (o *Oracle) NotAccepted(at time.Time, backend string, stay []netip.AddrPort) {
	o.keep("NotAccepted", at, backend, stay)
	b := o.backends[backend]
	if b == nil {
		return
	}
	for _, e := range b.accepting {
		if _, known := e.of.has[e.addr]; slices.Contains(stay, e.addr) && !known {
			e.of.has[e.addr] = e.state
		}
	}
	for _, a := range stay {
		delete(b.accepted, a)
	}
	b.reckon(at)
}

// Removed tells which the agent says that it let go for an id, under which those were shown:
// no others.
func (o *Oracle) Removed(at time.Time, backend, id string, shown, removed []netip.AddrPort) {
	o.keep("Removed", at, backend, id, shown, removed)
	for _, a := range removed {
		if !slices.Contains(shown, a) {
			o.wrong(at, "accept", "%s was let go by %s of %s, under which %v was shown", a, id, backend, shown)
		}
	}
}
