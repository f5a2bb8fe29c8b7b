package dns

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Source is one query, asked again and again. It implements
// [discovery.Source].
type Source struct {
	client  *Client
	subject subject
	title   string
	due     time.Time // when Next asks again; zero: at once

	mu        sync.Mutex // guards following, never held while asking
	published []discovery.Endpoint
	known     memory
}

var _ discovery.Source = (*Source)(nil)

// Source returns the source for q. The error says what is wrong with q; nothing
// is asked yet.
func (c *Client) Source(q Query) (*Source, error) {
	s, err := q.subject()
	if err != nil {
		return nil, err
	}
	return &Source{client: c, subject: s, title: "dns " + q.kind() + " " + label(s.name)}, nil
}

// String returns the type and the name that are asked for.
func (s *Source) String() string { return s.title }

// Next asks, as soon as the TTL of the last answer is over: see [Options]. At
// first, and after an error, it asks at once. It returns within milliseconds
// when ctx is done, and a lookup takes 8s at most.
//
// A reading without something that the last one had rests on two answers, and
// lacks only what both of them lack. If there was no second answer, the reading
// still has it, and is weak. Weak is also a reading for which a part of the
// answer was neither to be had nor remembered, or of which every record was
// refused.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	if err := sleep(ctx, time.Until(s.due)); err != nil {
		return discovery.Reading{}, err
	}
	s.due = time.Time{}
	v, err := s.read(ctx)
	switch {
	case ctx.Err() != nil:
		return discovery.Reading{}, ctx.Err()
	case err != nil:
		return discovery.Reading{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published, s.known = v.remains(s.published), v.known
	s.due = time.Now().Add(spread(s.client.pace(v.ttl)))
	return v.reading(), nil
}

// Confirm asks a server other than the one that answered last, or, if there is
// only one, that one over TCP. It takes 8s at most.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	asking, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	_, known := s.remembered()
	a := asker{client: s.client, tries: s.client.others(s.client.best())}
	f, err := a.find(asking, s.subject, known)
	switch {
	case ctx.Err() != nil:
		return discovery.Reading{}, ctx.Err()
	case err != nil:
		return discovery.Reading{}, err
	}
	return alone(f).reading(), nil
}

// read makes one lookup, or two if the first would take something away.
func (s *Source) read(ctx context.Context) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	published, known := s.remembered()
	first, err := asker{client: s.client, tries: s.client.everybody(), sticky: true}.find(ctx, s.subject, known)
	if err != nil {
		return verdict{}, err
	}
	if len(first.endpoints) > 0 && len(lacking(first.endpoints, published)) == 0 {
		return alone(first), nil
	}
	second, err := asker{client: s.client, tries: s.client.others(first.server)}.find(ctx, s.subject, known)
	if err != nil {
		return unconfirmed(first, published, err), nil
	}
	v := agreed(first, second)
	return v, capped(v.endpoints)
}

func (s *Source) remembered() ([]discovery.Endpoint, memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published, s.known
}

// A verdict is what the answers of one reading come to.
type verdict struct {
	finding
	note string
}

func (v verdict) reading() discovery.Reading {
	r := discovery.Reading{
		Endpoints: slices.Clone(v.endpoints), Weak: v.weak != "", Rejected: v.rejected, Note: v.note,
	}
	if r.Weak {
		r.Note += "; weak: " + discovery.Printable(v.weak, 200)
	}
	return r
}

// alone is the verdict on an answer that needs no second one.
func alone(f finding) verdict { return verdict{f, f.says()} }

// agreed is the verdict on two answers: what either shows is there.
func agreed(first, second finding) verdict {
	v := verdict{finding: first, note: first.says() + ", " + second.says()}
	switch same := first.outcome == second.outcome; {
	case same && first.server == second.server:
		v.note = string(first.outcome) + " twice from " + first.server
	case same:
		v.note = string(first.outcome) + " from 2 servers"
	}
	v.endpoints = union(first.endpoints, second.endpoints)
	if len(first.endpoints) == 0 {
		v.rejected = second.rejected
	}
	if v.weak == "" {
		v.weak = second.weak
	}
	v.ttl = min(first.ttl, second.ttl)
	v.known = memory{}
	v.known.add(first.known)
	v.known.add(second.known)
	return v
}

// unconfirmed is the verdict on an answer that lacks something and that nobody
// confirmed: nothing is missing yet.
func unconfirmed(first finding, published []discovery.Endpoint, err error) verdict {
	v := alone(first)
	v.endpoints = boundedUnion(first.endpoints, published)
	v.weak = "no second answer: " + err.Error()
	v.ttl = 0
	return v
}

// remains is what the next reading is compared with. What a weak reading lacks
// is not gone.
func (v verdict) remains(published []discovery.Endpoint) []discovery.Endpoint {
	if v.weak == "" {
		return v.endpoints
	}
	return boundedUnion(v.endpoints, published)
}

func (f finding) says() string { return string(f.outcome) + " from " + f.server }

// lacking lists the endpoints of want whose address have lacks.
func lacking(have, want []discovery.Endpoint) []discovery.Endpoint {
	var out []discovery.Endpoint
	for _, w := range want {
		_, ok := slices.BinarySearchFunc(have, w, func(a, b discovery.Endpoint) int { return a.Addr.Compare(b.Addr) })
		if !ok {
			out = append(out, w)
		}
	}
	return out
}

// union is a and what it lacks of b; where both have an endpoint it is a's.
func union(a, b []discovery.Endpoint) []discovery.Endpoint {
	return discovery.Normalize(slices.Concat(a, lacking(a, b)))
}

// boundedUnion is the union, or a alone if that would be too many: what is kept
// for want of proof must not grow for ever.
func boundedUnion(a, b []discovery.Endpoint) []discovery.Endpoint {
	if all := union(a, b); capped(all) == nil {
		return all
	}
	return a
}

// pace is how long an answer lives: its TTL, within the bounds of the options.
func (c *Client) pace(ttl time.Duration) time.Duration {
	return min(max(ttl, c.options.MinRefresh), c.options.MaxRefresh)
}

// spread returns d ±10 %, so that many sources do not ask in step.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
