package dns

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// settleTime is how long nothing is missed after servers have failed.
const settleTime = 10 * time.Second

// A set is what a source knows about the records of one name and type, each of which
// is asked for, answered and in trouble by itself.
type set struct {
	last    []item // that were there and are not proved to be gone
	partial partialSet
	result  result
	until   time.Time // when the TTL of the last direct answer is over
	asked   time.Time // when it was last asked for; zero: never
	trouble bool      // nobody knew at the last lookup
	settled time.Time // until then, servers that were in trouble may not know everything again
	busy    bool      // it is being asked for
	sick    bool      // it is, and was unknown before
	late    bool      // a reading was made without it, while it was busy
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
	if st.busy && !st.sick {
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
	settling := s.settle(ctx, st, first.err)
	switch {
	case first.err != nil:
		return unknown(first)
	case first.proved && settling && len(last) > 0:
		return unsettled(first)
	case first.proved:
		return result{verdict: first}
	case first.outcome != found:
		return result{verdict: first, state: discovery.Partial, why: first.why}
	}
	parts := s.hear(st, first, false)
	if parts || len(lacking(first.items, last)) == 0 {
		return s.judge(st, first)
	}
	second := a.again(ctx, q, first)
	switch {
	case second.err != nil:
		return unconfirmed(first, second.err)
	case second.outcome != found && !second.proved:
		return unconfirmed(first, fmt.Errorf("%s", second.why))
	}
	both := agreed(first, second)
	if second.outcome == found {
		s.hear(st, second, true)
	}
	if settling && len(lacking(both.items, last)) > 0 {
		return unsettled(both)
	}
	return s.judge(st, both)
}

// ask asks q, and where the servers do not serve what a record led to, others.
func (a asker) ask(ctx context.Context, q question, tries []try, quiet bool) verdict {
	if q.child {
		return a.derived(ctx, q.of, tries, quiet)
	}
	return a.consult(ctx, q.of, tries, quiet)
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

// settle notes trouble and its end: a server that was just started may have only a
// part of what it is going to know. It says whether that is so now.
func (s *Source) settle(ctx context.Context, st *set, err error) bool {
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

// hear takes an answer with records into account, and says whether answers are taken
// for parts.
func (s *Source) hear(st *set, a verdict, second bool) (parts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.partial.hear(sample{a.items, a.server, a.ttl, max(s.client.pace(a.ttl), a.ttl), second, a.cut}, st.last, time.Now())
	return st.partial.on
}

// judge makes of records what they are worth, if answers may be parts.
func (s *Source) judge(st *set, a verdict) result {
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

// agreed is two answers: what either shows is there.
func agreed(first, second verdict) verdict {
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

// unconfirmed is an answer that lacks something, which nobody confirmed.
func unconfirmed(a verdict, err error) result {
	a.ttl = 0
	return result{verdict: a, state: discovery.Partial, why: "no second answer: " + discovery.Printable(err.Error(), 200)}
}

// unsettled is an answer soon after trouble.
func unsettled(a verdict) result {
	a.ttl = 0
	return result{verdict: a, state: discovery.Partial, why: "the servers failed until shortly before, and may not know everything yet"}
}

// take makes r what is known of st. It needs s.mu.
func (st *set) take(r result, pace time.Duration) {
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
