package longpoll

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	readsHTTP2  = 16               // plain reads at a time where they share connections
	patience    = 30 * time.Second // for a place among the plain reads
	cooldownFor = 5 * time.Second  // ±20 %: nothing is asked after the agent was too busy
)

// A budget shares out what the sources of one client take of their agent at a time.
//
// An agent goes on with a query that was given up until its wait is over, and counts it
// against the address that it came from. So such queries are counted here too: without
// that, replacing all watches at once would make the agent refuse everybody on this host.
type budget struct {
	system                string        // what errors call it
	queries, http1, http2 chan struct{} // one element for each that is under way
	counted               chan struct{} // one for each query that the agent counts
	cooldown              cooldown
}

func newBudget(system string, queries, reads int) *budget {
	return &budget{
		system:  system,
		queries: make(chan struct{}, queries), counted: make(chan struct{}, 2*queries),
		http1: make(chan struct{}, reads), http2: make(chan struct{}, readsHTTP2),
	}
}

// read waits for a place among the plain reads, and for the end of a cooldown. Its
// errors are ctx's own or a [discovery.Error].
func (b *budget) read(ctx context.Context, http1 bool) (leave func(), err error) {
	places := b.http2
	if http1 {
		places = b.http1
	}
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for b.cooldown.wait(brief) == nil {
		select {
		case <-brief.Done():
			continue
		case places <- struct{}{}:
		}
		if b.cooldown.left(time.Now()) == 0 {
			return func() { <-places }, nil
		}
		<-places // a cooldown began meanwhile
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case b.cooldown.endedWithin(patience):
		return nil, discovery.Errorf(discovery.Busy, "%s is too busy: this was not asked for %s", b.system, patience)
	}
	return nil, discovery.Errorf(discovery.Transport, "%d reads before this one were not answered within %s", cap(places), patience)
}

// acquire takes a place among the blocking queries, which is kept until ctx is done or
// it is released; nil if none is free.
func (b *budget) acquire(ctx context.Context) *place {
	select {
	case b.queries <- struct{}{}:
		return b.count(ctx)
	default:
		return nil
	}
}

// count returns the place of an element that was put into b.queries; nil if the agent
// counts too many queries that were given up.
func (b *budget) count(ctx context.Context) *place {
	select {
	case b.counted <- struct{}{}:
	default:
		<-b.queries
		return nil
	}
	p := &place{budget: b, released: make(chan struct{})}
	p.stop = context.AfterFunc(ctx, p.free)
	return p
}

// A place is one of the blocking queries that may be under way. A source keeps it from
// one query to the next: a source without one polls, and taking turns would help nobody.
type place struct {
	budget   *budget
	once     sync.Once
	released chan struct{} // closed when it is free again
	stop     func() bool
	until    atomic.Pointer[time.Time] // when the query that is under way ends by itself; nil: none is
}

// begin says that a query begins that waits so long. p may be nil.
func (p *place) begin(wait time.Duration) {
	if p != nil {
		p.until.Store(new(time.Now().Add(wait + wait/16)))
	}
}

// end says that the query was answered, and not given up. p may be nil.
func (p *place) end() {
	if p != nil {
		p.until.Store(nil)
	}
}

// release frees the place, if that was not done. p may be nil.
func (p *place) release() {
	if p != nil {
		p.stop()
		p.free()
	}
}

// free lets other sources take the place at once, but counts a query that was given up
// for as long as the agent does.
func (p *place) free() {
	p.once.Do(func() {
		close(p.released)
		<-p.budget.queries
		if until := p.until.Load(); until != nil {
			time.AfterFunc(time.Until(*until), func() { <-p.budget.counted })
		} else {
			<-p.budget.counted
		}
	})
}

func (p *place) held() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.released:
		return false
	default:
		return true
	}
}

// A cooldown keeps all requests back for a while.
type cooldown struct {
	mu    sync.Mutex // guards following
	until time.Time
}

func (c *cooldown) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Now().Add(Around(cooldownFor))
}

// left is how long nothing may be asked yet.
func (c *cooldown) left(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.until.Sub(now), 0)
}

func (c *cooldown) endedWithin(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.until) < d
}

// wait returns ctx's error, or nil after the cooldown and a little more, so that not
// all begin at once.
func (c *cooldown) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		left := c.left(time.Now())
		if left == 0 {
			return nil
		}
		discovery.Sleep(ctx, left+rand.N(cooldownFor/5))
	}
	return ctx.Err()
}
