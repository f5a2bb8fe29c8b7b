package agent

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
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
	return b.placement.EndYield(b.keptSince)
}

// keptSince says since when an endpoint is kept, if it is.
func (b *backend) keptSince(a netip.AddrPort) (since time.Time, is bool) {
	k, is := b.kept[a]
	return k.Since, is
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
