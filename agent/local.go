package agent

import (
	"maps"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// A want is what one backend of one instance should be.
type want struct {
	gen           uint64 // the generation in which it last changed
	proxy, prefix string
	targets       []slots.Target
	dynamic       bool   // servers may be added
	options       string // their keywords
	quiet         bool   // nothing is known: only look
	repair        bool   // undo what somebody else did
	watched       bool   // the loop waits for servers to be up
	// paused: nothing is written, but to a process that is new; hard: not even
	// there.
	paused, hard bool
	// started are the slots that an operator gave back, with when.
	started map[int]time.Time
	// resumed is when an operator ended the fights over slots.
	resumed time.Time
	// ends are when the sessions of endpoints that left are to be ended.
	ends map[netip.AddrPort]time.Time
}

// An external is a slot that somebody took out of service behind the agent's
// back.
type external struct {
	Addr  netip.AddrPort `json:"addr"`
	Class slots.Class    `json:"class"`
	Since time.Time      `json:"since"`
	// Seen: it was out of service in the process that runs now. Only then does
	// a ready slot mean that somebody set it ready again.
	Seen bool `json:"seen,omitempty"`
}

// local is what a worker knows about one backend of its instance.
type local struct {
	want want
	// own are the slots as read last; nil before that. lacking says that the
	// instance has no such backend, problem what keeps it from being filled.
	own []slots.Server
	// fitted are the targets in slots that the instance has, as far as it has any.
	fitted  []slots.Target
	seen    time.Time // when that was
	written time.Time // when something was changed last
	// prefix is the one of the slots here: the configured one, or the one that was
	// found. inherited: another process had it.
	prefix    string
	inherited bool
	// found is the prefix that would be found, as the process showed itself first.
	found *string
	// asked: it is known whether HAProxy's own resolvers have the slots, resolved says so.
	asked, resolved bool
	lacking         bool
	problem         string
	// done is the generation that was last read back whole, since the oldest
	// after it; 0: there is none, or nothing new since a restart.
	done, since uint64
	// readied are the slots that this process showed ready, and that the agent
	// did not take out since.
	readied map[int]netip.AddrPort
	// ebbing are slots that were emptied and may still have sessions.
	ebbing map[int]bool
	// ended are those of want.ends that were seen to, or are of a process that is
	// gone.
	ended      map[netip.AddrPort]time.Time
	externals  map[int]external
	weightless bool
	unloaded   bool   // the state file, by the process that runs
	undynamic  string // why no server can be added; "": it can, as far as is known
	refused    map[int]slots.Refusal
	// barred are slots that took no address, with when that was.
	barred  map[int]time.Time
	told    map[string]bool // causes of refusals that were told of since all was well
	said    string          // the problem that was told of last
	waiting int
	// drifted: some slot was not as wanted at the end of the last round.
	drifted bool
	// fights are the slots that somebody else keeps changing.
	fights map[int]*fight
	// reborn: this process has not been as it should be yet, and came after another.
	reborn bool
}

// newLocal returns what is known of a backend before its instance is met: the externals
// and the prefix that were stored, the latter of the process that was met last.
func newLocal(externals map[int]external, prefix string) *local {
	l := &local{externals: map[int]external{}}
	l.forget()
	maps.Copy(l.externals, externals)
	l.prefix, l.inherited = prefix, false
	return l
}

// forget drops what was known of a process that is gone.
func (l *local) forget() {
	l.own, l.fitted, l.lacking, l.problem, l.inherited = nil, nil, false, "", true
	l.asked, l.resolved, l.found = false, false, nil
	l.done, l.drifted, l.weightless, l.undynamic, l.waiting = 0, false, false, "", 0
	l.readied = map[int]netip.AddrPort{}
	l.ebbing = map[int]bool{}
	l.barred, l.fights = map[int]time.Time{}, map[int]*fight{}
	l.ended = maps.Clone(l.want.ends)
	l.refused, l.told = map[int]slots.Refusal{}, map[string]bool{}
	for number, e := range l.externals {
		e.Seen = false
		l.externals[number] = e
	}
}

// take notes new targets. Externals end with their endpoint.
func (l *local) take(w want) {
	other := w.prefix != "" && l.prefix != "" && w.prefix != l.prefix || w.prefix == "" && l.want.prefix != "" && !l.findsItself()
	if l.want.proxy != "" && (w.proxy != l.want.proxy || other) {
		l.forget() // other slots
		l.prefix = ""
	}
	if w.prefix != l.want.prefix {
		l.problem = "" // it may be solved
	}
	l.want = w
	l.refit(time.Now())
	l.endFights()
	if l.since == 0 && w.gen > l.done {
		l.since = w.gen
	}
	if w.repair {
		clear(l.externals)
	}
	for slot, e := range l.externals {
		if e.Since.Before(w.started[slot]) {
			delete(l.externals, slot)
			delete(l.readied, slot) // that it is out of service is nobody's doing now
		}
	}
	if w.quiet || len(l.externals) == 0 {
		return
	}
	l.dropExternals()
}

// dropExternals ends those whose endpoint has the slot no more.
func (l *local) dropExternals() {
	at := map[int]netip.AddrPort{}
	for _, t := range l.fitted {
		at[t.Number] = t.Addr
	}
	maps.DeleteFunc(l.externals, func(number int, e external) bool { return at[number] != e.Addr })
}

// findsItself reports whether the prefix in force is the one that would be found.
func (l *local) findsItself() bool { return l.found != nil && *l.found == l.prefix }

// unseen reports whether nothing is known of what the instance has.
func (l *local) unseen() bool { return l.own == nil && !l.lacking && l.problem == "" }

// idle reports whether nothing may be written now.
func (l *local) idle() bool {
	return l.want.quiet || l.lacking || l.problem != "" || l.held()
}

// held reports whether an operator has paused the writing.
func (l *local) held() bool { return l.want.paused && (l.want.hard || !l.reborn) }

// settled reports whether the instance shows what is wanted of it, as far as it
// can be wanted.
func (l *local) settled() bool {
	return l.want.quiet || l.lacking || l.problem != "" || l.done >= l.want.gen && !l.drifted
}

// effective returns the targets with what this instance alone does otherwise:
// slots that somebody took out stay out, and weights that are not taken are not
// wanted.
func (l *local) effective() []slots.Target {
	if len(l.externals) == 0 && !l.weightless {
		return l.fitted
	}
	out := make([]slots.Target, len(l.fitted))
	for i, t := range l.fitted {
		if e, ok := l.externals[t.Number]; ok && e.Addr == t.Addr && !t.Leave {
			t.External = e.Class < t.Class
			t.Class = min(t.Class, e.Class)
		}
		if l.weightless {
			t.Weight = 0
		}
		out[i] = t
	}
	return out
}

// plan returns what has to be done next.
func (l *local) plan() slots.Plan {
	p := slots.Diff(l.want.proxy, l.prefix, l.own, l.effective())
	for i := range p.Changes {
		if p.Changes[i].Kind == slots.Add {
			p.Changes[i].Options = l.want.options
		}
	}
	return p
}

// sent notes that the agent itself changes these slots.
func (l *local) sent(c slots.Change) {
	if c.SetClass && c.Class != slots.Ready {
		delete(l.readied, c.Number)
		if c.From.Class != slots.Maint {
			l.ebbing[c.Number] = true
		}
	}
	delete(l.refused, c.Number)
}

// busy notes that a server could not be removed yet: it is asked for its
// sessions before that is tried again.
func (l *local) busy(number int) {
	l.ebbing[number] = true
	for i := range l.own {
		if l.own[i].Number == number {
			l.own[i].Sessions = -1
		}
	}
}

// verify notes whether everything is as wanted at the end of a round, and lets
// the pauses of fights begin.
func (l *local) verify(now time.Time) {
	l.pauseFights(now)
	if l.own == nil {
		return
	}
	if l.drifted = len(slots.Drifted(l.own, l.effective())) > 0; !l.drifted {
		l.done, l.since, l.reborn = l.want.gen, 0, false
		maps.DeleteFunc(l.refused, func(number int, _ slots.Refusal) bool { return l.barred[number].IsZero() })
		clear(l.told)
	}
}

// saved returns the slots as a starting HAProxy should set them up: as they are
// wanted, or while nothing is known, as they are. (One file may hold several
// backends, and must not lose one whose source is slow.)
func (l *local) saved() []slots.Server {
	wanted := l.effective()
	if l.want.hard {
		wanted = nil
	}
	target := finder(wanted, targetNumber)
	out := make([]slots.Server, 0, len(l.own))
	for _, s := range l.own {
		if t := target(s.Number); t != nil && !t.Leave {
			s.Class = t.Class
			if t.Addr.IsValid() {
				s.Addr = t.Addr
			}
			if s.Weight = t.Weight; s.Weight == 0 {
				s.Weight = s.Initial
			}
		}
		out = append(out, s)
	}
	return out
}
