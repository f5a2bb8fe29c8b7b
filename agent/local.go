package agent

import (
	"maps"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/slots"
)

const (
	// fightCount corrections of one slot within fightWindow are a fight with
	// somebody else who writes; writing pauses for fightPause, doubling up to
	// fightPauseMost, and from the start again after fightPauseMost of peace.
	fightCount     = 3
	fightWindow    = time.Minute
	fightPause     = time.Minute
	fightPauseMost = time.Hour
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
	started map[string]time.Time
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
	own     []slots.Server
	seen    time.Time // when that was
	written time.Time // when something was changed last
	prefix  string
	lacking bool
	problem string
	// done is the generation that was last read back whole, since the oldest
	// after it; 0: there is none, or nothing new since a restart.
	done, since uint64
	// readied are the slots that this process showed ready, and that the agent
	// did not take out since.
	readied map[string]netip.AddrPort
	// ebbing are slots that were emptied and may still have sessions.
	ebbing map[string]bool
	// ended are those of want.ends that were seen to, or are of a process that is
	// gone.
	ended      map[netip.AddrPort]time.Time
	externals  map[string]external
	weightless bool
	unloaded   bool   // the state file, by the process that runs
	undynamic  string // why no server can be added; "": it can, as far as is known
	refused    map[string]slots.Refusal
	told       map[string]bool // causes of refusals that were told of since all was well
	said       string          // the problem that was told of last
	waiting    int
	// corrected is when each slot was put right although nothing new was wanted.
	corrected   map[string][]time.Time
	fighting    bool // a pause begins with the end of this round
	pausedUntil time.Time
	pause       time.Duration
	// reborn: this process has not been as it should be yet, and came after another.
	reborn bool
}

func newLocal(externals map[string]external) *local {
	l := &local{externals: map[string]external{}, corrected: map[string][]time.Time{}}
	l.forget()
	maps.Copy(l.externals, externals)
	return l
}

// forget drops what was known of a process that is gone.
func (l *local) forget() {
	l.own, l.lacking, l.problem = nil, false, ""
	l.done, l.weightless, l.undynamic, l.waiting = 0, false, "", 0
	l.readied = map[string]netip.AddrPort{}
	l.ebbing = map[string]bool{}
	l.ended = maps.Clone(l.want.ends)
	l.refused, l.told = map[string]slots.Refusal{}, map[string]bool{}
	for name, e := range l.externals {
		e.Seen = false
		l.externals[name] = e
	}
}

// take notes new targets. Externals end with their endpoint.
func (l *local) take(w want) {
	if l.want.proxy != "" && (w.proxy != l.want.proxy || w.prefix != l.want.prefix) {
		l.forget() // other slots
	}
	l.want = w
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
	at := map[string]netip.AddrPort{}
	for _, t := range w.targets {
		at[t.Slot] = t.Addr
	}
	for name, e := range l.externals {
		if at[name] != e.Addr {
			delete(l.externals, name)
		}
	}
}

// unseen reports whether nothing is known of what the instance has.
func (l *local) unseen() bool { return l.own == nil && !l.lacking && l.problem == "" }

// idle reports whether nothing may be written now.
func (l *local) idle(now time.Time) bool {
	return l.want.quiet || l.lacking || l.problem != "" || now.Before(l.pausedUntil) || l.held()
}

// held reports whether an operator has paused the writing.
func (l *local) held() bool { return l.want.paused && (l.want.hard || !l.reborn) }

// settled reports whether the instance shows what is wanted of it, as far as it
// can be wanted.
func (l *local) settled(now time.Time) bool { return l.idle(now) || l.done >= l.want.gen }

// effective returns the targets with what this instance alone does otherwise:
// slots that somebody took out stay out, weights that are not taken are not
// wanted, and slots that only others have in their templates are added.
func (l *local) effective() []slots.Target {
	if len(l.externals) == 0 && !l.weightless && l.undynamic == "" && !l.want.dynamic {
		return l.want.targets
	}
	has := finder(l.own, func(s *slots.Server) string { return s.Name })
	out := make([]slots.Target, len(l.want.targets))
	for i, t := range l.want.targets {
		if e, ok := l.externals[t.Slot]; ok && e.Addr == t.Addr && !t.Leave {
			t.Class = min(t.Class, e.Class)
		}
		if l.weightless {
			t.Weight = 0
		}
		if l.want.dynamic && has(t.Slot) == nil {
			t.Dynamic = l.undynamic == "" && (t.Dynamic || len(l.own) > 0) // what cannot be added is lacking
		}
		out[i] = t
	}
	return out
}

// plan returns what has to be done next.
func (l *local) plan() slots.Plan {
	p := slots.Diff(l.want.proxy, l.own, l.effective())
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
		delete(l.readied, c.Slot)
		if c.From.Class != slots.Maint {
			l.ebbing[c.Slot] = true
		}
	}
	delete(l.refused, c.Slot)
}

// busy notes that a server could not be removed yet: it is asked for its
// sessions before that is tried again.
func (l *local) busy(slot string) {
	l.ebbing[slot] = true
	for i := range l.own {
		if l.own[i].Name == slot {
			l.own[i].Sessions = -1
		}
	}
}

// correct notes that a slot was put right although nothing new was wanted, and
// pauses when that happens too often.
func (l *local) correct(slot string, now time.Time) (fight bool) {
	recent := l.corrected[slot][:0]
	for _, at := range l.corrected[slot] {
		if now.Sub(at) <= fightWindow {
			recent = append(recent, at)
		}
	}
	l.corrected[slot] = append(recent, now)
	if len(l.corrected[slot]) < fightCount {
		return false
	}
	if now.Sub(l.pausedUntil) > fightPauseMost {
		l.pause = 0
	}
	l.pause = min(max(fightPause, 2*l.pause), fightPauseMost)
	l.fighting = true
	delete(l.corrected, slot)
	return true
}

// verify notes whether everything is as wanted at the end of a round, and lets
// a pause begin.
func (l *local) verify(now time.Time) {
	if l.fighting {
		l.fighting, l.pausedUntil = false, now.Add(l.pause)
	}
	if l.own != nil && len(slots.Drifted(l.own, l.effective())) == 0 {
		l.done, l.since, l.reborn = l.want.gen, 0, false
		clear(l.refused)
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
	target := finder(wanted, func(t *slots.Target) string { return t.Slot })
	out := make([]slots.Server, 0, len(l.own))
	for _, s := range l.own {
		if t := target(s.Name); t != nil && !t.Leave {
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
