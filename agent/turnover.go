package agent

import (
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// upProof is how long HAProxy's check must have let a server be up: one that comes
// into service counts as up until its first check, which by default is 2 s later.
const upProof = 5 * time.Second

// endTurnover ends the turnover of b once a new endpoint serves, or none can, or the
// time for it is over. It reports whether the targets have to be made anew.
func (b *backend) endTurnover(now time.Time) bool {
	before := b.guard.Published()
	if !b.guard.EndTurnover(len(b.working(b.guard.Incoming(), 0)) > 0, now) {
		return false
	}
	b.startLeaving(before, b.guard.Published(), now)
	return true
}

// proven are the endpoints that were not in the largest set of the last minutes and have
// shown that they work: up for 5 s by HAProxy's check, or without a check in service for the
// time of a turnover, at any instance. They count whether anything is held yet or not: a
// deployment whose batches overlap never has as many again as it began with.
func (b *backend) proven(now time.Time) map[netip.AddrPort]bool {
	return b.working(b.guard.Newcomers(now), max(0, b.guard.Rules().TurnoverWait)) // it may be off
}

// watchesNewcomers reports whether there are endpoints of which it is worth looking whether
// they work, for something stays until they do.
func (b *backend) watchesNewcomers(now time.Time) bool {
	return len(b.guard.Incoming()) > 0 || b.guard.Kind() != "" && len(b.guard.Newcomers(now)) > 0
}

// working are those of the endpoints that any instance sends traffic to: up for upProof,
// or where nobody checks, for that long.
func (b *backend) working(of map[netip.AddrPort]bool, unchecked time.Duration) map[netip.AddrPort]bool {
	if len(of) == 0 {
		return nil
	}
	out := map[netip.AddrPort]bool{}
	for _, own := range b.views() {
		for _, s := range own {
			if !of[s.Addr] || s.Class != slots.Ready {
				continue
			}
			if s.Checked && s.Up && s.Since >= upProof || !s.Checked && s.Since >= unchecked {
				out[s.Addr] = true
			}
		}
	}
	return out
}

// giveWay gives slots of endpoints that are on their way out to new ones, while none of
// those has one: a quarter goes at once. It reports whether any did.
func (b *backend) giveWay(now time.Time) bool {
	incoming := b.guard.Incoming()
	if len(incoming) == 0 || b.placement.HasAny(incoming) {
		return false
	}
	before := b.guard.Published()
	if !b.guard.GiveWay(now) {
		return false
	}
	b.startLeaving(before, b.guard.Published(), now)
	return true
}

// changesOver reports whether endpoints that are on their way out stay besides those that
// come in their place, until a time that is known.
func (b *backend) changesOver(now time.Time) bool {
	if _, turning := b.guard.Turnover(); turning {
		return true
	}
	h, held := b.guard.Hold(now)
	return held && !h.ReleasesAt.IsZero() && b.watchesNewcomers(now)
}
