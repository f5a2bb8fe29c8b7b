package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file takes what an instance shows of one backend.

// observe takes what the instance shows of the backend. certain is false while
// commands of unknown outcome may still be executed: then nothing that is found
// out of service is somebody else's doing. It returns the slots that somebody
// took out and those that somebody gave back.
func (l *local) observe(servers []slots.Server, exists, certain bool, now time.Time) (taken, given []string) {
	if l.lacking = !exists; l.lacking {
		l.own, l.problem = nil, ""
		return nil, nil
	}
	if l.prefix, l.problem = prefixOf(l.want, servers); l.problem != "" {
		l.own = nil
		return nil, nil
	}
	own := l.ownOf(servers)
	l.carry(own, now.Sub(l.seen))
	l.own, l.seen = own, now
	l.awaitEnds()
	target := finder(l.want.targets, func(t *slots.Target) string { return t.Slot })
	for i := range own {
		s := &own[i]
		t := target(s.Name)
		switch e, held := l.externals[s.Name]; {
		case held && s.Addr == e.Addr && s.Class != slots.Ready:
			e.Class, e.Seen = s.Class, true
			l.externals[s.Name] = e
		case held && e.Seen && s.Addr == e.Addr:
			delete(l.externals, s.Name)
			given = append(given, s.Name)
		case certain && t != nil && l.takenOut(s, t):
			l.externals[s.Name] = external{Addr: s.Addr, Class: s.Class, Since: now, Seen: true}
			taken = append(taken, s.Name)
		}
		if s.Class == slots.Ready && certain {
			l.readied[s.Name] = s.Addr
		} else if s.Class == slots.Ready {
			delete(l.readied, s.Name)
		}
	}
	return taken, given
}

// ownOf returns the slots among servers. Where servers are not added, none was; one that
// stands for a slot in the template of another instance stays, like that.
func (l *local) ownOf(servers []slots.Server) []slots.Server {
	own := slots.Own(servers, l.prefix)
	target := finder(l.want.targets, func(t *slots.Target) string { return t.Slot })
	for i := range own {
		if own[i].Dynamic {
			t := target(own[i].Name)
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
		return a.Name == b.Name && a.Addr == b.Addr && a.Class == b.Class && a.Weight == b.Weight
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
		s.Addr.IsValid() && s.Addr == t.Addr && l.readied[s.Name] == s.Addr
}

// carry keeps what is known about sessions since the last look, so long ago: a
// slot in maintenance that has none gets none, unless it was in service in
// between. HAProxy's clock for that has whole seconds.
func (l *local) carry(own []slots.Server, ago time.Duration) {
	before := finder(l.own, func(s *slots.Server) string { return s.Name })
	for i := range own {
		s := &own[i]
		was := before(s.Name)
		quiet := s.Since > ago || ago < time.Second
		if was != nil && quiet && was.Class == slots.Maint && was.Sessions == 0 &&
			s.Sessions < 0 && s.Class == slots.Maint && was.Addr == s.Addr {
			s.Sessions = 0
		}
		if s.Sessions == 0 || s.Class == slots.Ready {
			delete(l.ebbing, s.Name)
		}
	}
}

// finder returns a function that finds what has a name in list; nil if nothing
// has. What is asked for in the order of the list is found at once.
func finder[T any](list []T, name func(*T) string) func(string) *T {
	next := 0
	var index map[string]int
	return func(wanted string) *T {
		if next < len(list) && name(&list[next]) == wanted {
			next++
			return &list[next-1]
		}
		if index == nil {
			index = make(map[string]int, len(list))
			for i := range list {
				index[name(&list[i])] = i
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

// prefixOf returns the prefix of the slots among servers, or what is wrong.
func prefixOf(w want, servers []slots.Server) (prefix, problem string) {
	if w.prefix != "" {
		one := func(s slots.Server) bool { return len(slots.Own([]slots.Server{s}, w.prefix)) == 1 }
		if !slices.ContainsFunc(servers, one) {
			return "", "no server of backend " + w.proxy + " is named " + w.prefix + " and a number: check `slots:`"
		}
		return w.prefix, ""
	}
	found, candidates := slots.FindPrefix(servers)
	if found == "" {
		return "", "which servers of backend " + w.proxy + " are slots? Set `slots:` to one of: " + list(candidates)
	}
	return found, ""
}

func list(words []string) string {
	if len(words) == 0 {
		return "(none found)"
	}
	return strings.Join(words, ", ")
}
