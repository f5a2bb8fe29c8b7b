package consul

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeWait   = time.Second / 4  // of the first blocking query after an error: long enough to tell a lower index
	safety      = 10 * time.Minute // ±20 %: how often the set is read whole though nothing seems to have changed
	freshFor    = 10 * time.Second // how long Stale is left out after an answer that was too old
	maxReseeds  = 3                // that many in a row within
	reseedsTime = time.Minute      // are an error
)

// A Source watches one service. It is a [discovery.Source].
type Source struct {
	client *Client
	query  Query
	state  state         // of Next
	seat   *seat         // of Next; nil at first
	have   atomic.Int64  // 1 + state.have, for Confirm
	hopes  *rate.Limiter // see Recovered
	diary  diary
}

var (
	_ discovery.Source    = (*Source)(nil)
	_ discovery.Recoverer = (*Source)(nil)
	_ discovery.Active    = (*Source)(nil)
)

// A state is what Next remembers between two calls.
type state struct {
	index    uint64            // to wait beyond; 0: ask with a plain read
	top      uint64            // the index of the last reply that was applied
	era      int               // in which that was
	have     int               // instances in the last reply that was applied; -1: none was
	last     discovery.Reading // made of it
	failed   bool              // the last request was answered with an error,
	failedAt time.Time         // at that time
	refresh  time.Time         // when the next plain read is due
	fresh    time.Time         // until when Stale is left out
	poll     time.Time         // when the next plain read is due for want of a place; zero: there was one
	reseeds  []time.Time       // since the last answer to a blocking query
}

// String implements [discovery.Source].
func (s *Source) String() string {
	if dc := s.client.datacenter(s.query); dc != "" {
		return "consul service " + s.query.Service + " in " + dc
	}
	return "consul service " + s.query.Service
}

// Next implements [discovery.Source]. It begins with a plain read, the only one
// that fails honestly where there are no servers, and goes on with blocking
// queries, or with plain reads where there is no place for one. An unchanged set
// is returned again when a blocking query ends: it proves that the set still
// holds. The index is kept over errors, so that a server that is behind blocks
// instead of answering with old data.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	for {
		a, err := s.turn(ctx)
		if err != nil {
			return discovery.Reading{}, err
		}
		reading, known, err := s.step(ctx, a)
		if err != nil {
			s.fail()
			return discovery.Reading{}, err
		}
		if s.state.failed && known && !reading.Weak {
			s.client.back()
		}
		s.state.failed = false
		if known {
			return reading, nil
		}
	}
}

// fail gives up the place among the blocking queries: the pause may be long.
func (s *Source) fail() {
	s.state.failed, s.state.failedAt = true, time.Now()
	s.seat.leave()
}

// turn returns how to ask, as soon as it is time to.
func (s *Source) turn(ctx context.Context) (ask, error) {
	if era, _ := s.client.eras.now(); era != s.state.era {
		s.state.index = 0
	}
	a := s.state.next(&s.client.opts, time.Now())
	if a.index == 0 || !s.client.wire.http1.Load() || s.seat.taken() {
		return a, ctx.Err()
	}
	if s.seat = s.client.budget.sit(ctx); s.seat != nil {
		s.state.poll = time.Time{}
		return a, ctx.Err()
	}
	return s.pollOrSit(ctx, a)
}

// pollOrSit waits until the service is to be polled, or there is a place for a,
// a blocking query.
func (s *Source) pollOrSit(ctx context.Context, a ask) (ask, error) {
	st, plain := &s.state, ask{mode: Default}
	if st.failed {
		return plain, ctx.Err()
	}
	interval, now := s.client.opts.PollInterval, time.Now()
	if st.poll.IsZero() {
		st.poll = now.Add(rand.N(interval)) // what began together spreads out
	} else if !now.Before(st.poll) {
		st.poll = now.Add(around(interval))
	}
	s.notePause(st.poll)
	timer := time.NewTimer(time.Until(st.poll))
	defer timer.Stop()
	for places := s.client.budget.queries; ; places = nil { // one try is enough
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-timer.C:
			return plain, nil
		case places <- struct{}{}:
		}
		if s.seat = s.client.budget.seated(ctx); s.seat != nil {
			st.poll = time.Time{}
			return a, nil
		}
	}
}

// step asks once. known is false if there is nothing to say yet.
func (s *Source) step(ctx context.Context, a ask) (reading discovery.Reading, known bool, err error) {
	era, over := s.client.eras.now()
	r, err := s.ask(ctx, a, over)
	if err != nil && a.index > 0 && over.Err() != nil && ctx.Err() == nil {
		return reading, false, nil // there was a reason to ask plainly
	}
	if err != nil {
		return reading, false, err
	}
	v, err := judge(a, s.state.have, s.client.opts.MaxStale, r)
	if err == nil && a.index == 0 && r.index < s.state.top {
		// A leader that has just started answers before it knows all that it wrote
		// down (seen with 1.8.7); only a consistent read waits for that.
		v = doubtful
	}
	if err == nil && v == doubtful {
		doubted := len(r.entries)
		r, err = s.consistently(ctx)
		v = apply
		if err == nil && len(r.entries) > doubted {
			s.noteFalse()
		}
	}
	if err == nil && v == reseed {
		err = s.state.reseed(time.Now())
	}
	if err != nil {
		return reading, false, err
	}
	if v == apply && r.index < s.state.top {
		s.client.eras.close(s.state.era)
		era, _ = s.client.eras.now()
	}
	if v == apply {
		s.state.era = era
	}
	return s.take(ctx, a, v, r)
}

// ask notes question and answer. A blocking query ends with the era.
func (s *Source) ask(ctx context.Context, a ask, over context.Context) (reply, error) {
	limited := ctx
	if a.index > 0 {
		var cancel context.CancelFunc
		limited, cancel = either(ctx, over)
		defer cancel()
	}
	s.noteAsked(a)
	s.seat.asks(a.wait)
	r, err := s.client.get(limited, s.query, a)
	if limited.Err() == nil {
		s.seat.answered()
		s.noteAnswered(r, err)
	}
	return r, err
}

// Confirm implements [discovery.Source]: it asks the leader, which proves to be
// the leader first.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	r, err := s.consistently(ctx)
	if err != nil {
		return discovery.Reading{}, err
	}
	return s.query.reading(r), nil
}

func (s *Source) consistently(ctx context.Context) (reply, error) {
	a := ask{mode: consistent}
	r, err := s.client.get(ctx, s.query, a)
	if err != nil {
		return reply{}, err
	}
	_, err = judge(a, int(s.have.Load())-1, s.client.opts.MaxStale, r)
	return r, err
}

// take carries out v. known is false if there is nothing to say yet.
func (s *Source) take(ctx context.Context, a ask, v verdict, r reply) (reading discovery.Reading, known bool, err error) {
	st := &s.state
	switch v {
	case apply, applyWeak:
		reading = s.query.reading(r)
	case tooOld:
		st.index, st.fresh = 0, time.Now().Add(freshFor)
		s.noteFresh(st.fresh)
		return reading, false, nil
	case unchanged:
		reading = st.last
	default:
		return reading, false, nil
	}
	weak, err := s.proved(ctx, v, r, reading)
	if err != nil {
		st.index = 0
		return reading, false, err
	}
	switch v {
	case applyWeak:
		// Its absences are not believed; a plain read is honest about the leader.
		st.index = 0
	case apply:
		st.apply(a, r, reading)
		s.have.Store(int64(st.have) + 1)
	case unchanged:
		st.reseeds = nil
	}
	reading.Weak = reading.Weak || weak || v == applyWeak
	return reading, true, nil
}

// proved says whether reading, which comes of r, rests on servers that are in touch
// with their leader. One that takes nothing away is weak without; another is an
// error.
func (s *Source) proved(ctx context.Context, v verdict, r reply, reading discovery.Reading) (weak bool, err error) {
	datacenter := s.client.datacenter(s.query)
	p := s.client.fresh.of(datacenter)
	switch {
	case r.proves(s.client.opts.MaxStale) && !r.cached:
		p.note()
		return false, nil
	case !r.streaming:
		return false, nil
	case v == apply && !loses(s.state.last, reading):
		fresh, _ := p.holds()
		return !fresh, nil
	}
	return false, p.need(ctx, func(ctx context.Context) error { return s.client.prove(ctx, datacenter) })
}

func (st *state) apply(a ask, r reply, reading discovery.Reading) {
	now := time.Now()
	st.index, st.top, st.have, st.last = r.index, r.index, len(r.entries), reading
	if a.index > 0 {
		st.reseeds = nil
		return
	}
	st.refresh = now.Add(around(safety))
}

// reseed makes the next request a plain read. A server whose index goes back
// again and again is in trouble, and must not be asked in a circle.
func (st *state) reseed(now time.Time) error {
	st.index = 0
	st.reseeds = append(st.reseeds, now)
	if len(st.reseeds) < maxReseeds {
		return nil
	}
	first := st.reseeds[len(st.reseeds)-maxReseeds]
	st.reseeds = st.reseeds[len(st.reseeds)-maxReseeds+1:]
	if now.Sub(first) < reseedsTime {
		return discovery.Errorf(discovery.Server, "the index went back %d times within %s", maxReseeds, reseedsTime)
	}
	return nil
}

// next returns how to ask at that time.
func (st *state) next(o *Options, now time.Time) ask {
	if st.index == 0 || !now.Before(st.refresh) {
		return ask{mode: Default}
	}
	a := ask{mode: o.Consistency, index: st.index, wait: around(o.Wait)}
	if now.Before(st.fresh) {
		a.mode = Default
	}
	if st.failed {
		a.wait = min(a.wait, probeWait)
	}
	return a
}

// around returns d ±20 %, so that what began together does not stay together.
func around(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }
