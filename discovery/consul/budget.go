package consul

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	readsHTTP1 = 8                        // plain reads at a time where each needs a connection,
	queries    = connections - readsHTTP1 // which leaves so many for blocking queries
	readsHTTP2 = 16                       // plain reads at a time where they share some

	patience = 30 * time.Second // for a place among the plain reads
	brakeFor = 5 * time.Second  // ±20 %: nothing is asked after Consul was too busy
)

// A budget shares out what one agent takes of one client at a time.
type budget struct {
	queries, http1, http2 chan struct{} // one element for each that is under way
	counted               chan struct{} // one for each query that the agent counts
	brake                 brake
}

func newBudget() *budget {
	return &budget{
		queries: make(chan struct{}, queries), counted: make(chan struct{}, 2*queries),
		http1: make(chan struct{}, readsHTTP1), http2: make(chan struct{}, readsHTTP2),
	}
}

// read waits for a place among the plain reads, and for the end of a brake. Its
// errors are ctx's own or a [discovery.Error].
func (b *budget) read(ctx context.Context, http1 bool) (leave func(), err error) {
	places := b.http2
	if http1 {
		places = b.http1
	}
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for b.brake.wait(brief) == nil {
		select {
		case <-brief.Done():
			continue
		case places <- struct{}{}:
		}
		if b.brake.left(time.Now()) == 0 {
			return func() { <-places }, nil
		}
		<-places // it was pulled meanwhile
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case b.brake.pulledWithin(patience):
		return nil, discovery.Errorf(discovery.Busy, "Consul is too busy: this was not asked for %s", patience)
	}
	return nil, discovery.Errorf(discovery.Transport, "%d reads before this one were not answered within %s", cap(places), patience)
}

// sit takes a place among the blocking queries, which is kept until ctx is done or
// it is left; nil if none is free.
func (b *budget) sit(ctx context.Context) *seat {
	select {
	case b.queries <- struct{}{}:
		return b.seated(ctx)
	default:
		return nil
	}
}

// seated makes a seat of a place that was taken; nil if the agent counts too many
// queries that were given up.
func (b *budget) seated(ctx context.Context) *seat {
	select {
	case b.counted <- struct{}{}:
	default:
		<-b.queries
		return nil
	}
	s := &seat{budget: b, left: make(chan struct{})}
	s.stop = context.AfterFunc(ctx, s.free)
	return s
}

// A seat is a place among the blocking queries. A source keeps it from one to the
// next: who has none polls, and changing over would help nobody.
type seat struct {
	budget *budget
	once   sync.Once
	left   chan struct{} // closed when it is free again
	stop   func() bool
	until  atomic.Pointer[time.Time] // when the query that is under way ends by itself; nil: none is
}

// asks says that a query begins that waits so long. A nil seat may ask as well.
func (s *seat) asks(wait time.Duration) {
	if s != nil {
		s.until.Store(new(time.Now().Add(wait + wait/16)))
	}
}

// answered says that it has ended, and was not given up.
func (s *seat) answered() {
	if s != nil {
		s.until.Store(nil)
	}
}

// leave frees the place, if that was not done. A nil seat may be left.
func (s *seat) leave() {
	if s != nil {
		s.stop()
		s.free()
	}
}

// free has others take the place at once. But the agent goes on with a query that
// was given up.
func (s *seat) free() {
	s.once.Do(func() {
		close(s.left)
		<-s.budget.queries
		if until := s.until.Load(); until != nil {
			time.AfterFunc(time.Until(*until), func() { <-s.budget.counted })
		} else {
			<-s.budget.counted
		}
	})
}

// taken reports whether s is a seat that was not left.
func (s *seat) taken() bool {
	if s == nil {
		return false
	}
	select {
	case <-s.left:
		return false
	default:
		return true
	}
}

// A brake keeps all requests back for a while.
type brake struct {
	mu    sync.Mutex // guards following
	until time.Time
}

func (b *brake) pull() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Now().Add(discovery.Around(brakeFor))
}

// left is how long nothing may be asked yet.
func (b *brake) left(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.until.Sub(now), 0)
}

func (b *brake) pulledWithin(d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.until) < d
}

// wait returns ctx's error, or nil after the brake and a little more, so that not
// everybody starts at once.
func (b *brake) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		left := b.left(time.Now())
		if left == 0 {
			return nil
		}
		discovery.Sleep(ctx, left+rand.N(brakeFor/5))
	}
	return ctx.Err()
}
