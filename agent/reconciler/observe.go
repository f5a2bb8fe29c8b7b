package reconciler

import (
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file takes what an instance shows of one backend.

// observe takes what the instance shows of the backend.
func (b *backendState) observe(servers []slots.Server, exists bool, now time.Time) {
	if b.missing = !exists; b.missing {
		b.own, b.problem = nil, ""
		return
	}
	prefix, problem := b.findPrefix(servers)
	if b.problem = problem; problem != "" {
		b.own = nil
		return
	}
	b.prefix, b.ofPredecessor = prefix, false
	if b.found == nil {
		found, _ := slots.FindPrefix(servers)
		b.found = &found
	}
	own := b.ownOf(servers)
	b.mergeSessions(own, now.Sub(b.seen))
	b.own, b.seen = own, now
	b.noteServed()
	if b.problem = unfit(b.spec.Proxy, own); b.resolved || slices.ContainsFunc(own, func(s slots.Server) bool { return s.Resolved }) {
		b.problem = slots.ResolvedWords(b.spec.Proxy)
	}
	b.fitTargets(now)
	b.awaitSessions()
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
