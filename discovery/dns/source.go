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
// [discovery.Source], [discovery.Active], [discovery.Recoverer],
// [discovery.Rememberer] and [discovery.Diagnoser].
type Source struct {
	client  *Client
	subject subject
	kind    string
	due     time.Time // when Next asks again; zero: at once
	placed  bool      // whether it is spread out among the others
	holders holders
	slots   chan struct{} // one for each lookup at a time,
	spare   chan struct{} // and of what was unknown before

	mu       sync.Mutex // guards following, never held while asking
	sets     map[key]*set
	settled  time.Time     // until then servers may not know again all that the name leads to
	failing  bool          // the name itself was unknown at the last lookup
	changed  chan struct{} // closed and replaced when a set was looked up
	news     bool          // what the last reading did not wait for is known
	round    round
	priority uint16 // of the SRV records in use
	pinned   string // the name that first had records, of the search list
	searched time.Time
	gaps     []string // of the last reading, that are worth a remark
	activity discovery.Activity
}

// A round is what one reading is made of.
type round struct {
	roots   []question
	targets []question
}

var (
	_ discovery.Source    = (*Source)(nil)
	_ discovery.Active    = (*Source)(nil)
	_ discovery.Recoverer = (*Source)(nil)
)

// Source returns the source for q. The error says what is wrong with q; nothing
// is asked yet.
func (c *Client) Source(q Query) (*Source, error) {
	sub, err := q.subject(c.options.Search)
	if err != nil {
		return nil, err
	}
	return sourceOf(c, sub, q.kind()), nil
}

func sourceOf(c *Client, sub subject, kind string) *Source {
	return &Source{
		client: c, subject: sub, kind: kind, slots: make(chan struct{}, 2*maxParallel), spare: make(chan struct{}, maxParallel),
		sets: map[key]*set{}, changed: make(chan struct{}), searched: time.Now().Add(-searchEvery*4/5 - rand.N(searchEvery/10)),
	}
}

// String returns the type and the name that are asked for.
func (s *Source) String() string { return "dns " + s.kind + " " + label(s.subject.name) }

// Next asks, as soon as the TTL of the last answer is over: see [Options]. At
// first, and after an error, it asks at once. It returns within milliseconds
// when ctx is done. A lookup of one set of records takes 8s at most, and goes on
// after Next has returned without it, until ctx is done; then the next call returns
// as soon as it is answered.
//
// There is one part for each address family of a name; for a service, one for its SRV
// records, and below that one for each target, port and family. A part that lacks
// something which was there rests on two answers, and lacks only what both of them
// lack; if there was no second answer it is partial. So is a part of which every
// record was refused, or of whose records each answer has only some, or that lacks
// something within 10s after an error. Once answers are known to be parts of a larger
// set, what they come to together is whole.
//
// That there is nothing is whole if a server that has had records says so twice. If
// those are silent, the part is unknown. If no server ever had records, it is partial
// and empty.
func (s *Source) Next(ctx context.Context) (discovery.Reading, error) {
	late, err := s.await(ctx)
	if err != nil {
		return discovery.Reading{}, err
	}
	if !late {
		s.due = time.Time{}
		if err := s.read(ctx); err != nil {
			return discovery.Reading{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = false
	got := s.assemble(s.round, s.viewed)
	s.noteAnswer(got, late)
	if got.err != nil {
		s.due = time.Time{}
		return discovery.Reading{}, got.err
	}
	if !late {
		s.due = time.Now().Add(s.wait(got.ttl))
	}
	s.activity.Next = s.due
	return got.reading, nil
}

// await returns when it is time to ask again, or, late, when what the last reading
// did not wait for is known.
func (s *Source) await(ctx context.Context) (late bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if s.due.IsZero() || !time.Now().Before(s.due) {
		return false, nil
	}
	s.findHolders(ctx)
	due := time.NewTimer(time.Until(s.due))
	defer due.Stop()
	for {
		s.mu.Lock()
		news, changed := s.news, s.changed
		s.mu.Unlock()
		if news {
			return true, nil
		}
		select {
		case <-changed:
		case <-due.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
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

// read makes one round of lookups. Its error is that of ctx, or of a question that is
// too large.
func (s *Source) read(ctx context.Context) error {
	l := s.begin()
	s.noteQuestion(l)
	var r round
	var err error
	if r.roots, err = s.roots(ctx, l); err != nil {
		return err
	}
	s.afterRoots(r.roots)
	if s.subject.srv {
		root := s.result(r.roots[0].set)
		if root.err == nil {
			s.mu.Lock()
			r.targets, err = l.targets(root, s.sets)
			s.mu.Unlock()
			if err == nil && len(r.targets) > 0 {
				err = s.gather(ctx, l, asked(r.targets), true)
			}
		}
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() == nil {
			s.noteAnswer(assembly{err: err}, false)
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round = r
	if s.subject.srv && s.set(r.roots[0].set).view().state == discovery.Whole {
		s.forget(append(slices.Clone(r.roots), r.targets...))
	}
	return nil
}

// afterRoots notes whether the name itself is in trouble, and which name it is.
func (s *Source) afterRoots(roots []question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, whole := false, false
	for _, q := range roots {
		r := s.set(q.set).view()
		known = known || r.err == nil
		whole = whole || r.state == discovery.Whole && len(r.items) > 0
	}
	switch {
	case !known:
		s.failing = true
	case s.failing:
		s.failing, s.settled = false, time.Now().Add(settleTime)
	}
	if s.subject.relative && whole {
		s.pinned = roots[0].of.name
	}
}

func (s *Source) result(k key) result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set(k).view()
}

// viewed is what is known of the set of q, and notes what is still asked for. It needs
// s.mu.
func (s *Source) viewed(q question) result {
	st := s.set(q.set)
	st.missed = st.busy
	return st.view()
}

func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
