package longpoll

import (
	"context"
	"sync"
	"time"
)

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
