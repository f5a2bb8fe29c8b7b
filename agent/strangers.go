package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file finds the addresses that no feed may remove.

// judge finds the strangers of b at instances that have not been judged, drops
// those that are gone, or that the source lists or an operator added by now, and returns the slots
// that are theirs, with the address.
func (c *core) judge(b *backend) map[string]netip.AddrPort {
	out := map[string]netip.AddrPort{}
	for _, in := range c.of(b) {
		own := in.last.backends[b.Name].own
		if own == nil {
			continue
		}
		if !in.judged[b.Name] && b.heard {
			in.judged[b.Name] = true
			in.strangers[b.Name] = b.strangers(own)
		}
		if len(in.strangers[b.Name]) == 0 {
			continue
		}
		live := inService(own)
		maps.DeleteFunc(in.strangers[b.Name], func(slot string, a netip.AddrPort) bool {
			return b.owns(a) || live[slot] != a
		})
		maps.Copy(out, in.strangers[b.Name])
	}
	return out
}

// strangers returns the addresses that are in service and that the source never
// named. A template's own address is not one of them.
func (b *backend) strangers(own []slots.Server) map[string]netip.AddrPort {
	out := map[string]netip.AddrPort{}
	placeholder := slots.Placeholder(own)
	for slot, a := range inService(own) {
		if !b.owns(a) && !slots.IsPlaceholder(a, placeholder) {
			out[slot] = a
		}
	}
	return out
}

// owns reports whether a is a feed's to remove, or an operator's who adds it or did.
func (b *backend) owns(a netip.AddrPort) bool {
	_, added := b.added[a]
	return added || b.disposes(a) || b.overrides.find(b.Name, a, OverrideServer) != nil
}

func inService(own []slots.Server) map[string]netip.AddrPort {
	out := map[string]netip.AddrPort{}
	for _, s := range own {
		if s.Class != slots.Maint {
			out[s.Name] = s.Addr
		}
	}
	return out
}

// reserve keeps slots from being used that hold a stranger somewhere.
func (b *backend) reserve(taken map[string]netip.AddrPort) {
	for i, s := range b.table {
		_, strange := taken[s.Name]
		b.table[i].Reserved = strange && s.Free()
	}
}

// accept ends every hold of b, and reports whether there was one.
func (c *core) accept(b *backend, now time.Time) bool {
	before := b.guard.published
	held := b.guard.accept(now)
	if held {
		b.part(before, b.guard.published, now)
	}
	for _, in := range c.of(b) {
		for _, a := range in.strangers[b.Name] {
			b.feeds[0].listed[a] = now
			held = true
		}
		delete(in.strangers, b.Name)
	}
	b.due = b.due || held
	return held
}

// strangersOf returns the strangers of b over all instances, sorted.
func (c *core) strangersOf(b *backend) []string {
	all := map[string]bool{}
	for _, in := range c.of(b) {
		for _, a := range in.strangers[b.Name] {
			all[a.String()] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
