package agent

import (
	"net/netip"
	"time"
)

// This file finds what an id stands for that an operator accepts: a hold of the guard, what is kept
// of a source, or a takeover.

// accept has those go that id stood for when it was shown and that are still not listed:
// of a hold, of what is kept, or of a takeover. It returns them; ok is false if there is
// no such id.
func (b *backend) accept(id string, now time.Time) (gone []netip.AddrPort, ok bool) {
	before := b.guard.Published()
	if gone, ok = b.guard.Accept(id, now); ok {
		b.startLeaving(before, b.guard.Published(), now)
		b.due = b.due || len(gone) > 0
		return gone, true
	}
	if gone, ok = b.acceptKept(id, now); ok {
		return gone, true
	}
	return b.acceptTakeover(id, now)
}

// holdIDs are the ids that can be accepted now.
func (b *backend) holdIDs(now time.Time) []string {
	var out []string
	if h, ok := b.guard.Hold(now); ok {
		out = append(out, h.ID)
	}
	for _, s := range b.keptSets() {
		out = append(out, s.id)
	}
	if len(b.unmanagedOf()) > 0 {
		out = append(out, b.takeoverID())
	}
	return out
}
