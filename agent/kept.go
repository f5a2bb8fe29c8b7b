package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file is about endpoints that are kept: no source lists them, and what listed them
// is not known to be without them.

// maxShownKept bounds the ids of what was kept that are remembered.
const maxShownKept = 64

// A keptSet is what is kept of one part of one source.
type keptSet struct {
	id, source, part, reason string
	since                    time.Time // of the one that is kept longest
	addrs                    []netip.AddrPort
}

// setKept takes what is kept now. What is listed again may have a slot like any other; it
// reports whether any of that had given up its own.
func (b *backend) setKept(kept map[netip.AddrPort]sources.Kept) (back bool) {
	b.kept = kept
	if len(b.shownKept) > maxShownKept {
		b.shownKept = map[string][]netip.AddrPort{}
	}
	for _, s := range b.keptSets() {
		b.shownKept[s.id] = s.addrs
	}
	for a := range b.yielded {
		if _, still := kept[a]; !still {
			delete(b.yielded, a)
			back = true
		}
	}
	return back
}

// keptSets returns what is kept, by source and part.
func (b *backend) keptSets() []keptSet {
	type key struct{ source, part string }
	sets := map[key]*keptSet{}
	for a, k := range b.kept {
		at := key{k.Source, k.Part}
		if f := b.feed(k.Source); f != nil && f.failing != nil { // all of it, for one reason
			at.part = ""
		}
		s := sets[at]
		if s == nil {
			s = &keptSet{source: at.source, part: at.part, reason: k.Reason, since: k.Since}
			sets[at] = s
		}
		s.addrs = append(s.addrs, a)
		if k.Since.Before(s.since) {
			s.since = k.Since
		}
	}
	out := make([]keptSet, 0, len(sets))
	for _, s := range sets {
		slices.SortFunc(s.addrs, netip.AddrPort.Compare)
		s.id = guard.ID("k", s.addrs)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y keptSet) int { return cmp.Or(cmp.Compare(x.source, y.source), cmp.Compare(x.part, y.part)) })
	return out
}

// acceptKept ends what is kept under id.
func (b *backend) acceptKept(id string, checked bool, now time.Time) (gone []netip.AddrPort, ok bool) {
	shown, ok := b.shownKept[id]
	if !ok {
		return nil, false
	}
	for _, f := range b.feeds {
		if accepted := f.known.Accept(shown, now); len(accepted) > 0 {
			discovery.Accept(f.Source)
			gone = append(gone, accepted...)
		}
	}
	before := b.guard.Published()
	b.reevaluate(judgement{checked: checked}, now)
	b.guard.AcceptThese(gone, now) // what is accepted is not held for being many
	b.startLeaving(before, b.guard.Published(), now)
	b.due = true
	slices.SortFunc(gone, netip.AddrPort.Compare)
	return slices.Compact(gone), true
}

func (b *backend) feed(name string) *feed {
	i := slices.IndexFunc(b.feeds, func(f *feed) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return b.feeds[i]
}

// makeYield has kept endpoints give their slots to n that are listed and have none:
// those for which may holds, the one that is kept longest first. It reports whether any
// did.
func (b *backend) makeYield(n int, may func(netip.AddrPort) bool) bool {
	var victims []netip.AddrPort
	for _, s := range b.table {
		if _, kept := b.kept[s.Endpoint.Addr]; !s.Free() && kept && may(s.Endpoint.Addr) {
			victims = append(victims, s.Endpoint.Addr)
		}
	}
	slices.SortFunc(victims, func(x, y netip.AddrPort) int {
		return cmp.Or(b.kept[x].Since.Compare(b.kept[y].Since), x.Compare(y))
	})
	for _, a := range victims[:min(n, len(victims))] {
		b.yielded[a] = true
	}
	return len(victims) > 0
}

// takeBack lets as many kept endpoints that gave their slots up have one as are free by
// now, the one that is kept for the shortest time first. It reports whether any may.
func (b *backend) takeBack() bool {
	free := 0
	for _, s := range b.table {
		if s.Free() && !s.Reserved {
			free++
		}
	}
	if free == 0 || len(b.yielded) == 0 {
		return false
	}
	back := slices.SortedFunc(maps.Keys(b.yielded), func(x, y netip.AddrPort) int {
		return cmp.Or(b.kept[y].Since.Compare(b.kept[x].Since), x.Compare(y))
	})
	for _, a := range back[:min(free, len(back))] {
		delete(b.yielded, a)
	}
	return true
}

// downAt returns a function that reports whether HAProxy's check says that an endpoint
// is down, wherever it is.
func (c *core) downAt(b *backend) func(netip.AddrPort) bool {
	up, down := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	for _, own := range c.views(b) {
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

// partKept splits eps in those that are listed and those that are only kept, which do
// without a slot if none can be had.
func (b *backend) partKept(eps []discovery.Endpoint) (listed, kept []discovery.Endpoint) {
	if len(b.kept) == 0 {
		return eps, nil
	}
	for _, e := range eps {
		if _, only := b.kept[e.Addr]; only {
			kept = append(kept, e)
		} else {
			listed = append(listed, e)
		}
	}
	return listed, kept
}

// withoutYielded returns those of eps that did not give their slot away.
func (b *backend) withoutYielded(eps []discovery.Endpoint) []discovery.Endpoint {
	if len(b.yielded) == 0 {
		return eps
	}
	return slices.DeleteFunc(slices.Clone(eps), func(e discovery.Endpoint) bool { return b.yielded[e.Addr] })
}

// anySlot lets every kept endpoint give way.
func anySlot(netip.AddrPort) bool { return true }
