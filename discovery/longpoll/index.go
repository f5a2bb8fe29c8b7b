package longpoll

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	maxResets  = 3 // that many in a row within
	resetsTime = time.Minute
)

// indexResets counts how often in a row the index of blocking queries went back. The
// zero value is none. It is not safe for concurrent use.
type indexResets struct{ at []time.Time }

// add counts one more. A server whose index goes back again and again is in trouble,
// and must not be asked in a circle: 3 within a minute are an error.
func (s *indexResets) add(now time.Time) error {
	s.at = append(s.at, now)
	if len(s.at) < maxResets {
		return nil
	}
	first := s.at[len(s.at)-maxResets]
	s.at = s.at[len(s.at)-maxResets+1:]
	if now.Sub(first) < resetsTime {
		return discovery.Errorf(discovery.Server, "the index went back %d times within %s", maxResets, resetsTime)
	}
	return nil
}

// end says that a blocking query was answered as it should be.
func (s *indexResets) end() { s.at = nil }

// Collapsed reports whether so few instances are left that a server which is behind,
// or was just started, would be a better reason than the service.
func Collapsed(had, n int) bool { return n < had && (n == 0 || had-n >= 3 && 2*n <= had) }

// Around returns d ±20 %, so that what began together does not stay together. d is
// some nanoseconds at least.
func Around(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }

// minEpoch is how long an epoch lasts at least: one service whose index goes back
// again and again must not have all others read anew each time.
const minEpoch = 10 * time.Second

// epochs counts how often the indexes of a cluster began anew. An agent may hand blocking
// queries on to the servers of a cluster that was rebuilt, which then wait for an index
// that is far away, without a sign of trouble: for a minute everything would look well and
// be out of date. So the first source that sees a plain read with a lower index than
// before cancels the queries of the others.
type epochs struct {
	mu    sync.Mutex // guards following
	n     int
	since time.Time
	over  context.Context
	end   context.CancelFunc
}

// now returns the number of this epoch, and a context that is done when it is over.
func (e *epochs) now() (n int, over context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over == nil {
		e.over, e.end = context.WithCancel(context.Background())
	}
	return e.n, e.over
}

// close ends epoch n, unless it is over or has just begun.
func (e *epochs) close(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if n != e.n || e.n > 0 && now.Sub(e.since) < minEpoch {
		return
	}
	e.end()
	e.n, e.since = n+1, now
	e.over, e.end = context.WithCancel(context.Background())
}

// either returns ctx, which is done when over is too.
func either(ctx, over context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(over, cancel)
	return ctx, func() { stop(); cancel() }
}
