// Package reloadpolicy says when HAProxy is reloaded for want of slots: which backends need
// it, for what it was tried already, and how often it may be done. It is pure: time is a
// parameter.
package reloadpolicy

import (
	"maps"
	"slices"
	"time"
)

const (
	// needQuiet is how long a need must not have grown before it is acted on,
	// needMost how long it is waited for at most.
	needQuiet, needMost = 2 * time.Second, 10 * time.Second
	// budgetWindow is the time over which reloads are counted.
	budgetWindow = time.Hour
)

// MaxFileAge is how old what is known of the file may be when a need is acted on.
const MaxFileAge = needQuiet / 2

// Rules bound the reloads that nobody asked for. 0 stands for no bound and no jitter.
type Rules struct {
	MinInterval time.Duration // between two reloads
	MaxPerHour  int
	Jitter      time.Duration // at most so much is waited besides, so that a fleet does not reload at once
}

// A Policy is what is known of one way to reload HAProxy.
type Policy struct {
	rules    Rules
	needs    needs
	attempts []Attempt
	done     []time.Time   // reloads of the last hour, oldest first
	jitter   time.Duration // of the need that is there now
}

// A Need is what a backend lacks that a reload would give it.
type Need struct {
	Slots int // that it has
	Since time.Time

	wanted int // endpoints that should have one
	grown  time.Time
}

// A Trigger is worth one reload: a second one for the same would change nothing.
type Trigger struct {
	Backend string `json:"backend"`
	Slots   int    `json:"slots"` // of the configuration that runs
	File    string `json:"file"`  // the state of the file
}

// An Attempt is a trigger that was acted on, and what came of it.
type Attempt struct {
	Trigger Trigger   `json:"cause"`
	At      time.Time `json:"at"`
	Why     string    `json:"why"` // it failed; "": it did not
}

// State is what must not be forgotten of a [Policy].
type State struct {
	Attempts []Attempt   `json:"latched"`
	Done     []time.Time `json:"done"`
}

// New returns a policy that goes on from s.
func New(s State, now time.Time) *Policy {
	p := &Policy{needs: needs{}, attempts: s.Attempts}
	for _, at := range s.Done {
		if at.After(now) { // the clock was ahead
			at = now
		}
		p.done = append(p.done, at)
	}
	return p
}

// State returns what has to be stored.
func (p *Policy) State(now time.Time) State { return State{p.attempts, recent(p.done, now)} }

// Unused reports whether there is nothing that must not be forgotten.
func (p *Policy) Unused(now time.Time) bool {
	return len(p.attempts) == 0 && len(recent(p.done, now)) == 0
}

// SetRules puts other rules in force.
func (p *Policy) SetRules(r Rules) { p.rules = r }

// Observe takes what a backend wants now: how many slots it has and how many endpoints should
// have one. lacks says that a reload would give it slots that it lacks.
func (p *Policy) Observe(backend string, slots, wanted int, lacks bool, now time.Time) {
	p.needs.observe(backend, slots, wanted, lacks, now)
}

// Retain drops the needs of all other backends. It is called after Observe.
func (p *Policy) Retain(is func(backend string) bool) {
	maps.DeleteFunc(p.needs, func(name string, _ Need) bool { return !is(name) })
	if len(p.needs) == 0 {
		p.jitter = 0
	}
}

// Need returns what a backend lacks.
func (p *Policy) Need(backend string) (Need, bool) {
	n, ok := p.needs[backend]
	return n, ok
}

// Attempted returns what came of a reload for what a backend lacks now, with the file as it
// is; nil if there was none.
func (p *Policy) Attempted(backend, file string) *Attempt {
	t := Trigger{backend, p.needs[backend].Slots, file}
	i := slices.IndexFunc(p.attempts, func(a Attempt) bool { return a.Trigger == t })
	if i < 0 {
		return nil
	}
	return &p.attempts[i]
}

// Failed returns the backends for which a reload has failed, and that still need one.
func (p *Policy) Failed(file string) []string {
	var out []string
	for name := range p.needs {
		if a := p.Attempted(name, file); a != nil && a.Why != "" {
			out = append(out, name)
		}
	}
	return out
}

// Pending returns the backends whose need was not acted on yet, sorted, but for those of
// which any reload has failed: what broke one would break the next.
func (p *Policy) Pending(file string, failed []string) []string {
	var out []string
	for name := range p.needs {
		if !slices.Contains(failed, name) && p.Attempted(name, file) == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// DueAt is when HAProxy is reloaded for these backends. draw returns a random part of a
// duration.
func (p *Policy) DueAt(backends []string, now time.Time, draw func(time.Duration) time.Duration) time.Time {
	if p.jitter == 0 && p.rules.Jitter > 0 {
		p.jitter = draw(p.rules.Jitter)
	}
	at := p.needs.settled(backends)
	if _, allowed := p.Budget(now); allowed.After(at) {
		at = allowed
	}
	return at.Add(p.jitter)
}

// Budget is how many reloads there were in the last hour, and when the rules allow the next;
// the zero time if there was none.
func (p *Policy) Budget(now time.Time) (inHour int, next time.Time) {
	done := recent(p.done, now)
	return len(done), p.rules.next(done)
}

// Triggers are what a reload may cure now: all that lack slots are served by it. Their File
// is not set.
func (p *Policy) Triggers() []Trigger {
	out := make([]Trigger, 0, len(p.needs))
	for name, n := range p.needs {
		out = append(out, Trigger{Backend: name, Slots: n.Slots})
	}
	return out
}

// Reloaded notes that there was a reload.
func (p *Policy) Reloaded(now time.Time) {
	p.done = append(recent(p.done, now), now)
	p.jitter = 0
}

// Record notes what came of a reload for these triggers, with the file that there is now, as
// the newest of at most that many attempts. why is "" if it did not fail.
func (p *Policy) Record(triggers []Trigger, file, why string, most int, now time.Time) {
	for _, t := range triggers {
		t.File = file
		p.attempts = append(p.attempts, Attempt{t, now, why})
	}
	if extra := len(p.attempts) - most; extra > 0 {
		p.attempts = p.attempts[extra:]
	}
}

// Forget forgets what was tried: a person asks, and it may be tried again.
func (p *Policy) Forget() { p.attempts = nil }

// needs are what backends lack.
type needs map[string]Need

// observe notes how many slots a backend has and how many it should.
func (n needs) observe(backend string, slots, wanted int, lacks bool, now time.Time) {
	was, known := n[backend]
	switch {
	case !lacks:
		delete(n, backend)
	case !known || was.Slots != slots:
		n[backend] = Need{slots, now, wanted, now}
	case wanted > was.wanted:
		was.wanted, was.grown = wanted, now
		n[backend] = was
	}
}

// settled is when the needs of these backends are acted on: once none has grown
// for a while.
func (n needs) settled(backends []string) time.Time {
	var first, last time.Time
	for _, b := range backends {
		if since := n[b].Since; first.IsZero() || since.Before(first) {
			first = since
		}
		if n[b].grown.After(last) {
			last = n[b].grown
		}
	}
	at, most := last.Add(needQuiet), first.Add(needMost)
	if most.Before(at) {
		return most
	}
	return at
}

// next is when the rules allow a reload, after those at the given times, oldest first.
func (r Rules) next(done []time.Time) time.Time {
	if len(done) == 0 {
		return time.Time{}
	}
	at := done[len(done)-1].Add(r.MinInterval)
	if r.MaxPerHour > 0 && len(done) >= r.MaxPerHour {
		if full := done[len(done)-r.MaxPerHour].Add(budgetWindow); full.After(at) {
			at = full
		}
	}
	return at
}

// recent returns the times that still count. One that is to come was noted while the
// clock was ahead, and would keep HAProxy from being reloaded until then.
func recent(done []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(done), func(t time.Time) bool { return now.Sub(t) >= budgetWindow || t.After(now) })
}

// TargetSize is how many slots a backend gets that has so many and needs so many: to
// tens, never fewer than it has, never more than most.
func TargetSize(have, wanted, most int) int {
	n := max(2*have, (3*wanted+1)/2)
	n = (n + 9) / 10 * 10
	return max(have, min(n, most))
}
