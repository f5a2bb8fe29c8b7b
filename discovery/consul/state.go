package consul

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeWait = time.Second / 4  // of the first blocking query after an error: long enough to tell a lower index
	safety    = 10 * time.Minute // ±20 %: how often the set is read whole though nothing seems to have changed
	freshFor  = 10 * time.Second // how long Stale is left out after an answer that was too old
)

// A state is what Next remembers between two calls.
type state struct {
	index    uint64             // to wait beyond; 0: ask with a plain read
	top      uint64             // the index of the last reply that was applied
	era      int                // in which that was
	last     discovery.Reading  // made of it
	failed   bool               // the last request was answered with an error,
	failedAt time.Time          // at that time
	refresh  time.Time          // when the next plain read is due
	fresh    time.Time          // until when Stale is left out
	poll     time.Time          // when the next plain read is due for want of a place; zero: there was one
	setbacks discovery.Setbacks // since the last answer to a blocking query
}

// turn returns how to ask, as soon as it is time to.
func (s *Source) turn(ctx context.Context) (ask, error) {
	era, _ := s.client.eras.now()
	if era != s.state.era || s.rights.changed(s.client.asker(s.query, discovery.TokenOf(s.client.opts.Token))) {
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
		st.poll = now.Add(interval + rand.N(interval/5))
	}
	s.diary.Polls(st.poll)
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

func (st *state) apply(a ask, r reply, reading discovery.Reading) {
	now := time.Now()
	st.index, st.top, st.last = r.index, r.index, reading
	if a.index > 0 {
		st.setbacks.End()
		return
	}
	st.refresh = now.Add(discovery.Around(safety))
}

// next returns how to ask at that time.
func (st *state) next(o *Options, now time.Time) ask {
	if st.index == 0 || !now.Before(st.refresh) {
		return ask{mode: Default}
	}
	a := ask{mode: o.Consistency, index: st.index, wait: discovery.Around(o.Wait)}
	if now.Before(st.fresh) {
		a.mode = Default
	}
	if st.failed {
		a.wait = min(a.wait, probeWait)
	}
	return a
}
