package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Recoverer is a [Source] that learns sooner than a pause ends that it is worth
// asking again.
type Recoverer interface {
	// Recovered blocks until the system answers again that failed with err, or ctx
	// is done. [Watch] calls it for as long as it pauses after an error.
	Recovered(ctx context.Context, err error)
}

// recovered waits until ctx is done, or until src says that it is worth asking
// again.
func recovered(ctx context.Context, src Source, err error) {
	if r, ok := src.(Recoverer); ok {
		r.Recovered(ctx, err)
	} else {
		<-ctx.Done()
	}
}

// probeEvery is how often a system that failed is asked whether it is back, ±20 %.
const probeEvery = time.Second

// spread is within which all sources go on after a recovery.
const spread = 300 * time.Millisecond

// Hopes bound how often a source goes on sooner than its pause ends. One whose own
// question fails though others are answered would else go on for ever with each of
// them. They are made by [NewHopes]; the zero value cannot be used. They are safe for
// concurrent use.
type Hopes struct{ limit *rate.Limiter }

// NewHopes lets a source go on burst times, and after those once each every.
func NewHopes(every time.Duration, burst int) Hopes {
	return Hopes{rate.NewLimiter(rate.Every(every), burst)}
}

// Wait returns soon, at a time that is random so that not all go on at once, if there
// is hope left, else when ctx is done.
func (h Hopes) Wait(ctx context.Context) {
	if ctx.Err() == nil && !h.limit.Allow() {
		<-ctx.Done()
		return
	}
	Sleep(ctx, rand.N(spread))
}

// A Gate has the sources of one system learn together that it answers again: while
// any of them waits, one asks, about once a second, and when it is answered all go
// on. So hundreds of sources are back within a second or two of their system, and
// ask it less in between. The zero value is ready for use.
type Gate struct {
	mu     sync.Mutex    // guards following
	turn   chan struct{} // held by the one that asks
	opened chan struct{} // closed when it was answered
	next   time.Time     // when to ask again, whoever's turn it is by then
}

// Wait returns when ask, called by this caller or any other, returns nil, or when
// ctx is done. ask must have a deadline of its own. Callers take turns: what keeps
// one of them from being answered does not keep the others waiting.
func (g *Gate) Wait(ctx context.Context, ask func(context.Context) error) {
	turn, opened := g.now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-opened:
			return
		case turn <- struct{}{}:
		}
		if g.probe(ctx, turn, opened, ask) {
			return
		}
	}
}

// probe asks once, when it is time to, and gives the turn back. It reports whether
// the gate is open.
func (g *Gate) probe(ctx context.Context, turn, opened chan struct{}, ask func(context.Context) error) bool {
	defer func() { <-turn }()
	due := time.NewTimer(g.due())
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-opened:
		return true
	case <-due.C:
	}
	if ctx.Err() != nil {
		return false
	}
	g.schedule()
	err := ask(ctx)
	if err == nil {
		g.open(opened)
		return true
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		g.hurry() // it was not the system that failed
	}
	return false
}

// due returns how long it is to the next question. Those who leave while they wait
// for it do not put it off.
func (g *Gate) due() time.Duration {
	g.mu.Lock()
	next := g.next
	g.mu.Unlock()
	if time.Since(next) > probeEvery {
		next = g.schedule()
	}
	return time.Until(next)
}

// hurry lets the next one ask at once.
func (g *Gate) hurry() {
	g.mu.Lock()
	g.next = time.Now()
	g.mu.Unlock()
}

func (g *Gate) schedule() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = time.Now().Add(probeEvery*4/5 + rand.N(probeEvery*2/5))
	return g.next
}

func (g *Gate) now() (turn, opened chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turn == nil {
		g.turn, g.opened = make(chan struct{}, 1), make(chan struct{})
	}
	return g.turn, g.opened
}

// Open has everybody go on who waits, since a caller that did not was answered.
func (g *Gate) Open() {
	_, opened := g.now()
	g.open(opened)
}

// open lets everybody go on who waits for opened.
func (g *Gate) open(opened chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == opened {
		close(g.opened)
		g.opened = make(chan struct{})
	}
}
