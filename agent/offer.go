package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

// This file puts together what the feeds of a backend say, and offers it to the guard.

// Evidence is what the loop knows besides what the feeds say when they are put together.
type evidence struct {
	proven map[netip.AddrPort]bool // newcomers that work
	// confirms is what the strongest read there is, just made, says of an endpoint; nil: none
	// was made.
	confirms func(netip.AddrPort) guard.Says
}

// reevaluate puts together what the feeds say now, offers it to the guard, and returns
// whether the targets have to be made anew. Nothing is, before a feed that is used has
// answered in this process.
func (b *backend) reevaluate(with evidence, now time.Time) bool {
	c := sources.Combine(b.contributions(), b.Failover, b.at, now)
	b.at, b.nextTransition = c.At, c.Due
	answered := false
	for i, f := range b.feeds {
		f.used = c.Used[i]
		answered = answered || f.used && !f.answered.IsZero()
	}
	back := b.setKept(c.Set.Kept)
	first := !b.answered
	if first && !answered {
		return false
	}
	b.phase, b.answered, b.operated = phaseLive, true, nil
	isKept := make(map[netip.AddrPort]bool, len(b.kept))
	for a := range b.kept {
		isKept[a] = true
	}
	before := b.guard.Published()
	changed := b.guard.Offer(guard.Offer{
		Set: c.Set.Endpoints, Kept: isKept, Proven: with.proven, Silent: b.silent, Confirms: with.confirms,
		KeepUnhealthy: b.OnAllUnhealthy == KeepUnhealthy || b.OnAllUnhealthy == "" && b.checks(),
	}, now)
	if changed {
		b.startLeaving(before, b.guard.Published(), now)
	}
	settled := b.settleExpired()
	return changed || first || back || settled || b.claims()
}

// settleExpired takes those of b.expired out that are listed again, and all once every source has
// answered: it reports whether that was so.
func (b *backend) settleExpired() bool {
	if len(b.expired) == 0 {
		return false
	}
	for _, e := range b.guard.Published() {
		delete(b.expired, e.Addr)
	}
	settled := len(b.unanswered()) == 0
	if settled {
		b.expired = nil
	}
	return settled
}

// claims reports whether any of what no source had ever listed is a feed's now.
func (b *backend) claims() bool {
	return slices.ContainsFunc(b.served, func(in *instance) bool {
		for _, a := range in.at(b.Name).unmanaged {
			if b.owns(a) {
				return true
			}
		}
		return false
	})
}

func (b *backend) contributions() []sources.Contribution {
	out := make([]sources.Contribution, len(b.feeds))
	for i, f := range b.feeds {
		out[i] = sources.Contribution{Name: f.Name, Set: f.known.Set(), Failing: f.failing != nil}
	}
	return out
}

// acceptKept ends what is kept under id.
func (b *backend) acceptKept(id string, now time.Time) (gone []netip.AddrPort, ok bool) {
	shown, ok := b.shownKept[id]
	if !ok {
		return nil, false
	}
	for _, f := range b.feeds {
		accepted := f.known.Accept(shown, now)
		gone = append(gone, accepted...)
		if len(accepted) > 0 && len(f.known.Set().Kept) == 0 { // else some of what it lacks was not shown
			f.accepted = discovery.Accept(f.Source)
		}
	}
	before := b.guard.Published()
	if b.reevaluate(evidence{}, now); !b.answered {
		b.guard.Withdraw(gone)
		b.operated = with(b.operated, gone)
	}
	b.guard.AcceptThese(gone, now) // what is accepted is not held for being many
	b.startLeaving(before, b.guard.Published(), now)
	b.due = true
	slices.SortFunc(gone, netip.AddrPort.Compare)
	return slices.Compact(gone), true
}

// with is set and these in it.
func with(set map[netip.AddrPort]bool, addrs []netip.AddrPort) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	maps.Copy(out, set)
	for _, a := range addrs {
		out[a] = true
	}
	return out
}
