package consul

import (
	"context"
	"sync"
	"time"
)

// eraLeast is how long an era lasts at least: one service whose index goes back
// again and again must not have all others read anew each time.
const eraLeast = 10 * time.Second

// eras are the times between which a cluster was built anew, and its indexes began
// again. An agent may hand blocking queries on to the new servers, which then wait
// for an index that is far away, without a sign of trouble: who notices by chance
// tells all.
type eras struct {
	mu    sync.Mutex // guards following
	n     int
	since time.Time
	over  context.Context
	end   context.CancelFunc
}

// now returns the number of this era, and a context that is done when it is over.
func (e *eras) now() (n int, over context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over == nil {
		e.over, e.end = context.WithCancel(context.Background())
	}
	return e.n, e.over
}

// close ends era n, unless it is over or has just begun.
func (e *eras) close(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if n != e.n || e.n > 0 && now.Sub(e.since) < eraLeast {
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
