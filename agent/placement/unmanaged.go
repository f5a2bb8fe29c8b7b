package placement

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/slots"
)

// Unmanaged are live addresses at one instance, by slot, that no source has ever listed: they
// are left alone until somebody accepts that they go.
type Unmanaged map[int]netip.AddrPort

// InService are the addresses that take traffic or drain, by slot.
func InService(own []slots.Server) map[int]netip.AddrPort {
	out := map[int]netip.AddrPort{}
	for _, s := range own {
		if s.Class != slots.Maint {
			out[s.Number] = s.Addr
		}
	}
	return out
}

// FindUnmanaged returns the addresses that are in service and may not be removed: owned says
// which may. A template's own address is not one of them.
func FindUnmanaged(own []slots.Server, owned func(netip.AddrPort) bool) Unmanaged {
	out := Unmanaged{}
	placeholder := slots.Placeholder(own)
	for slot, a := range InService(own) {
		if !owned(a) && !slots.IsPlaceholder(a, placeholder) {
			out[slot] = a
		}
	}
	return out
}

// Refresh drops those that are gone, or owned by now, and reports whether there were any.
func (u Unmanaged) Refresh(own []slots.Server, owned func(netip.AddrPort) bool) bool {
	if len(u) == 0 {
		return false
	}
	before, live := len(u), InService(own)
	maps.DeleteFunc(u, func(slot int, a netip.AddrPort) bool { return owned(a) || live[slot] != a })
	return len(u) < before
}

// DropOwned drops those that are owned by now, and reports whether there were any.
func (u Unmanaged) DropOwned(owned func(netip.AddrPort) bool) bool {
	before := len(u)
	maps.DeleteFunc(u, func(_ int, a netip.AddrPort) bool { return owned(a) })
	return len(u) < before
}

// DropTaken drops those whose slot an endpoint had when the state was stored: in the process
// of then, who has it now took it from that, unless it was unmanaged then already.
func (p *Placement) DropTaken(u, then Unmanaged) {
	maps.DeleteFunc(u, func(slot int, a netip.AddrPort) bool { return p.had(slot) && then[slot] != a })
}

// WithoutTaken returns view, of the process of when the state was stored, with the slots out
// of service that somebody took from the endpoint they had: that is to be corrected. What was
// unmanaged then was not taken.
func (p *Placement) WithoutTaken(view []slots.Server, then Unmanaged, owned func(netip.AddrPort) bool) []slots.Server {
	out := view
	for i, s := range view {
		if s.Class != slots.Maint && p.had(s.Number) && !owned(s.Addr) && then[s.Number] != s.Addr {
			if &out[0] == &view[0] {
				out = slices.Clone(view)
			}
			out[i].Class = slots.Maint
		}
	}
	return out
}

// had reports whether an endpoint had the slot when the state was stored.
func (p *Placement) had(slot int) bool {
	for _, number := range p.stored {
		if number == slot {
			return true
		}
	}
	return false
}

// Reserve keeps slots from being used that hold an unmanaged address somewhere.
func (p *Placement) Reserve(u Unmanaged) {
	for i, s := range p.table {
		_, live := u[s.Number]
		p.table[i].Reserved = live && s.Free()
	}
}

// IsMisfit reports whether the sources may be those of another service: of the addresses that
// take traffic none is owned. Servers that HAProxy's check says are all down are no argument.
func IsMisfit(views [][]slots.Server, owned func(netip.AddrPort) bool) bool {
	down := Down(views)
	alive := false
	for _, own := range views {
		placeholder := slots.Placeholder(own)
		for _, s := range own {
			if s.Class != slots.Ready || slots.IsPlaceholder(s.Addr, placeholder) {
				continue
			}
			if owned(s.Addr) {
				return false
			}
			alive = alive || !down(s.Addr)
		}
	}
	return alive
}

// Down returns a function that reports whether HAProxy's check says that an endpoint
// is down, wherever it is.
func Down(views [][]slots.Server) func(netip.AddrPort) bool {
	up, down := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	for _, own := range views {
		for _, s := range own {
			switch {
			case s.Class == slots.Maint:
			case s.Checked && !s.Up:
				down[s.Addr] = true
			default:
				up[s.Addr] = true
			}
		}
	}
	return func(a netip.AddrPort) bool { return down[a] && !up[a] }
}
