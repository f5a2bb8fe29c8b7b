package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file finds the addresses that no feed may remove.

// holdTakeover is the kind of hold of live addresses that no source has ever listed.
const holdTakeover = "takeover"

// judge finds the unmanaged addresses of b at instances where they were not looked for,
// drops those that are gone, or that the source lists or an operator added by now, and
// returns the slots that they have anywhere, with the address.
func (c *core) judge(b *backend) map[int]netip.AddrPort {
	out := map[int]netip.AddrPort{}
	for _, in := range c.of(b) {
		at := in.at(b.Name)
		if at.Own == nil || at.Problem != "" {
			continue
		}
		if !at.judged && b.heard {
			at.judged = true
			at.unmanaged = b.findUnmanaged(at.Own)
			if in.continued {
				maps.DeleteFunc(at.unmanaged, func(slot int, _ netip.AddrPort) bool { return b.had(slot) })
			}
		}
		if len(at.unmanaged) == 0 {
			continue
		}
		live := inService(at.Own)
		maps.DeleteFunc(at.unmanaged, func(slot int, a netip.AddrPort) bool {
			return b.owns(a) || live[slot] != a
		})
		maps.Copy(out, at.unmanaged)
	}
	return out
}

// findUnmanaged returns the addresses that are in service and that the source never
// named. A template's own address is not one of them.
func (b *backend) findUnmanaged(own []slots.Server) map[int]netip.AddrPort {
	out := map[int]netip.AddrPort{}
	placeholder := slots.Placeholder(own)
	for slot, a := range inService(own) {
		if !b.owns(a) && !slots.IsPlaceholder(a, placeholder) {
			out[slot] = a
		}
	}
	return out
}

// had reports whether an endpoint had the slot when the state was stored: in the process
// of then, who has it now took it from that.
func (b *backend) had(slot int) bool {
	for _, number := range b.prefer {
		if number == slot {
			return true
		}
	}
	return false
}

// viewsToAdopt are the views of b, in which a slot that somebody took from the endpoint it
// had is out of service: that is to be corrected.
func (c *core) viewsToAdopt(b *backend) [][]slots.Server {
	var out [][]slots.Server
	for _, in := range c.of(b) {
		r := in.at(b.Name)
		if r.Own == nil || r.Problem != "" {
			continue
		}
		view := r.Usable
		for i, s := range r.Usable {
			if in.continued && s.Class != slots.Maint && b.had(s.Number) && !b.owns(s.Addr) {
				if &view[0] == &r.Usable[0] {
					view = slices.Clone(view)
				}
				view[i].Class = slots.Maint
			}
		}
		out = append(out, view)
	}
	return out
}

// owns reports whether a is a feed's to remove, or an operator's who adds it or did.
func (b *backend) owns(a netip.AddrPort) bool {
	_, added := b.added[a]
	return added || b.mayRemove(a) || b.overrides.find(b.Name, a, OverrideServer) != nil
}

func inService(own []slots.Server) map[int]netip.AddrPort {
	out := map[int]netip.AddrPort{}
	for _, s := range own {
		if s.Class != slots.Maint {
			out[s.Number] = s.Addr
		}
	}
	return out
}

// reserve keeps slots from being used that hold an unmanaged address somewhere.
func (b *backend) reserve(unmanaged map[int]netip.AddrPort) {
	for i, s := range b.table {
		_, live := unmanaged[s.Number]
		b.table[i].Reserved = live && s.Free()
	}
}

// misfits reports whether the sources may be those of another service: they list none
// of the addresses that take traffic, and never did. Servers that HAProxy's check says
// are all down are no argument.
func (c *core) misfits(b *backend, unmanaged map[int]netip.AddrPort) bool {
	if len(unmanaged) == 0 {
		return false
	}
	listed := discovery.ByAddr(b.guard.Published())
	down := c.downAt(b)
	alive := false
	for _, own := range c.views(b) {
		placeholder := slots.Placeholder(own)
		for _, s := range own {
			if s.Class != slots.Ready || slots.IsPlaceholder(s.Addr, placeholder) {
				continue
			}
			if _, ok := listed[s.Addr]; ok || b.owns(s.Addr) {
				return false
			}
			alive = alive || !down(s.Addr)
		}
	}
	return alive
}

// takeoverID is the id under which the unmanaged addresses of b can be accepted.
func (c *core) takeoverID(b *backend) string { return guard.ID("t", c.unmanagedOf(b)) }

// accept has those go that id stood for when it was shown and that are still not listed:
// of a hold, of what is kept, or of a takeover. It returns them; ok is false if there is
// no such id.
func (c *core) accept(b *backend, id string, now time.Time) (gone []netip.AddrPort, ok bool) {
	before := b.guard.Published()
	if gone, ok = b.guard.Accept(id, now); ok {
		b.startLeaving(before, b.guard.Published(), now)
		b.due = b.due || len(gone) > 0
		return gone, true
	}
	if gone, ok = b.acceptKept(id, c.checks(b), now); ok {
		return gone, true
	}
	if len(c.unmanagedOf(b)) == 0 || id != c.takeoverID(b) {
		return nil, false
	}
	gone = c.unmanagedOf(b)
	b.feeds[0].known.AddListed(gone, now)
	for _, in := range c.of(b) {
		in.at(b.Name).unmanaged = nil
	}
	b.due = true
	return gone, true
}

// holdIDs are the ids that can be accepted now.
func (c *core) holdIDs(b *backend, now time.Time) []string {
	var out []string
	if h, ok := b.guard.Hold(now); ok {
		out = append(out, h.ID)
	}
	for _, s := range b.keptSets() {
		out = append(out, s.id)
	}
	if len(c.unmanagedOf(b)) > 0 {
		out = append(out, c.takeoverID(b))
	}
	return out
}

// unmanagedOf returns the unmanaged addresses of b over all instances, sorted.
func (c *core) unmanagedOf(b *backend) []netip.AddrPort {
	all := map[netip.AddrPort]bool{}
	for _, in := range c.of(b) {
		for _, a := range in.at(b.Name).unmanaged {
			all[a] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), netip.AddrPort.Compare)
}
