package reconciler

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file tells what somebody else took out of service from what the agent did: in HAProxy
// both are maint or drain at the address of an endpoint. What decides is whether the slot was
// in service last, as far as is known, without that the agent took it out since (lastReady).
//
//	who answers                        what was in service last     a slot that is out, and is to be ready
//	the process that is known          it was seen                  somebody's, if it was; else it is filled
//	the same, after a restart of the   it is in the state           the same: what the agent emptied, or had
//	  agent or of the reconciler         directory                    not filled yet, was not in service
//	another process                    nothing                      is filled
//	a process, and nothing is known    its counters tell            somebody's, if it ever had a session and
//	  of the instance                                                 others serve; else it is filled
//
// In the last row what the agent emptied itself, before its state directory was lost, is taken
// for somebody's too: so all of it is only if something else serves.

// judge notes which slots somebody else took out of service, and gave back, and returns the
// names of those. certain is false while commands of unknown outcome may still be executed:
// then nothing that is found out of service is somebody else's doing.
func (b *backendState) judge(certain bool, now time.Time) (taken, given []string) {
	target := slots.FindTarget(b.fitted)
	for i := range b.own {
		s := &b.own[i]
		t := target(s.Number)
		switch e, held := b.externals[s.Number]; {
		case held && s.Addr == e.Addr && s.Class != slots.Ready:
			e.Class, e.Seen = s.Class, true
			b.externals[s.Number] = e
		case held && e.Seen && s.Addr == e.Addr:
			delete(b.externals, s.Number)
			given = append(given, s.Name)
		case certain && t != nil && b.takenByOthers(s, t) && b.spec.Started[s.Addr].After(b.judged):
			delete(b.lastReady, s.Number) // an operator gave it back before it was found
		case certain && t != nil && b.takenByOthers(s, t):
			b.externals[s.Number] = External{Addr: s.Addr, Class: s.Class, Since: now, Seen: true}
			taken = append(taken, s.Name)
		}
		switch {
		case s.Class == slots.Ready && certain:
			b.lastReady[s.Number] = s.Addr
		case s.Class == slots.Ready, b.isUnwanted(s, t):
			delete(b.lastReady, s.Number)
		}
	}
	if certain && !b.spec.ObserveOnly {
		b.judged = b.seen
	}
	return taken, given
}

// takenByOthers reports whether somebody else took s out of service.
func (b *backendState) takenByOthers(s *slots.Server, t *slots.Target) bool {
	return !b.spec.Repair && !b.spec.ObserveOnly && !t.Leave &&
		s.Class != slots.Ready && t.Class == slots.Ready &&
		s.Addr.IsValid() && s.Addr == t.Addr && b.lastReady[s.Number] == s.Addr
}

// isUnwanted reports whether s, which is out of service, is not wanted in it either: whoever
// took it out, it is nobody's doing once it is wanted again.
func (b *backendState) isUnwanted(s *slots.Server, t *slots.Target) bool {
	return !b.spec.ObserveOnly && t != nil && !t.Leave && (t.Addr.IsValid() || !b.spec.OperatedOnly) && (t.Class != slots.Ready || t.Addr != s.Addr)
}

// undecided are the slots that were in service last and are not, of which nothing is decided
// yet: nil for none.
func (b *backendState) undecided() map[int]netip.AddrPort {
	var out map[int]netip.AddrPort
	for i := range b.own {
		s := &b.own[i]
		if _, taken := b.externals[s.Number]; !taken && s.Class != slots.Ready && s.Addr.IsValid() && b.lastReady[s.Number] == s.Addr {
			if out == nil {
				out = map[int]netip.AddrPort{}
			}
			out[s.Number] = s.Addr
		}
	}
	if b.own == nil && len(b.lastReady) > 0 {
		return maps.Clone(b.lastReady) // the instance was not met yet
	}
	return out
}

// asksCounters reports whether the counters of the process have to tell which slots were in
// service: nothing else is known of it, and some are out at an address.
func (b *backendState) asksCounters() bool {
	if !b.stranger || b.own == nil {
		return false
	}
	b.stranger = slots.HasReady(b.own, nil) && slices.ContainsFunc(b.own, func(s slots.Server) bool {
		return s.Class != slots.Ready && !slots.IsPlaceholder(s.Addr, slots.Placeholder(b.own))
	})
	return b.stranger
}

// noteServed takes the counters, if they were read and are asked for.
func (b *backendState) noteServed() {
	if !b.stranger || slices.ContainsFunc(b.own, func(s slots.Server) bool { return s.Sessions < 0 && !s.Off }) {
		return
	}
	for _, s := range b.own {
		if s.Served && s.Class != slots.Ready && s.Addr.IsValid() && slots.HasReady(b.own, nil) {
			b.lastReady[s.Number] = s.Addr
		}
	}
	b.stranger = false
}
