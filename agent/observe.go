package agent

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
func (l *local) observe(servers []slots.Server, exists, certain bool, now time.Time) (taken, given []string) {
	if l.lacking = !exists; l.lacking {
		l.own, l.problem = nil, ""
		return nil, nil
	}
	prefix, problem := l.findPrefix(servers)
	if l.problem = problem; problem != "" {
		l.own = nil
		return nil, nil
	}
	l.prefix, l.inherited = prefix, false
	if l.found == nil {
		found, _ := slots.FindPrefix(servers)
		l.found = &found
	}
	own := l.ownOf(servers)
	l.carry(own, now.Sub(l.seen))
	l.own, l.seen = own, now
	if l.problem = unfit(l.want.proxy, own); l.resolved || slices.ContainsFunc(own, func(s slots.Server) bool { return s.Resolved }) {
		l.problem = slots.ResolvedWords(l.want.proxy)
	}
	l.refit(now)
	l.awaitEnds()
	target := finder(l.fitted, targetNumber)
	for i := range own {
		s := &own[i]
		t := target(s.Number)
		switch e, held := l.externals[s.Number]; {
		case held && s.Addr == e.Addr && s.Class != slots.Ready:
			e.Class, e.Seen = s.Class, true
			l.externals[s.Number] = e
		case held && e.Seen && s.Addr == e.Addr:
			delete(l.externals, s.Number)
			given = append(given, s.Name)
		case certain && t != nil && l.takenOut(s, t):
			l.externals[s.Number] = external{Addr: s.Addr, Class: s.Class, Since: now, Seen: true}
			taken = append(taken, s.Name)
		}
		if s.Class == slots.Ready && certain {
			l.readied[s.Number] = s.Addr
		} else if s.Class == slots.Ready {
			delete(l.readied, s.Number)
		}
	}
	return taken, given
}

// ownOf returns the slots among servers. Where servers are not added, none was; one that
// stands for a slot in the template of another instance stays, like that.
func (l *local) ownOf(servers []slots.Server) []slots.Server {
	own := slots.Own(servers, l.prefix)
	target := finder(l.want.targets, targetNumber)
	for i := range own {
		if own[i].Dynamic {
			t := target(own[i].Number)
			own[i].Dynamic = l.want.dynamic && (t == nil || t.Dynamic)
		}
	}
	return own
}

// glance takes servers if they are as they were seen last, but for what changes
// by itself, and reports whether they are.
func (l *local) glance(servers []slots.Server, now time.Time) bool {
	own := l.ownOf(servers)
	same := slices.EqualFunc(own, l.own, func(a, b slots.Server) bool {
		return a.Name == b.Name && a.Addr == b.Addr && a.Class == b.Class && (a.Weight == b.Weight || a.Agent) && a.AgentOn == b.AgentOn
	})
	if same {
		l.carry(own, now.Sub(l.seen))
		l.own, l.seen = own, now
	}
	return same
}

// takenOut reports whether somebody else took s out of service.
func (l *local) takenOut(s *slots.Server, t *slots.Target) bool {
	return !l.want.repair && !l.want.quiet && !t.Leave &&
		s.Class != slots.Ready && t.Class == slots.Ready &&
		s.Addr.IsValid() && s.Addr == t.Addr && l.readied[s.Number] == s.Addr
}

// carry keeps what is known about sessions since the last look, so long ago: a
// slot in maintenance that has none gets none, unless it was in service in
// between. HAProxy's clock for that has whole seconds.
func (l *local) carry(own []slots.Server, ago time.Duration) {
	before := finder(l.own, serverNumber)
	for i := range own {
		s := &own[i]
		was := before(s.Number)
		quiet := s.Since > ago || ago < time.Second
		if was != nil && quiet && was.Class == slots.Maint && was.Sessions == 0 &&
			s.Sessions < 0 && s.Class == slots.Maint && was.Addr == s.Addr {
			s.Sessions = 0
		}
		if s.Sessions == 0 || s.Class == slots.Ready {
			delete(l.ebbing, s.Number)
		}
	}
}

// finder returns a function that finds what has a key in list; nil if nothing
// has. What is asked for in the order of the list is found at once.
func finder[T any, K comparable](list []T, key func(*T) K) func(K) *T {
	next := 0
	var index map[K]int
	return func(wanted K) *T {
		if next < len(list) && key(&list[next]) == wanted {
			next++
			return &list[next-1]
		}
		if index == nil {
			index = make(map[K]int, len(list))
			for i := range list {
				index[key(&list[i])] = i
			}
		}
		i, ok := index[wanted]
		if !ok {
			return nil
		}
		next = i + 1
		return &list[i]
	}
}
