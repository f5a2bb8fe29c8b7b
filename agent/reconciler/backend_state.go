package reconciler

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// A backendState is what is known about one backend of the instance.
type backendState struct {
	spec BackendSpec
	// own are the slots as read last; nil before that. missing says that the
	// instance has no such backend, problem what keeps it from being filled.
	own []slots.Server
	// fitted are the targets in slots that the instance has, as far as it has any.
	fitted  []slots.Target
	seen    time.Time // when own was read
	written time.Time // when something was changed last
	// prefix is the one of the slots here: the configured one, or the one that was
	// found. ofPredecessor: another process had it.
	prefix        string
	ofPredecessor bool
	// found is the prefix that would be found, as the process showed itself first.
	found *string
	// resolversAsked: it is known whether HAProxy's own resolvers have the slots, resolved
	// says so.
	resolversAsked, resolved bool
	missing                  bool
	problem                  string
	// done is the generation that was last read back whole, since the oldest
	// after it; 0: there is none, or nothing new since a restart.
	done, since uint64
	// applied is up to which generation it was reported to be as it is wanted.
	applied uint64
	// lastReady are the slots that this process showed ready, and that the agent
	// did not take out since; see external.go. stranger: nothing is known of the process
	// from before, and its counters are still to tell.
	lastReady map[int]netip.AddrPort
	stranger  bool
	judged    time.Time // when was seen what it was decided by last what is somebody else's doing
	// sessionsPending are slots that were emptied and may still have sessions.
	sessionsPending map[int]bool
	// killed are those of spec.SessionEnds that were seen to, or are of a process that is
	// gone.
	killed             map[netip.AddrPort]time.Time
	externals          map[int]External
	weightsUnsupported bool
	addUnsupported     string // why no server can be added; "": it can, as far as is known
	unloaded           bool   // the process that runs has not loaded the state file
	refused            map[int]slots.Refusal
	// barred are slots that took no address, with when that was.
	barred          map[int]time.Time
	reportedCauses  map[string]bool // causes of refusals that were reported since all was well
	reportedProblem string          // the problem that was reported last
	waiting         int             // changes that wait for the end of sessions
	// drifted: some slot was not as wanted at the end of the last round.
	drifted bool
	// conflicts are about the slots that somebody else keeps changing.
	conflicts map[int]*conflict
	// freshProcess: this process has not been as it should be yet, and came after another.
	freshProcess bool
}

// newBackendState returns what is known of a backend before its instance is met.
func newBackendState(known Known) *backendState {
	b := &backendState{externals: map[int]External{}}
	b.forget()
	maps.Copy(b.externals, known.Externals)
	maps.Copy(b.lastReady, known.Ready)
	b.prefix, b.ofPredecessor, b.judged = known.Prefix, false, known.Seen
	return b
}

// forget drops what was known of a process that is gone.
func (b *backendState) forget() {
	b.own, b.fitted, b.missing, b.problem, b.ofPredecessor = nil, nil, false, "", true
	b.resolversAsked, b.resolved, b.found = false, false, nil
	b.done, b.drifted, b.weightsUnsupported, b.addUnsupported, b.waiting = 0, false, false, "", 0
	b.lastReady, b.stranger = map[int]netip.AddrPort{}, false
	b.sessionsPending = map[int]bool{}
	b.barred, b.conflicts = map[int]time.Time{}, map[int]*conflict{}
	b.killed = maps.Clone(b.spec.SessionEnds)
	b.refused, b.reportedCauses = map[int]slots.Refusal{}, map[string]bool{}
	for number, e := range b.externals {
		e.Seen = false
		b.externals[number] = e
	}
}

// take notes new targets. Externals end with their endpoint.
func (b *backendState) take(spec BackendSpec) {
	other := spec.Prefix != "" && b.prefix != "" && spec.Prefix != b.prefix || spec.Prefix == "" && b.spec.Prefix != "" && !b.prefixIsFound()
	if b.spec.Proxy != "" && (spec.Proxy != b.spec.Proxy || other) {
		b.forget() // other slots
		b.prefix = ""
	}
	if spec.Prefix != b.spec.Prefix {
		b.problem = "" // it may be solved
	}
	before := b.spec
	b.spec = spec
	b.fitTargets(time.Now())
	b.endConflicts()
	if b.since == 0 && spec.Generation > b.done {
		b.since = spec.Generation
	}
	if spec.Repair {
		clear(b.externals)
	}
	if b.own == nil { // whatever is found out of service was given back before
		maps.DeleteFunc(b.lastReady, func(_ int, a netip.AddrPort) bool { return spec.Started[a].After(b.judged) })
	}
	for slot, e := range b.externals {
		started := spec.Started[e.Addr]
		found := before.Proxy != "" && started.After(before.Started[e.Addr]) // while that was on its way
		if found || e.Since.Before(started) {
			delete(b.externals, slot)
			delete(b.lastReady, slot) // that it is out of service is nobody's doing now
		}
	}
	if spec.ObserveOnly || len(b.externals) == 0 {
		return
	}
	b.dropExternals()
}

// dropExternals ends those whose endpoint has the slot no more.
func (b *backendState) dropExternals() {
	target, server := slots.FindTarget(b.fitted), slots.FindServer(b.own)
	maps.DeleteFunc(b.externals, func(number int, e External) bool {
		t, s := target(number), server(number)
		switch {
		case b.own == nil: // which slots stand in is not known
			return !slices.ContainsFunc(b.fitted, func(t slots.Target) bool { return t.Addr == e.Addr })
		case t != nil && t.Leave && s != nil && s.Addr == e.Addr:
			return false // nobody decides about it now
		case t != nil && !t.Addr.IsValid() && b.spec.OperatedOnly && s != nil && s.Addr == e.Addr:
			return false
		}
		return t == nil || t.Addr != e.Addr
	})
}

// prefixIsFound reports whether the prefix in force is the one that would be found.
func (b *backendState) prefixIsFound() bool { return b.found != nil && *b.found == b.prefix }

// unobserved reports whether nothing is known of what the instance has.
func (b *backendState) unobserved() bool { return b.own == nil && !b.missing && b.problem == "" }

// idle reports whether nothing may be written now.
func (b *backendState) idle() bool {
	return b.spec.ObserveOnly || b.missing || b.problem != "" || b.isPaused()
}

// isPaused reports whether an operator has paused the writing.
func (b *backendState) isPaused() bool { return b.spec.Paused && (b.spec.Strict || !b.freshProcess) }

// settled reports whether the instance shows what is wanted of it, as far as it
// can be wanted.
func (b *backendState) settled() bool {
	return b.spec.ObserveOnly || b.missing || b.problem != "" || b.done >= b.spec.Generation && !b.drifted
}

// effective returns the targets with what this instance alone does otherwise:
// slots that somebody took out stay out, and weights that are not taken are not
// wanted.
func (b *backendState) effective() []slots.Target {
	if len(b.externals) == 0 && !b.weightsUnsupported {
		return b.fitted
	}
	out := make([]slots.Target, len(b.fitted))
	for i, t := range b.fitted {
		if e, ok := b.externals[t.Number]; ok && e.Addr == t.Addr && !t.Leave {
			t.External = e.Class < t.Class
			t.Class = min(t.Class, e.Class)
		}
		if b.weightsUnsupported {
			t.Weight = 0
		}
		out[i] = t
	}
	return out
}

// plan returns what has to be done next.
func (b *backendState) plan() slots.Plan {
	p := slots.Diff(b.spec.Proxy, b.prefix, b.own, b.effective())
	for i := range p.Changes {
		if p.Changes[i].Kind == slots.Add {
			p.Changes[i].Options = b.spec.DynamicOptions
		}
	}
	return p
}

// onSend notes that the agent itself changes these slots.
func (b *backendState) onSend(c slots.Change) {
	if c.SetClass && c.Class != slots.Ready {
		delete(b.lastReady, c.Number)
		if c.From.Class != slots.Maint {
			b.sessionsPending[c.Number] = true
		}
	}
	delete(b.refused, c.Number)
}

// onBusy notes that a server could not be removed yet: it is asked for its
// sessions before that is tried again.
func (b *backendState) onBusy(number int) {
	b.sessionsPending[number] = true
	for i := range b.own {
		if b.own[i].Number == number {
			b.own[i].Sessions = -1
		}
	}
}

// verify notes whether everything is as wanted at the end of a round, and lets
// the pauses of conflicts begin.
func (b *backendState) verify(now time.Time) {
	b.beginConflicts(now)
	if b.own == nil {
		return
	}
	differs := slots.Drifted(b.own, b.effective())
	if !b.spec.ObserveOnly { // what is refused for good does not keep the process fresh
		b.freshProcess = b.freshProcess && slices.ContainsFunc(differs, func(t slots.Target) bool {
			_, refused := b.refused[t.Number]
			return !refused
		})
	}
	if b.drifted = len(differs) > 0; !b.drifted {
		b.done, b.since = b.spec.Generation, 0
		maps.DeleteFunc(b.refused, func(number int, _ slots.Refusal) bool { return b.barred[number].IsZero() })
		clear(b.reportedCauses)
	}
}

// stateFileRows returns the slots as a starting HAProxy should set them up: as they are
// wanted, or while nothing is known, as they are. (One file may hold several
// backends, and must not lose one whose source is slow.)
func (b *backendState) stateFileRows() []slots.Server {
	wanted := b.effective()
	if b.spec.Strict {
		wanted = nil
	}
	target := slots.FindTarget(wanted)
	out := make([]slots.Server, 0, len(b.own))
	for _, s := range b.own {
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
