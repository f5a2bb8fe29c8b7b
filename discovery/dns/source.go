package dns

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// settleTime is how long nothing is missed after servers have failed.
const settleTime = 10 * time.Second

// A Source is one query, asked again and again. It implements
// [discovery.Source], [discovery.Active] and [discovery.Recoverer].
type Source struct {
	client  *Client
	subject subject
	kind    string
	due     time.Time // when Next asks again; zero: at once
	placed  bool      // whether it has its place among the others
	trouble bool      // the last lookup failed
	settled time.Time // until then, servers that were in trouble may not know everything again

	mu        sync.Mutex // guards following, never held while asking
	published []discovery.Endpoint
	known     memory
	pinned    string // the name that first had records, of the search list
	parts     parts
	activity  discovery.Activity
}

var (
	_ discovery.Source    = (*Source)(nil)
	_ discovery.Active    = (*Source)(nil)
	_ discovery.Recoverer = (*Source)(nil)
)

// Source returns the source for q. The error says what is wrong with q; nothing
// is asked yet.
func (c *Client) Source(q Query) (*Source, error) {
	s, err := q.subject(c.options.Search)
	if err != nil {
		return nil, err
	}
	source := &Source{client: c, subject: s, kind: q.kind()}
	source.parts.mode, source.parts.hold = c.options.Answers, c.options.HoldObsolete
	if c.options.TCP == Never && c.options.Answers == Auto && isConsul(s.name) {
		source.parts.mode = Partial // what Consul says over UDP is cut
	}
	return source, nil
}

// String returns the type and the name that are asked for.
func (s *Source) String() string { return "dns " + s.kind + " " + label(s.subject.name) }

// Next asks, as soon as the TTL of the last answer is over: see [Options]. At
// first, and after an error, it asks at once. It returns within milliseconds
// when ctx is done, and a lookup takes 8s at most.
//
// A reading without something that the last one had rests on two answers, and
// lacks only what both of them lack. If there was no second answer, the reading
// still has it, and is weak. Weak is also a reading for which a part of the
// answer was neither to be had nor remembered, or of which every record was
// refused, or that may be a part of a larger set, or that lacks something within
// 10s after an error. Once answers are known to be
// parts, a reading is what they come to together.
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
	s.due = time.Now().Add(s.wait(v.ttl))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published, s.known = v.remains(s.published), v.known
	if s.subject.relative && v.outcome == found && v.weak == "" {
		s.pinned = v.name
	}
	s.activity.Next = s.due
	return v.reading(), nil
}

// wait is how long the answer of that TTL lives, ±10 %, so that many sources do
// not ask in step. The first one lives shorter by a random part of the shortest
// time, since all of them have asked when the program started.
func (s *Source) wait(ttl time.Duration) time.Duration {
	d := spread(s.client.pace(ttl))
	if !s.placed {
		s.placed = true
		d -= rand.N(s.client.options.MinRefresh + 1)
	}
	return d
}

// Confirm asks a server other than the one that answered last, or, if there is
// no other alive, that one over TCP. It takes 8s at most.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	asking, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	l := s.begin()
	f, err := l.second(asking, l.client.roster.order(l.settings.servers, false)[0])
	switch {
	case ctx.Err() != nil:
		return discovery.Reading{}, ctx.Err()
	case err != nil:
		return discovery.Reading{}, err
	}
	v := s.judge(alone(f), s.hear(f, true), len(f.endpoints) > 0)
	return v.reading(), capped(v.endpoints)
}

// read makes one lookup, or two if the first would take something away.
func (s *Source) read(ctx context.Context) (verdict, error) {
	asking, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	l := s.begin()
	s.asking(l)
	first, err := l.first(asking)
	s.answered(first, err)
	s.settle(ctx, err)
	if err != nil {
		return verdict{}, err
	}
	whole := !l.strays(first) && s.hear(first, false)
	if len(first.endpoints) > 0 && (whole || len(lacking(first.endpoints, l.published)) == 0) && !l.strays(first) {
		v := s.judge(alone(first), whole, true)
		return v, capped(v.endpoints)
	}
	second, err := l.second(asking, first.server)
	switch {
	case err != nil && l.strays(first):
		return verdict{}, err // the name that is earlier in the search list may exist
	case err != nil:
		return unconfirmed(first, l.published, err), nil
	}
	whole = s.hear(second, true)
	v := agreed(first, second)
	if time.Now().Before(s.settled) && len(lacking(v.endpoints, l.published)) > 0 {
		return unsettled(v, l.published), nil
	}
	v = s.judge(v, whole, len(v.endpoints) > 0)
	return v, capped(v.endpoints)
}

// settle notes the end of trouble: a server that was just started may have only
// a part of what it is going to know.
func (s *Source) settle(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.trouble = true
	case s.trouble:
		s.trouble, s.settled = false, time.Now().Add(settleTime)
	}
}

// hear takes the answer that f rests on into account, and says whether answers
// are taken for parts.
func (s *Source) hear(f finding, second bool) (partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.weak == "" {
		s.parts.hear(sample{f.endpoints, f.server, f.ttl, max(s.client.pace(f.ttl), f.ttl), second}, s.published, time.Now())
	}
	return s.parts.on
}

// judge makes of v what it is worth, if answers may be parts. That there is
// nothing at all is not a part of anything.
func (s *Source) judge(v verdict, partial, some bool) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case partial && some:
		whole := s.parts.whole(time.Now())
		if v.weak != "" {
			whole = boundedUnion(v.endpoints, whole)
		}
		return assembled(v, whole)
	case some && s.parts.suspects():
		return doubtful(v, s.published)
	}
	return v
}

// A lookup is what one reading begins with.
type lookup struct {
	client    *Client
	settings  settings
	subject   subject
	names     []string
	published []discovery.Endpoint
	known     memory
}

func (s *Source) begin() lookup {
	l := lookup{client: s.client, settings: s.client.setup(), subject: s.subject, names: []string{s.subject.name}}
	if s.subject.relative {
		l.names = l.settings.candidates(s.subject.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(l.names, s.pinned) {
		l.names = []string{s.pinned}
	}
	l.published, l.known = s.published, s.known
	return l
}

func (l lookup) first(ctx context.Context) (finding, error) {
	a := asker{client: l.client, settings: l.settings, tries: l.client.everybody(l.settings), sticky: !l.settings.rotate}
	return a.search(ctx, l.subject, l.names, l.known)
}

// second asks for an opinion on what server says.
func (l lookup) second(ctx context.Context, server string) (finding, error) {
	a := asker{client: l.client, settings: l.settings, tries: l.client.others(l.settings, server)}
	return a.search(ctx, l.subject, l.names, l.known)
}

// strays says whether f rests on names that one server does not know.
func (l lookup) strays(f finding) bool { return f.outcome == found && f.rank > 0 }

// spread returns d ±10 %.
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
