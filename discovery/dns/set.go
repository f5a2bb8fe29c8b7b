package dns

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// settleTime is how long missing records are ignored after an outage: a server that was
// just started may not know everything yet.
const settleTime = 10 * time.Second

// A set is what a source knows about the records of one name and type, each of which
// is asked for, answered and in trouble by itself.
type set struct {
	last       []item // that were there and are not proved to be gone
	partial    partialSet
	result     result
	until      time.Time // when the TTL of the last direct answer is over
	asked      time.Time // when it was last asked for; zero: never
	trouble    bool      // nobody knew at the last lookup
	settled    time.Time // until then, servers that were in trouble may not know everything again
	busy       bool      // it is being asked for
	wasUnknown bool      // it is, and was unknown before
	missed     bool      // a reading was made without it, while it was busy
}

// A result is what a lookup of a set established.
type result struct {
	verdict
	state discovery.Completeness
	why   string // of a partial one
	had   int    // items that the set is known to have had
}

// isNoneYet says whether nobody ever had records.
func (r result) isNoneYet() bool {
	return r.state == discovery.Partial && len(r.items) == 0 && strings.HasPrefix(r.why, noneYet)
}

// view is the result as far as it is known now.
func (st *set) view() result {
	r := st.result
	if st.busy && !st.wasUnknown {
		r = unknown(verdict{err: discovery.Errorf(discovery.Transport, "no answer in time, it is still waited for")})
	}
	r.had = len(st.last)
	return r
}

func unknown(a verdict) result { return result{verdict: a, state: discovery.Unknown} }

// set returns that of k, which is made if there is none. It needs s.mu.
func (s *Source) set(k key) *set {
	st, ok := s.sets[k]
	if !ok {
		o := s.client.options
		st = &set{
			partial: partialSet{mode: o.Answers, hold: o.HoldObsolete},
			result:  result{state: discovery.Partial, why: noneYet + "it was not asked for yet"},
		}
		if o.TCP == Never && o.Answers == Auto && isConsul(s.subject.name) {
			st.partial.mode = Partial // what Consul says over UDP is cut
		}
		s.sets[k] = st
	}
	return st
}

// look makes one lookup of k, or two if the first would take something away. glue is
// the answer that came along with another one; nil: there is none.
func (s *Source) look(ctx context.Context, a asker, st *set, q question) result {
	s.mu.Lock()
	last, quiet := st.last, st.result.isNoneYet() && st.result.outcome == noData
	s.mu.Unlock()
	var first verdict
	if q.glue != nil {
		first = *q.glue
	} else {
		first = a.ask(ctx, q, a.everybody(q.of), quiet)
	}
	settling := s.noteTrouble(ctx, st, first.err)
	switch {
	case first.err != nil:
		return unknown(first)
	case first.proved && settling && len(last) > 0:
		return keepMissing(first, afterTrouble)
	case first.proved:
		return result{verdict: first}
	case first.outcome != found:
		return result{verdict: first, state: discovery.Partial, why: first.why}
	}
	parts := s.addSample(st, first, false)
	if parts || len(missingFrom(first.items, last)) == 0 {
		return s.resultOf(st, first)
	}
	second := a.again(ctx, q, first)
	switch {
	case second.err != nil:
		return keepMissing(first, noSecondAnswer+discovery.Printable(second.err.Error(), 200))
	case second.outcome != found && !second.proved:
		return keepMissing(first, noSecondAnswer+discovery.Printable(second.why, 200))
	}
	both := merged(first, second)
	if second.outcome == found {
		s.addSample(st, second, true)
	}
	if settling && len(missingFrom(both.items, last)) > 0 {
		return keepMissing(both, afterTrouble)
	}
	return s.resultOf(st, both)
}

// ask asks q, and where the servers do not serve what a record led to, others.
func (a asker) ask(ctx context.Context, q question, tries []try, quiet bool) verdict {
	if q.child {
		return a.derived(ctx, q.of, tries, quiet)
	}
	return a.resolve(ctx, q.of, tries, quiet)
}

// again asks for a second opinion on first: another server that has it, or the same
// one over TCP. What came along was nobody's answer to the question itself.
func (a asker) again(ctx context.Context, q question, first verdict) verdict {
	tries := a.others(q.of, first.server)
	if q.glue != nil {
		tries = a.everybody(q.of)
	}
	return a.ask(ctx, q, tries, false)
}

// noteTrouble notes that a set could not be looked up, or can again. It reports whether
// that was so until shortly before: see [settleTime].
func (s *Source) noteTrouble(ctx context.Context, st *set, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		st.trouble = true
	case st.trouble:
		st.trouble, st.settled = false, time.Now().Add(settleTime)
	}
	now := time.Now()
	return now.Before(st.settled) || now.Before(s.settled)
}

// addSample takes an answer with records into account, and reports whether answers are
// taken for parts.
func (s *Source) addSample(st *set, a verdict, second bool) (parts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.partial.add(sample{a.items, a.server, a.ttl, max(s.client.pace(a.ttl), a.ttl), second, a.cut}, st.last, time.Now())
	return st.partial.on
}

// resultOf is the result of an answer with records. Where answers are parts of a larger set
// it is that set, as far as it is known.
func (s *Source) resultOf(st *set, a verdict) result {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &st.partial
	switch {
	case p.on:
		now := time.Now()
		a.items = p.assembled(now)
		a.note = fmt.Sprintf("%s; partial answers, %d known", a.note, len(a.items))
		if err := capped(len(a.items)); err != nil {
			return unknown(verdict{err: err})
		}
		if !p.complete(now) {
			return result{verdict: a, state: discovery.Partial, why: "each answer is a part of a larger set, of which not all may have been shown"}
		}
	case p.suspects():
		return result{verdict: a, state: discovery.Partial, why: "the answers may be parts of a larger set"}
	}
	return result{verdict: a}
}

// merged is two answers in one: what either shows is there.
func merged(first, second verdict) verdict {
	both := first
	both.items = union(first.items, second.items)
	both.ttl = min(first.ttl, second.ttl)
	switch {
	case first.server != second.server && second.outcome == found:
		both.note = "records from 2 servers"
	case second.outcome == found:
		both.note = "records twice from " + first.server
	default:
		both.note = first.note + ", " + second.note
	}
	return both
}

// Why what an answer lacks may be there.
const (
	noSecondAnswer = "no second answer: "
	afterTrouble   = "the servers failed until shortly before, and may not know everything yet"
)

// keepMissing is the result of an answer that lacks something which is kept for this
// reason. The set is asked for again soon.
func keepMissing(a verdict, reason string) result {
	a.ttl = 0
	return result{verdict: a, state: discovery.Partial, why: reason}
}

// update makes r what is known of st. It needs s.mu.
func (st *set) update(r result, pace time.Duration) {
	st.result = r
	switch r.state {
	case discovery.Whole:
		st.last = r.items
	case discovery.Partial:
		st.last = boundedUnion(r.items, st.last)
	}
	if r.err == nil {
		st.until = time.Now().Add(pace)
	}
}
