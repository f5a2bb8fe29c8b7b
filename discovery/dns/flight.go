package dns

import (
	"context"
	"sync"

	"github.com/slotsync/slotsync/discovery"
)

// Flights are the questions that are being asked. Who asks what is already being
// asked waits for the same answer. The zero value is empty.
type flights struct {
	mu sync.Mutex // guards following
	by map[errand]*flight
}

// An errand is one question to one server.
type errand struct {
	try
	name  string
	qtype uint16
}

// A flight is an errand under way. It ends when nobody waits for it any more.
type flight struct {
	waiting int // guarded by flights.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when following are set
	reply   reply
	err     error
}

// join returns what ask returns, called for this errand by this caller or by
// another one. The reply is shared: nobody may change it. When ctx is done join
// returns, and the last one to leave waits until ask has returned.
func (f *flights) join(ctx context.Context, e errand, ask func(context.Context) (reply, error)) (reply, error) {
	fl := f.board(ctx, e, ask)
	select {
	case <-fl.done:
		f.leave(e, fl)
		return fl.reply, fl.err
	case <-ctx.Done():
	}
	if f.leave(e, fl) {
		fl.cancel()
		<-fl.done
	}
	return reply{}, transportError(e.server, ctx.Err())
}

func (f *flights) board(ctx context.Context, e errand, ask func(context.Context) (reply, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.by[e]; ok {
		fl.waiting++
		return fl
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if f.by == nil {
		f.by = map[errand]*flight{}
	}
	f.by[e] = fl
	go func() {
		defer close(fl.done)
		defer cancel()
		// A panic here would be nobody's to recover, and end the program.
		defer func() {
			if p := recover(); p != nil {
				fl.err = discovery.Errorf(discovery.Protocol, "%s: reading the reply panicked: %v", e.server, p)
			}
		}()
		fl.reply, fl.err = ask(ctx)
	}()
	return fl
}

// leave says whether nobody is left. Whoever comes then asks anew.
func (f *flights) leave(e errand, fl *flight) (last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.waiting--
	if f.by[e] == fl {
		select {
		case <-fl.done:
			delete(f.by, e)
		default:
			if fl.waiting == 0 {
				delete(f.by, e)
			}
		}
	}
	return fl.waiting == 0
}
