package consul

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeWait   = 2 * time.Second  // of the first blocking query after an error
	safety      = 10 * time.Minute // ±20 %: how often the set is read whole though nothing seems to have changed
	freshFor    = 10 * time.Second // how long Stale is left out after an answer that was too old
	maxReseeds  = 3                // that many in a row within
	reseedsTime = time.Minute      // are an error
)

// A Source watches one service. It is a [discovery.Source].
type Source struct {
	client *Client
	query  Query
	state  state        // of Next
	have   atomic.Int64 // 1 + state.have, for Confirm
}

var _ discovery.Source = (*Source)(nil)

// A state is what Next remembers between two calls.
type state struct {
	index   uint64            // to wait beyond; 0: ask with a plain read
	have    int               // instances in the last reply that was applied; -1: none was
	last    discovery.Reading // made of it
	failed  bool              // the last request was answered with an error
	refresh time.Time         // when the next plain read is due
	fresh   time.Time         // until when Stale is left out
	reseeds []time.Time       // since the last answer to a blocking query
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
// queries. An unchanged set is returned again when a blocking query ends: it
// proves that the set still holds. The index is kept over errors, so that a
// server that is behind blocks instead of answering with old data.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	for {
		a := s.state.next(&s.client.opts, time.Now())
		r, err := s.client.get(ctx, s.query, a)
		var v verdict
		if err == nil {
			v, err = judge(a, s.state.have, s.client.opts.MaxStale, r)
		}
		if err == nil && v == doubtful {
			r, err = s.consistently(ctx)
			v = apply
		}
		if err == nil && v == reseed {
			err = s.state.reseed(time.Now())
		}
		if err != nil {
			s.state.failed = true
			return discovery.Reading{}, err
		}
		if reading, known := s.take(a, v, r); known {
			return reading, nil
		}
	}
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
func (s *Source) take(a ask, v verdict, r reply) (reading discovery.Reading, known bool) {
	st := &s.state
	st.failed = false
	switch v {
	case apply:
		st.apply(a, r, s.query.reading(r))
		s.have.Store(int64(st.have) + 1)
		return st.last, true
	case applyWeak:
		// Its absences are not believed; a plain read is honest about the leader.
		st.index = 0
		reading = s.query.reading(r)
		reading.Weak = true
		return reading, true
	case unchanged:
		st.reseeds = nil
		return st.last, true
	case tooOld:
		st.index, st.fresh = 0, time.Now().Add(freshFor)
	}
	return discovery.Reading{}, false
}

func (st *state) apply(a ask, r reply, reading discovery.Reading) {
	now := time.Now()
	st.index, st.have, st.last = r.index, len(r.entries), reading
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
