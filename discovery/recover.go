package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
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

// A RecoveryProbe has the sources of one system learn together that it answers again:
// while any of them waits, one asks, about once a second, and when it is answered all go
// on. So hundreds of sources are back within a second or two of their system, and ask it
// less in between than each of them would by itself. The zero value is ready for use.
type RecoveryProbe struct {
	mu     sync.Mutex    // guards following
	turn   chan struct{} // held by the caller that asks
	opened chan struct{} // closed when the system answered
	next   time.Time     // when to ask again
}

// Wait returns when ask, called by this caller or any other, returns nil, or when
// ctx is done. ask must have a deadline of its own. Callers take turns, so that one
// whose question is never answered does not keep the others waiting.
func (p *RecoveryProbe) Wait(ctx context.Context, ask func(context.Context) error) {
	turn, opened := p.now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-opened:
			return
		case turn <- struct{}{}:
		}
		if p.probe(ctx, turn, opened, ask) {
			return
		}
	}
}

// probe asks once, when it is time to, and gives the turn back. It reports whether
// the system is back.
func (p *RecoveryProbe) probe(ctx context.Context, turn, opened chan struct{}, ask func(context.Context) error) bool {
	defer func() { <-turn }()
	due := time.NewTimer(p.due())
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
	p.schedule()
	err := ask(ctx)
	if err == nil {
		p.open(opened)
		return true
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		p.hurry() // the caller left: the system did not fail
	}
	return false
}

// due returns how long it is to the next question. A caller that leaves while it waits
// does not postpone the question for the others.
func (p *RecoveryProbe) due() time.Duration {
	p.mu.Lock()
	next := p.next
	p.mu.Unlock()
	if time.Since(next) > probeEvery {
		next = p.schedule()
	}
	return time.Until(next)
}

func (p *RecoveryProbe) hurry() {
	p.mu.Lock()
	p.next = time.Now()
	p.mu.Unlock()
}

func (p *RecoveryProbe) schedule() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = time.Now().Add(probeEvery*4/5 + rand.N(probeEvery*2/5))
	return p.next
}

func (p *RecoveryProbe) now() (turn, opened chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turn == nil {
		p.turn, p.opened = make(chan struct{}, 1), make(chan struct{})
	}
	return p.turn, p.opened
}

// Open ends every Wait: the system has answered somebody who did not wait.
func (p *RecoveryProbe) Open() {
	_, opened := p.now()
	p.open(opened)
}

func (p *RecoveryProbe) open(opened chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened == opened {
		close(p.opened)
		p.opened = make(chan struct{})
	}
}
