package agent

import (
	"cmp"
	"context"
	"sync/atomic"

	"github.com/slotsync/slotsync/agent/api"
)

// This file has the loop do what others want, who may wait for it.

// A task is something that the loop is to do. news: a source has answered; nothing has to be
// decided before the answers that wait are taken too.
type task struct {
	do   func(context.Context)
	news bool
}

// post has the loop do f, unless ctx or the loop ends before.
func (a *Agent) post(ctx context.Context, f func(context.Context)) bool {
	return a.enqueue(ctx, task{do: f})
}

// enqueue does that with any task. They are done in the order in which they came.
func (a *Agent) enqueue(ctx context.Context, t task) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case a.do <- t:
		return true
	case <-ctx.Done():
		return false
	case <-a.quit:
		return false
	}
}

// drain does what was posted while the loop ended.
func (a *Agent) drain(ctx context.Context) {
	for {
		select {
		case t := <-a.do:
			t.do(ctx)
		default:
			return
		}
	}
}

// ask has the loop do f and waits for it. After an error f was not done and
// will not be: what it writes to is the caller's again.
func (a *Agent) ask(ctx context.Context, f func(context.Context)) error {
	if a.ticked.Load() == nil {
		return api.ErrStopped
	}
	done := make(chan struct{})
	var taken atomic.Bool // by the loop, or by the caller who gave up
	if !a.post(ctx, func(loop context.Context) {
		if taken.CompareAndSwap(false, true) {
			f(loop)
			close(done)
		}
	}) {
		return cmp.Or(ctx.Err(), api.ErrStopped)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	case <-a.quit:
	}
	if taken.CompareAndSwap(false, true) {
		return cmp.Or(ctx.Err(), api.ErrStopped)
	}
	<-done
	return nil
}

// askOr is ask for what can fail.
func (a *Agent) askOr(ctx context.Context, f func(context.Context) error) (err error) {
	if stopped := a.ask(ctx, func(loop context.Context) { err = f(loop) }); stopped != nil {
		return stopped
	}
	return err
}

// answer has the loop do f, and returns what f returns.
func answer[T any](ctx context.Context, a *Agent, f func(context.Context) (T, error)) (v T, err error) {
	err = a.askOr(ctx, func(loop context.Context) (err error) {
		v, err = f(loop)
		return err
	})
	return v, err
}
