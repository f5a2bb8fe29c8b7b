package auth

import (
	"context"
	"net/http"
	"sync"
)

const (
	// mostAtOnce is how many requests do something costly at a time, eachAtOnce how many of
	// one peer.
	mostAtOnce, eachAtOnce = 8, 2
	// eachWaiting is how many of one peer are let in to wait besides.
	eachWaiting = 14
)

// Shares bounds how many requests do something costly at a time, and shares that out among
// peers: who sends many waits for his own.
type Shares struct {
	all chan struct{} // holds one for each that is at it
	mu  sync.Mutex
	of  map[string]*share
}

// A share is what one peer has.
type share struct {
	in   int           // that are at it, or wait; guarded by Shares.mu
	busy chan struct{} // holds one for each that is at it, or has only others to wait for
}

// NewShares returns places that nobody has.
func NewShares() *Shares {
	return &Shares{all: make(chan struct{}, mostAtOnce), of: map[string]*share{}}
}

// Take waits for a place for r, and returns what gives it back; nil if r has ended before, or
// too many of the same peer wait already.
func (s *Shares) Take(r *http.Request) (done func()) {
	key := PeerOf(r).Key()
	own := s.enter(key)
	if own == nil {
		return nil
	}
	if !put(r.Context(), own.busy) {
		s.leave(key, own)
		return nil
	}
	if !put(r.Context(), s.all) {
		<-own.busy
		s.leave(key, own)
		return nil
	}
	return func() {
		<-s.all
		<-own.busy
		s.leave(key, own)
	}
}

// put waits until there is room in places, or ctx is done.
func put(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter counts one more of a peer, and returns its share; nil if there are too many.
func (s *Shares) enter(key string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[key]
	if own == nil {
		own = &share{busy: make(chan struct{}, eachAtOnce)}
		s.of[key] = own
	}
	if own.in >= eachAtOnce+eachWaiting {
		return nil
	}
	own.in++
	return own
}

func (s *Shares) leave(key string, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.in--; own.in == 0 {
		delete(s.of, key)
	}
}
