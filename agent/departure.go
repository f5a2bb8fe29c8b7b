package agent

import (
	"maps"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file has endpoints leave, and says which of a backend there are.

// startLeaving lets endpoints leave that are not published any more, unless an operator added
// them.
func (b *backend) startLeaving(before, after []discovery.Endpoint, now time.Time) {
	b.startDraining(b.overrides.WithAdded(b.Name, before, b.Policy), b.overrides.WithAdded(b.Name, after, b.Policy), now)
}

// setOverrides puts other overrides in force. What an operator does not want to be there
// any more leaves like any endpoint.
func (b *backend) setOverrides(next override.Set, now time.Time) {
	before := b.overrides.WithAdded(b.Name, b.guard.Published(), b.Policy)
	maps.DeleteFunc(b.added, func(_ netip.AddrPort, at time.Time) bool { return now.Sub(at) >= override.Linger })
	for k := range b.overrides {
		if k.Kind == api.OverrideServer && next[k] == nil && len(b.added) < override.Max {
			b.added[k.Addr] = now
		}
	}
	b.noteOperated(next)
	b.overrides, b.due = next, true
	b.startDraining(before, next.WithAdded(b.Name, b.guard.Published(), b.Policy), now)
}

// noteOperated notes which endpoints overrides are about, for as long as the stored set is
// all that is known. Those of overrides that ended stay noted: they have to be put back.
func (b *backend) noteOperated(next override.Set) {
	if b.phase != phaseRestored {
		return
	}
	operated := map[netip.AddrPort]bool{}
	maps.Copy(operated, b.operated)
	for k := range next {
		if k.Addr.Port() != 0 {
			operated[k.Addr] = true // it may be one that was added
		}
		for _, e := range b.guard.Published() {
			if k.Concerns(b.Name, e.Addr) {
				operated[e.Addr] = true
			}
		}
	}
	b.operated = operated
}

// setRules puts other rules in force. What an operator added and they do not let pass leaves
// like any endpoint.
func (b *backend) setRules(next Backend, now time.Time) {
	before := b.overrides.WithAdded(b.Name, b.guard.Published(), b.Policy)
	b.Backend = next
	b.guard.SetRules(next.Guard)
	for _, f := range b.feeds {
		f.known.SetPolicy(next.Policy, now)
	}
	b.startDraining(before, b.overrides.WithAdded(b.Name, b.guard.Published(), b.Policy), now)
}

// startDraining starts the drain of endpoints that stopped being ready, and sets when their
// sessions end, where the backend is configured so.
func (b *backend) startDraining(before, after []discovery.Endpoint, now time.Time) {
	next := discovery.ByAddr(after)
	for a, e := range next {
		if e.State != discovery.Down {
			delete(b.leaving, a)
			delete(b.sessionEnds, a)
		}
	}
	for _, e := range before {
		left, still := next[e.Addr]
		if e.State == discovery.Down || still && left.State != discovery.Down {
			continue
		}
		if b.Leave == slots.Drain {
			b.leaving[e.Addr] = leaving{e, now.Add(b.Drain)}
		}
		if b.Shutdown {
			b.sessionEnds[e.Addr] = now.Add(b.Drain)
		}
	}
}

// ending returns when sessions are to be ended, for those who write; nil if none
// are.
func (b *backend) ending() map[netip.AddrPort]time.Time {
	if !b.Shutdown || len(b.sessionEnds) == 0 {
		return nil
	}
	return maps.Clone(b.sessionEnds)
}

// removed returns the addresses that drain although no source lists them any
// more.
func (b *backend) removed() map[netip.AddrPort]bool {
	there := discovery.ByAddr(b.guard.Published())
	out := map[netip.AddrPort]bool{}
	for a := range b.leaving {
		if _, ok := there[a]; !ok {
			out[a] = true
		}
	}
	return out
}

// dropReclaimed ends the drains of those that have no slot any more.
func (b *backend) dropReclaimed() {
	holds := map[netip.AddrPort]bool{}
	for _, s := range b.placement.Table() {
		holds[s.Endpoint.Addr] = true
	}
	maps.DeleteFunc(b.leaving, func(a netip.AddrPort, _ leaving) bool { return !holds[a] && b.removed()[a] })
}

// expireDrains ends the drains that are over and returns whether any was.
func (b *backend) expireDrains(now time.Time) bool {
	if len(b.leaving) == 0 {
		return false
	}
	before := len(b.leaving)
	maps.DeleteFunc(b.leaving, func(_ netip.AddrPort, l leaving) bool { return !now.Before(l.Until) })
	return len(b.leaving) != before
}

// wanted returns the endpoints that should have a slot now, as operators want them.
func (b *backend) wanted() []discovery.Endpoint {
	return b.overrides.Apply(b.Name, b.remaining())
}

// known returns the endpoints that are in force, wanted, or known of a source, whether they have a slot
// or not, also of one that stands by: several lists, each sorted.
func (b *backend) known() [][]discovery.Endpoint {
	out := [][]discovery.Endpoint{b.wanted(), b.guard.Published()}
	for _, f := range b.feeds {
		out = append(out, f.known.Set().Endpoints)
	}
	return out
}

// remaining returns the endpoints that are published or added, and those that are
// leaving.
func (b *backend) remaining() []discovery.Endpoint {
	listed := b.overrides.WithAdded(b.Name, b.placement.WithoutYielded(b.guard.Published()), b.Policy)
	if len(b.leaving) == 0 {
		return listed
	}
	out := make([]discovery.Endpoint, 0, len(listed)+len(b.leaving))
	there := discovery.ByAddr(listed)
	for _, e := range listed {
		if _, ok := b.leaving[e.Addr]; ok {
			e.State, e.Reason = discovery.Drain, "leaving"
		}
		out = append(out, e)
	}
	for a, l := range b.leaving {
		if _, ok := there[a]; !ok {
			e := l.Endpoint
			e.State, e.Reason = discovery.Drain, "leaving"
			out = append(out, e)
		}
	}
	return discovery.Normalize(out)
}

// dropReused forgets when to end the sessions of endpoints whose address no slot of b
// has any more.
func (b *backend) dropReused() {
	if len(b.sessionEnds) == 0 {
		return
	}
	has := map[netip.AddrPort]bool{}
	for _, s := range b.placement.Table() {
		has[s.Endpoint.Addr], has[s.Last] = true, true
	}
	for _, own := range b.views() {
		for _, s := range own {
			has[s.Addr] = true
		}
	}
	maps.DeleteFunc(b.sessionEnds, func(a netip.AddrPort, _ time.Time) bool { return !has[a] })
}
