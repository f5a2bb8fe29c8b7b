package nomad

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeWait = time.Second / 4  // of the first blocking query after an error: long enough to tell a lower index
	safety    = 10 * time.Minute // ±20 %: how often the set is read whole though nothing seems to have changed
	freshFor  = 10 * time.Second // how long only the leader is asked after an answer that was too old
)

// A Source watches one service. It is a [discovery.Source].
type Source struct {
	client *Client
	query  Query
	state  state           // of Next
	have   atomic.Int64    // state.have, for Confirm
	hopes  discovery.Hopes // see Recovered
	diary  discovery.Diary
}

var (
	_ discovery.Source    = (*Source)(nil)
	_ discovery.Recoverer = (*Source)(nil)
	_ discovery.Active    = (*Source)(nil)
)

// A state is what Next remembers between two calls.
type state struct {
	index    uint64             // to wait beyond; 0: ask with a plain read
	have     int                // instances in the last reply that was applied
	last     discovery.Reading  // made of it
	failed   bool               // the last request was answered with an error
	refresh  time.Time          // when the next plain read is due
	fresh    time.Time          // until when only the leader is asked
	poll     time.Time          // when the next plain read is due for want of a place; zero: there was one
	setbacks discovery.Setbacks // since the last answer to a blocking query
}

// String implements [discovery.Source].
func (s *Source) String() string {
	name := "nomad service " + s.query.Service
	if n := s.client.opts.Namespace; n != "" && n != "default" {
		name += " in " + n
	}
	return name
}

// Next implements [discovery.Source]. It begins with a plain read and goes on with
// blocking queries, or with plain reads where there is no place for one. An
// unchanged set is returned again when a blocking query ends: it proves that the
// set still holds. The index is kept over errors, so that a server that is behind
// blocks instead of answering with old data.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	for {
		a, leave, err := s.turn(ctx)
		if err != nil {
			return discovery.Reading{}, err
		}
		v, r, err := s.step(ctx, a, leave)
		if err != nil {
			s.state.failed = true
			return discovery.Reading{}, err
		}
		s.state.failed = false
		if reading, known := s.take(a, v, r); known {
			return reading, nil
		}
	}
}

// turn returns how to ask, as soon as it is time to, and what gives up the place
// for it.
func (s *Source) turn(ctx context.Context) (a ask, leave func(), err error) {
	a = s.state.next(&s.client.opts, time.Now())
	leave = func() {}
	if a.index == 0 || ctx.Err() != nil {
		return a, leave, ctx.Err()
	}
	places := s.client.budget.queries
	leave = func() { <-places }
	select {
	case places <- struct{}{}:
		s.state.poll = time.Time{}
		return a, leave, nil
	default:
	}
	if s.state.failed {
		return ask{}, func() {}, nil
	}
	timer := time.NewTimer(time.Until(s.nextPoll(time.Now())))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return a, leave, ctx.Err()
	case places <- struct{}{}:
		s.state.poll = time.Time{}
		return a, leave, nil
	case <-timer.C:
		return ask{}, func() {}, nil
	}
}

// nextPoll returns when the service is to be polled.
func (s *Source) nextPoll(now time.Time) time.Time {
	st, interval := &s.state, s.client.opts.PollInterval
	if st.poll.IsZero() {
		st.poll = now.Add(rand.N(interval)) // what began together spreads out
	} else if !now.Before(st.poll) {
		st.poll = now.Add(discovery.Around(interval))
	}
	s.diary.Polls(st.poll)
	return st.poll
}

// step asks once, and a second time where the answer has to be confirmed.
func (s *Source) step(ctx context.Context, a ask, leave func()) (verdict, reply, error) {
	s.noteAsked(a)
	r, err := s.client.get(ctx, s.query, a)
	leave()
	if ctx.Err() == nil {
		s.diary.Answered(fmt.Sprintf("200, %d instances, index %d", len(r.list), r.index), err)
	}
	if err != nil {
		return 0, r, err
	}
	v, err := judge(s.query, a, s.state.have, r)
	if err == nil && v == doubtful {
		r, err = s.plainly(ctx)
		v = apply
	}
	if err == nil && v == reseed {
		s.state.index = 0
		err = s.state.setbacks.Add(time.Now())
	}
	return v, r, err
}

// Confirm implements [discovery.Source]: it asks the leader, plainly.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	r, err := s.plainly(ctx)
	if err != nil {
		return discovery.Reading{}, err
	}
	return s.query.reading(r), nil
}

func (s *Source) plainly(ctx context.Context) (reply, error) {
	r, err := s.client.get(ctx, s.query, ask{})
	if err != nil {
		return reply{}, err
	}
	_, err = judge(s.query, ask{}, int(s.have.Load()), r)
	return r, err
}

// take carries out v. known is false if there is nothing to say yet.
func (s *Source) take(a ask, v verdict, r reply) (reading discovery.Reading, known bool) {
	st := &s.state
	switch v {
	case apply:
		st.apply(a, r, s.query.reading(r))
		s.have.Store(int64(st.have))
		return st.last, true
	case applyPartly:
		// Its absences are not believed; a plain read is honest about the leader.
		st.index = 0
		return s.query.reading(r).Partly("the server knows no leader"), true
	case unchanged:
		st.setbacks.End()
		return st.last, true
	case tooOld:
		st.index, st.fresh = 0, time.Now().Add(freshFor)
	}
	return discovery.Reading{}, false
}

func (st *state) apply(a ask, r reply, reading discovery.Reading) {
	st.index, st.have, st.last = r.index, len(r.list), reading
	if a.index > 0 {
		st.setbacks.End()
		return
	}
	st.refresh = time.Now().Add(discovery.Around(safety))
}

// next returns how to ask at that time.
func (st *state) next(o *Options, now time.Time) ask {
	if st.index == 0 || !now.Before(st.refresh) {
		return ask{}
	}
	a := ask{index: st.index, wait: discovery.Around(o.Wait), stale: o.Stale && !now.Before(st.fresh)}
	if st.failed {
		a.wait = min(a.wait, probeWait)
	}
	return a
}
