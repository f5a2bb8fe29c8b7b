package longpoll

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeWait = time.Second / 4  // of the first blocking query after an error: long enough to tell a lower index
	safety    = 10 * time.Minute // ±20 %: how often the set is read whole though nothing seems to have changed
	freshFor  = 10 * time.Second // how long only the leader is asked after an answer that was too old
)

// A state is what Next remembers between two calls.
type state struct {
	index    uint64            // to wait beyond; 0: ask with a plain read
	top      uint64            // the index of the last reply that was applied,
	epoch    int               // in which that was,
	last     discovery.Reading // and what was made of it
	token    string            // that the index is of
	failed   bool              // the last request was answered with an error,
	failedAt time.Time         // at that time
	refresh  time.Time         // when the next plain read is due
	fresh    time.Time         // until when only the leader is asked
	poll     time.Time         // when the next plain read is due for want of a place; zero: there was one
	resets   indexResets       // since the last answer to a blocking query
}

// Index returns the index that Next waits beyond; 0: it reads plainly. It must not be
// called while Next runs.
func (s *Source[R]) Index() uint64 { return s.state.index }

// Last returns what was made of the last reply that was applied. It must not be called
// while Next runs.
func (s *Source[R]) Last() discovery.Reading { return s.state.last }

// turn returns how to ask, as soon as it is time to.
func (s *Source[R]) turn(ctx context.Context) (Request, error) {
	st := &s.state
	if epoch, _ := s.client.epochs.now(); epoch != st.epoch {
		st.index = 0
	}
	if token := s.client.Token(); token != st.token { // it may see more, or less
		st.token, st.index = token, 0
	}
	q := st.next(&s.client.opts, time.Now())
	if !q.Blocking() || !s.client.wire.http1.Load() || s.place.held() {
		return q, ctx.Err()
	}
	if s.place = s.client.budget.acquire(ctx); s.place != nil {
		st.poll = time.Time{}
		return q, ctx.Err()
	}
	return s.pollOrAcquire(ctx, q)
}

// pollOrAcquire waits until the service is to be polled, or there is a place for q, a
// blocking query.
func (s *Source[R]) pollOrAcquire(ctx context.Context, q Request) (Request, error) {
	st := &s.state
	if st.failed {
		return plain(), ctx.Err()
	}
	interval, now := s.client.opts.PollInterval, time.Now()
	if st.poll.IsZero() {
		st.poll = now.Add(rand.N(interval)) // what began together spreads out
	} else if !now.Before(st.poll) {
		st.poll = now.Add(interval + rand.N(interval/5))
	}
	s.activity.pollsAt(st.poll)
	timer := time.NewTimer(time.Until(st.poll))
	defer timer.Stop()
	for places := s.client.budget.queries; ; places = nil { // one try is enough
		select {
		case <-ctx.Done():
			return q, ctx.Err()
		case <-timer.C:
			return plain(), nil
		case places <- struct{}{}:
		}
		if s.place = s.client.budget.count(ctx); s.place != nil {
			st.poll = time.Time{}
			return q, nil
		}
	}
}

// apply remembers what was made of a reply to q with that index.
func (st *state) apply(q Request, index uint64, reading discovery.Reading, epoch int) {
	st.index, st.top, st.last, st.epoch = index, index, reading, epoch
	if q.Blocking() {
		st.resets.end()
		return
	}
	st.refresh = time.Now().Add(Around(safety))
}

func (st *state) next(o *Options, now time.Time) Request {
	if st.index == 0 || !now.Before(st.refresh) {
		return plain()
	}
	q := Request{Mode: o.Mode, Index: st.index, Wait: Around(o.Wait)}
	if now.Before(st.fresh) {
		q.Mode = Default
	}
	if st.failed {
		q.Wait = min(q.Wait, probeWait)
	}
	return q
}
