package agent

import (
	"context"
	"sync"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// fakeSource says what a test tells it to say.
type fakeSource struct {
	mu       sync.Mutex
	news     chan struct{}
	reading  discovery.Reading
	err      error
	confirm  func() (discovery.Reading, error)
	confirms int
	next     func()               // called by every Next
	told     []discovery.Endpoint // what was answered last
	asked    bool
}

func newSource(ports ...int) *fakeSource {
	s := &fakeSource{news: make(chan struct{}, 1)}
	s.reading = discovery.Complete(eps(ports...)...)
	return s
}

// newMute returns a source that has not answered yet.
func newMute() *fakeSource {
	s := newSource()
	s.asked = true
	return s
}

func (s *fakeSource) String() string { return "test source" }

func (s *fakeSource) Next(ctx context.Context) (discovery.Reading, error) {
	s.mu.Lock()
	first, next := !s.asked, s.next
	s.asked = true
	s.mu.Unlock()
	if next != nil {
		next()
	}
	if !first {
		select {
		case <-s.news:
		case <-ctx.Done():
			return discovery.Reading{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.told = s.reading.Endpoints()
	}
	return s.reading, s.err
}

func (s *fakeSource) heard() []discovery.Endpoint { s.mu.Lock(); defer s.mu.Unlock(); return s.told }

func (s *fakeSource) Confirm(context.Context) (discovery.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirms++
	if s.confirm != nil {
		return s.confirm()
	}
	if s.err == nil {
		s.told = s.reading.Endpoints()
	}
	return s.reading, s.err
}

// confirmed is how often it was asked to confirm.
func (s *fakeSource) confirmed() int { s.mu.Lock(); defer s.mu.Unlock(); return s.confirms }

// onConfirm has the source confirm something else than it says; nil: the same.
func (s *fakeSource) onConfirm(f func() (discovery.Reading, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirm = f
}

// onNext has every Next call f first; nil: nothing.
func (s *fakeSource) onNext(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = f
}

// say makes the source answer.
func (s *fakeSource) say(r discovery.Reading, err error) {
	s.mu.Lock()
	s.reading, s.err = r, err
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *fakeSource) list(ports ...int) { s.say(discovery.Complete(eps(ports...)...), nil) }

func (s *fakeSource) fail() {
	s.say(discovery.Reading{}, discovery.Errorf(discovery.Transport, "refused"))
}

// eps and addr are made-up endpoints and their addresses.
var eps, addr = discoverytest.Endpoints, discoverytest.Addr

// partial is an answer of one part that proves who is there and not who is gone.
func partial(eps ...discovery.Endpoint) discovery.Reading {
	return discovery.Reading{Parts: []discovery.Part{{State: discovery.Partial, Endpoints: eps, Why: "cut"}}}
}
