package consul

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Source watches one service. It is a [discovery.Source].
type Source struct {
	client *Client
	query  Query
	state  state        // of Next
	seat   *seat        // of Next; nil at first
	have   atomic.Int64 // 1 + the instances in the last reply that was applied; 0: none was
	rights rights
	hopes  discovery.Hopes // see Recovered
	diary  diary
}

var (
	_ discovery.Source     = (*Source)(nil)
	_ discovery.Recoverer  = (*Source)(nil)
	_ discovery.Active     = (*Source)(nil)
	_ discovery.Rememberer = (*Source)(nil)
	_ discovery.Acceptor   = (*Source)(nil)
)

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
		if s.state.failed && known && (reading.Whole() || s.rights.isNarrowed()) {
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
	v, err := s.judge(a, r)
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
	if err == nil && v == apply && r.streaming && a.index > 0 {
		v = s.lost(r)
	}
	if err == nil && v == reseed {
		s.state.index = 0
		err = s.state.setbacks.Add(time.Now())
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
		s.diary.Answered(r.summary(), err)
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
	reading := s.query.reading(r)
	if s.rights.see(r, reading) {
		reading = reading.Partly(hidden)
	}
	return reading, nil
}

func (s *Source) consistently(ctx context.Context) (reply, error) {
	a := ask{mode: consistent}
	r, err := s.client.get(ctx, s.query, a)
	if err != nil {
		return reply{}, err
	}
	_, err = s.judge(a, r)
	return r, err
}

func (s *Source) judge(a ask, r reply) (verdict, error) {
	return judge(a, int(s.have.Load())-1, s.rights.mayBeNone(r.asker), s.client.opts.MaxStale, r)
}

// lost says what a reply is worth that was streamed to the agent. Streams do not tell
// that the token may read less than before: what one lacks has to be lacked by a plain
// read, which comes next. What else is new in the reply does not wait for that, unless
// an endpoint is worse than it was and nothing proves that the stream is fresh.
func (s *Source) lost(r reply) verdict {
	now := s.query.reading(r)
	if !lacks(now, addresses(s.state.last)) {
		return apply
	}
	before := map[netip.AddrPort]discovery.Endpoint{}
	for _, e := range s.state.last.Parts[0].Endpoints {
		before[e.Addr] = e
	}
	isNew := func(e discovery.Endpoint) bool { return before[e.Addr] != e }
	isWorse := func(e discovery.Endpoint) bool { old, there := before[e.Addr]; return there && e.State > old.State }
	fresh, _ := s.client.fresh.of(s.client.datacenter(s.query)).holds()
	eps := now.Parts[0].Endpoints
	if slices.ContainsFunc(eps, isNew) && (fresh || !slices.ContainsFunc(eps, isWorse)) {
		return applyPartly
	}
	return readPlainly
}

// take carries out v. known is false if there is nothing to say yet.
func (s *Source) take(ctx context.Context, a ask, v verdict, r reply) (reading discovery.Reading, known bool, err error) {
	st := &s.state
	switch v {
	case apply, applyPartly:
		reading = s.query.reading(r)
	case tooOld:
		st.index, st.fresh = 0, time.Now().Add(freshFor)
		s.noteFresh(st.fresh)
		return reading, false, nil
	case readPlainly:
		st.index = 0
		return reading, false, nil
	case unchanged:
		reading = st.last
	default:
		return reading, false, nil
	}
	unproved, err := s.proved(ctx, v, r, reading)
	if err != nil {
		st.index = 0
		return reading, false, err
	}
	switch v {
	case applyPartly:
		// Its absences are not believed; a plain read is honest about the leader.
		st.index = 0
		reading = reading.Partly(r.doubt())
	case apply:
		st.apply(a, r, reading)
		s.have.Store(int64(len(r.entries)) + 1)
		s.rights.see(r, reading)
	case unchanged:
		st.setbacks.End()
	}
	if unproved {
		reading = reading.Partly("it was streamed to the agent, of which is not known whether it hears from its servers")
	}
	if s.rights.isNarrowed() {
		reading = reading.Partly(hidden)
	}
	s.rights.keep(reading)
	return reading, true, nil
}

// hidden is why a list is partial of which the token may read less than before.
const hidden = "the token may read less than before: give it back node:read and service:read, or accept what is gone"

// doubt says why what is not in r may be there nevertheless.
func (r reply) doubt() string {
	if r.streaming {
		return "what the stream lacks was not read plainly yet"
	}
	return "the server knows no leader"
}

// proved says whether reading, which comes of r, rests on servers that are in touch
// with their leader. One that takes nothing away is unproved without; another is an
// error.
func (s *Source) proved(ctx context.Context, v verdict, r reply, reading discovery.Reading) (unproved bool, err error) {
	datacenter := s.client.datacenter(s.query)
	p := s.client.fresh.of(datacenter)
	switch {
	case r.proves(s.client.opts.MaxStale) && !r.cached:
		p.note()
		return false, nil
	case !r.streaming, v == applyPartly:
		return false, nil
	case v == apply && !loses(s.state.last, reading):
		fresh, _ := p.holds()
		return !fresh, nil
	}
	return false, p.need(ctx, func(ctx context.Context) error { return s.client.prove(ctx, datacenter) })
}
