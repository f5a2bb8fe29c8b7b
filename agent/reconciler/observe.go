package reconciler

import (
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file takes what an instance shows of one backend.

// observe takes what the instance shows of the backend. certain is false while
// commands of unknown outcome may still be executed: then nothing that is found
// out of service is somebody else's doing. It returns the names of the slots that
// somebody took out and of those that somebody gave back.
func (b *backendState) observe(servers []slots.Server, exists, certain bool, now time.Time) (taken, given []string) {
	if b.missing = !exists; b.missing {
		b.own, b.problem = nil, ""
		return nil, nil
	}
	prefix, problem := b.findPrefix(servers)
	if b.problem = problem; problem != "" {
		b.own = nil
		return nil, nil
	}
	b.prefix, b.ofPredecessor = prefix, false
	if b.found == nil {
		found, _ := slots.FindPrefix(servers)
		b.found = &found
	}
	own := b.ownOf(servers)
	b.mergeSessions(own, now.Sub(b.seen))
	b.own, b.seen = own, now
	if b.problem = unfit(b.spec.Proxy, own); b.resolved || slices.ContainsFunc(own, func(s slots.Server) bool { return s.Resolved }) {
		b.problem = slots.ResolvedWords(b.spec.Proxy)
	}
	b.fitTargets(now)
	b.awaitSessions()
	target := slots.FindTarget(b.fitted)
	for i := range own {
		s := &own[i]
		t := target(s.Number)
		switch e, held := b.externals[s.Number]; {
		case held && s.Addr == e.Addr && s.Class != slots.Ready:
			e.Class, e.Seen = s.Class, true
			b.externals[s.Number] = e
		case held && e.Seen && s.Addr == e.Addr:
			delete(b.externals, s.Number)
			given = append(given, s.Name)
		case certain && t != nil && b.takenByOthers(s, t):
			b.externals[s.Number] = External{Addr: s.Addr, Class: s.Class, Since: now, Seen: true}
			taken = append(taken, s.Name)
		}
		if s.Class == slots.Ready && certain {
			b.lastReady[s.Number] = s.Addr
		} else if s.Class == slots.Ready {
			delete(b.lastReady, s.Number)
		}
	}
	return taken, given
}

// ownOf returns the slots among servers. Where servers are not added, none was; one that
// stands for a slot in the template of another instance stays, like that.
func (b *backendState) ownOf(servers []slots.Server) []slots.Server {
	own := slots.Own(servers, b.prefix)
	target := slots.FindTarget(b.spec.Targets)
	for i := range own {
		if own[i].Dynamic {
			t := target(own[i].Number)
			own[i].Dynamic = b.spec.Dynamic && (t == nil || t.Dynamic)
		}
	}
	return own
}

// quickCheck takes servers if they are as they were seen last, but for what changes
// by itself, and reports whether they are.
func (b *backendState) quickCheck(servers []slots.Server, now time.Time) bool {
	own := b.ownOf(servers)
	same := slices.EqualFunc(own, b.own, func(a, b slots.Server) bool {
		return a.Name == b.Name && a.Addr == b.Addr && a.Class == b.Class && (a.Weight == b.Weight || a.Agent) && a.AgentOn == b.AgentOn
	})
	if same {
		b.mergeSessions(own, now.Sub(b.seen))
		b.own, b.seen = own, now
	}
	return same
}

// takenByOthers reports whether somebody else took s out of service.
func (b *backendState) takenByOthers(s *slots.Server, t *slots.Target) bool {
	return !b.spec.Repair && !b.spec.ObserveOnly && !t.Leave &&
		s.Class != slots.Ready && t.Class == slots.Ready &&
		s.Addr.IsValid() && s.Addr == t.Addr && b.lastReady[s.Number] == s.Addr
}

// mergeSessions keeps what is known about sessions since the last look, so long ago: a
// slot in maintenance that has none gets none, unless it was in service in
// between. HAProxy's clock for that has whole seconds.
func (b *backendState) mergeSessions(own []slots.Server, ago time.Duration) {
	before := slots.FindServer(b.own)
	for i := range own {
		s := &own[i]
		was := before(s.Number)
		quiet := s.Since > ago || ago < time.Second
		if was != nil && quiet && was.Class == slots.Maint && was.Sessions == 0 &&
			s.Sessions < 0 && s.Class == slots.Maint && was.Addr == s.Addr {
			s.Sessions = 0
		}
		if s.Sessions == 0 || s.Class == slots.Ready {
			delete(b.sessionsPending, s.Number)
		}
	}
}
