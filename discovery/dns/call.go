package dns

import (
	"context"
	"sync"

	"github.com/slotsync/slotsync/discovery"
)

// calls are the queries under way, so that equal ones share one answer. They differ from
// those of golang.org/x/sync/singleflight in that a query ends when its last waiter leaves.
// The zero value is empty.
type calls struct {
	mu sync.Mutex // guards following
	by map[callKey]*call
}

type callKey struct {
	try
	name  string
	qtype uint16
}

// A call is one query under way, cancelled when its last waiter leaves.
type call struct {
	waiting int // guarded by calls.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when following are set
	reply   reply
	err     error
}

// do returns what ask returns, called for this key by this caller or by another one. The
// reply is shared and must not be changed. When ctx is done do returns, and the last
// caller to leave waits until ask has returned.
func (cs *calls) do(ctx context.Context, k callKey, ask func(context.Context) (reply, error)) (reply, error) {
	c := cs.start(ctx, k, ask)
	select {
	case <-c.done:
		cs.leave(k, c)
		return c.reply, c.err
	case <-ctx.Done():
	}
	if cs.leave(k, c) {
		c.cancel()
		<-c.done
	}
	return reply{}, transportError(k.server, ctx.Err())
}

func (cs *calls) start(ctx context.Context, k callKey, ask func(context.Context) (reply, error)) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c, ok := cs.by[k]; ok {
		c.waiting++
		return c
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &call{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if cs.by == nil {
		cs.by = map[callKey]*call{}
	}
	cs.by[k] = c
	go func() {
		defer close(c.done)
		defer cancel()
		// Nothing else recovers a panic in this goroutine: it would end the program.
		defer func() {
			if p := recover(); p != nil {
				c.err = discovery.Errorf(discovery.Protocol, "%s: reading the reply panicked: %v", k.server, p)
			}
		}()
		c.reply, c.err = ask(ctx)
	}()
	return c
}

// leave reports whether no other waiter is left. A later caller begins a new call.
func (cs *calls) leave(k callKey, c *call) (last bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.waiting--
	if cs.by[k] == c {
		select {
		case <-c.done:
			delete(cs.by, k)
		default:
			if c.waiting == 0 {
				delete(cs.by, k)
			}
		}
	}
	return c.waiting == 0
}
