package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file ends the sessions of endpoints that left, where that is configured.

// dropReused forgets when to end the sessions of endpoints whose address no slot of b
// has any more.
func (c *core) dropReused(b *backend) {
	if len(b.ends) == 0 {
		return
	}
	has := map[netip.AddrPort]bool{}
	for _, s := range b.table {
		has[s.Endpoint.Addr], has[s.Last] = true, true
	}
	for _, own := range c.views(b) {
		for _, s := range own {
			has[s.Addr] = true
		}
	}
	maps.DeleteFunc(b.ends, func(a netip.AddrPort, _ time.Time) bool { return !has[a] })
}

// ends reports whether s holds sessions of an endpoint that left, which end at that
// time and were not seen to. Only a slot that is out of service has such, also if another
// endpoint waits for it: not one that serves, that drains, that is to do so at this
// address, or that somebody else has.
func (l *local) ends(s *slots.Server, t *slots.Target) (at time.Time, yes bool) {
	at, left := l.want.ends[s.Addr]
	_, external := l.externals[s.Number]
	if !left || external || l.ended[s.Addr].Equal(at) || s.Class != slots.Maint || t == nil || t.Leave ||
		t.Class != slots.Maint && t.Addr == s.Addr {
		return at, false
	}
	return at, s.Sessions != 0
}

// awaitEnds has the sessions read that are to be ended, and forgets those that were
// seen to and are asked for no more.
func (l *local) awaitEnds() {
	maps.DeleteFunc(l.ended, func(a netip.AddrPort, _ time.Time) bool { _, asked := l.want.ends[a]; return !asked })
	l.eachEnd(func(s *slots.Server, _ time.Time) { l.ebbing[s.Number] = true })
}

func (l *local) eachEnd(do func(*slots.Server, time.Time)) {
	if len(l.want.ends) == 0 || l.want.quiet {
		return
	}
	target := finder(l.fitted, targetNumber)
	for i := range l.own {
		if at, yes := l.ends(&l.own[i], target(l.own[i].Number)); yes {
			do(&l.own[i], at)
		}
	}
}

// overdue returns what ends the sessions whose time is over. What is not known to
// be there is read first.
func (l *local) overdue(now time.Time) []slots.Change {
	if l.idle() {
		return nil
	}
	var out []slots.Change
	l.eachEnd(func(s *slots.Server, at time.Time) {
		if s.Sessions > 0 && !now.Before(at) {
			out = append(out, slots.Change{Backend: l.want.proxy, Slot: s.Name, Number: s.Number, Kind: slots.Shut, From: *s})
		}
	})
	return out
}

// shut ends the sessions whose time is over, once for each endpoint that left: what
// came of it is read with the sessions that are left.
func (w *worker) shut(ctx context.Context) error {
	var b batch
	touched := map[string]bool{}
	for name, l := range w.locals {
		if more := l.overdue(time.Now()); len(more) > 0 {
			touched[name] = true
			b.add(name, more...)
		}
	}
	if len(b.changes) == 0 {
		return nil
	}
	out, err := w.conn.Apply(ctx, w.process, b.changes)
	w.counts, w.said = append(w.counts, out.Commands...), append(w.said, out.Exchanges...)
	if err != nil {
		return err
	}
	for i, c := range b.changes {
		name := b.owners[i]
		l := w.locals[name]
		if l.ended == nil {
			l.ended = map[netip.AddrPort]time.Time{}
		}
		l.ended[c.From.Addr] = l.want.ends[c.From.Addr]
		w.noteShut(name, c, out.Refusals)
	}
	w.observe(slices.Sorted(maps.Keys(touched)), out.View)
	return nil
}

// noteShut says what came of the end of the sessions of one slot.
func (w *worker) noteShut(backend string, c slots.Change, refusals []slots.Refusal) {
	i := slices.IndexFunc(refusals, func(r slots.Refusal) bool { return r.Change.Backend == c.Backend && r.Change.Slot == c.Slot })
	if i >= 0 {
		w.note(note{text: "HAProxy does not end the sessions of an endpoint that left", backend: backend, slot: c.Slot, detail: refusals[i].Reply, warn: true})
		return
	}
	w.note(note{text: "the sessions of an endpoint that left are ended", backend: backend, slot: c.Slot,
		detail: c.From.Addr.String() + ", " + itoa(c.From.Sessions) + " sessions"})
}
