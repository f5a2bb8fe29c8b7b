package reconciler

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file ends the sessions of endpoints that left, where that is configured.

// mustKill reports whether s holds sessions of an endpoint that left, which end at that
// time and were not seen to. Only a slot that is out of service has such, also if another
// endpoint waits for it: not one that serves, that drains, that is to do so at this
// address, or that somebody else has.
func (b *backendState) mustKill(s *slots.Server, t *slots.Target) (at time.Time, yes bool) {
	at, left := b.spec.SessionEnds[s.Addr]
	_, external := b.externals[s.Number]
	if !left || external || b.killed[s.Addr].Equal(at) || s.Class != slots.Maint || t == nil || t.Leave ||
		t.Class != slots.Maint && t.Addr == s.Addr {
		return at, false
	}
	return at, s.Sessions != 0
}

// awaitSessions has the sessions read that are to be ended, and forgets those that were
// seen to and are asked for no more.
func (b *backendState) awaitSessions() {
	maps.DeleteFunc(b.killed, func(a netip.AddrPort, _ time.Time) bool { _, asked := b.spec.SessionEnds[a]; return !asked })
	b.eachToKill(func(s *slots.Server, _ time.Time) { b.sessionsPending[s.Number] = true })
}

func (b *backendState) eachToKill(do func(*slots.Server, time.Time)) {
	if len(b.spec.SessionEnds) == 0 || b.spec.ObserveOnly {
		return
	}
	target := slots.FindTarget(b.fitted)
	for i := range b.own {
		if at, yes := b.mustKill(&b.own[i], target(b.own[i].Number)); yes {
			do(&b.own[i], at)
		}
	}
}

// kills returns what ends the sessions whose time is over. What is not known to
// be there is read first.
func (b *backendState) kills(now time.Time) []slots.Change {
	if b.idle() {
		return nil
	}
	var out []slots.Change
	b.eachToKill(func(s *slots.Server, at time.Time) {
		if s.Sessions > 0 && !now.Before(at) {
			out = append(out, slots.Change{Backend: b.spec.Proxy, Slot: s.Name, Number: s.Number, Kind: slots.Shut, From: *s})
		}
	})
	return out
}

// killSessions ends the sessions whose time is over, once for each endpoint that left: what
// came of it is read with the sessions that are left.
func (r *Reconciler) killSessions(ctx context.Context) error {
	var todo batch
	touched := map[string]bool{}
	for name, b := range r.backends {
		if more := b.kills(time.Now()); len(more) > 0 {
			touched[name] = true
			todo.add(name, more...)
		}
	}
	if len(todo.changes) == 0 {
		return nil
	}
	out, err := r.execute(ctx, todo.changes)
	if err != nil {
		return err
	}
	for i, c := range todo.changes {
		name := todo.owners[i]
		b := r.backends[name]
		if b.killed == nil {
			b.killed = map[netip.AddrPort]time.Time{}
		}
		b.killed[c.From.Addr] = b.spec.SessionEnds[c.From.Addr]
		e := Event{Text: "the sessions of an endpoint that left are ended", Backend: name, Slot: c.Slot,
			Detail: c.From.Addr.String() + ", " + strconv.Itoa(c.From.Sessions) + " sessions"}
		if refusal := refusalOf(c, out.Refusals); refusal != nil {
			e.Text, e.Detail, e.Warn = "HAProxy does not end the sessions of an endpoint that left", refusal.Reply, true
		}
		r.event(e)
	}
	r.observe(slices.Sorted(maps.Keys(touched)), out.View)
	return nil
}
