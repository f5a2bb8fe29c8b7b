package consul

import (
	"context"
	"slices"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A Source watches one service. It is a [discovery.Source].
type Source struct {
	*longpoll.Source[reply]
	adapter *adapter
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
	q := s.adapter.query
	if dc := s.adapter.client.datacenter(q); dc != "" {
		return "consul service " + q.Service + " in " + dc
	}
	return "consul service " + q.Service
}

// Confirm implements [discovery.Source]: it asks the leader, which proves to be
// the leader first.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	r, err := s.Strongest(ctx)
	if err != nil {
		return discovery.Reading{}, err
	}
	reading := s.adapter.Reading(r)
	if s.adapter.rights.see(r, reading) {
		reading = reading.Partly(hidden)
	}
	return reading, nil
}

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	var remarks []string
	if _, err := s.adapter.freshness().holds(); err != nil {
		remarks = append(remarks, discovery.Printable("degraded, nothing is removed: "+err.Error(), 300))
	}
	if s.adapter.rights.isNarrowed() {
		remarks = append(remarks, "nothing is removed: "+hidden)
	}
	return s.Describe(remarks...)
}

// An adapter says how one service is asked for, and what its replies are worth. It is the
// [longpoll.Service] of a source.
type adapter struct {
	client *Client
	query  Query
	rights rights
}

// URL implements [longpoll.Service].
func (a *adapter) URL(q longpoll.Request) string { return a.client.url(a.query, q) }

// Get implements [longpoll.Service].
func (a *adapter) Get(ctx context.Context, q longpoll.Request) (reply, error) {
	return a.client.get(ctx, a.query, q)
}

// Judge implements [longpoll.Service].
func (a *adapter) Judge(q longpoll.Request, had int, r reply) (longpoll.Disposition, error) {
	return judge(q, had, a.rights.mayBeNone(r.identity), a.client.opts.MaxStale, r)
}

// Reading implements [longpoll.Service].
func (a *adapter) Reading(r reply) discovery.Reading { return a.query.reading(r) }

// Believe implements [longpoll.Service].
func (a *adapter) Believe(ctx context.Context, q longpoll.Request, d longpoll.Disposition, r reply, last, reading discovery.Reading) (longpoll.Disposition, discovery.Reading, error) {
	if d == longpoll.Apply && r.streaming && q.Blocking() {
		d = a.lost(last, reading)
	}
	if d == longpoll.ReadPlainly {
		return d, discovery.Reading{}, nil
	}
	unproved, err := a.proved(ctx, d, r, last, reading)
	if err != nil {
		return d, discovery.Reading{}, err
	}
	told := reading
	switch d {
	case longpoll.ApplyPartly:
		told = told.Partly(r.doubt())
	case longpoll.Apply:
		a.rights.see(r, reading)
	}
	if unproved {
		told = told.Partly("it was streamed to the agent, of which is not known whether it hears from its servers")
	}
	if a.rights.isNarrowed() {
		told = told.Partly(hidden)
	}
	a.rights.keep(told)
	return d, told, nil
}

// lost says what a reply is worth that was streamed to the agent and would be applied.
// Streams do not tell that the token may read less than before: what one lacks has to be
// lacked by a plain read, which comes next. What else is new in the reply does not wait for
// that, unless an endpoint is worse than it was and nothing proves that the stream is fresh.
func (a *adapter) lost(last, now discovery.Reading) longpoll.Disposition {
	before := discovery.ByAddr(last.Endpoints())
	if !lacks(now, before) {
		return longpoll.Apply
	}
	isNew := func(e discovery.Endpoint) bool { return before[e.Addr] != e }
	isWorse := func(e discovery.Endpoint) bool { old, there := before[e.Addr]; return there && e.State > old.State }
	fresh, _ := a.freshness().holds()
	eps := now.Parts[0].Endpoints
	if slices.ContainsFunc(eps, isNew) && (fresh || !slices.ContainsFunc(eps, isWorse)) {
		return longpoll.ApplyPartly
	}
	return longpoll.ReadPlainly
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

// freshness is that of the datacenter that is asked.
func (a *adapter) freshness() *freshness { return a.client.proofs.of(a.client.datacenter(a.query)) }

// proved says whether reading, which comes of r, rests on servers that are in touch
// with their leader. One that takes nothing away is unproved without; another is an
// error.
func (a *adapter) proved(ctx context.Context, d longpoll.Disposition, r reply, last, reading discovery.Reading) (unproved bool, err error) {
	p := a.freshness()
	switch {
	case r.isFresh(a.client.opts.MaxStale) && !r.cached:
		p.note()
		return false, nil
	case !r.streaming, d == longpoll.ApplyPartly:
		return false, nil
	case d == longpoll.Apply && !loses(last, reading):
		fresh, _ := p.holds()
		return !fresh, nil
	}
	return false, p.need(ctx, func(ctx context.Context) error { return a.client.prove(ctx, a.client.datacenter(a.query)) })
}
