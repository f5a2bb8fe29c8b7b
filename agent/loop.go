package agent

import (
	"context"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/reconciler"
)

// This file is the loop, the one goroutine that owns every decision. Whoever wants something
// of it posts a task: a watch that a source has answered, a reconciler that it has a report, a
// request that an operator asks for something. After each, reconcileAll decides what is due:
//
//	what sources say  ─► onUpdate ─► reevaluate ─► guard ─┐
//	what operators ask ─► setOverrides ───────────────────┤ backend.due
//	what instances show ─► onReport ─► applyReport ───────┘
//	                                                       ─► recompute ─► publish ─► broadcast

const (
	// tick is how often the loop shows that it is alive.
	tick = time.Second
	// aliveWithin is how long the loop may be silent and still be healthy.
	aliveWithin = 10 * time.Second
	// storeEvery is how often the state is stored although nothing changed but when
	// sources answered last.
	storeEvery = 10 * time.Minute
	// newsMost bounds what sources say until something is decided.
	newsMost = 64
)

// A task is something that the loop is to do. news: a source has answered; nothing has to be
// decided before the answers that wait are taken too.
type task struct {
	do   func(context.Context)
	news bool
}

// loop does one thing after the other until ctx is done.
func (a *Agent) loop(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	timer := time.NewTimer(a.timing.Timeout)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-a.do:
			if !a.drainUpdates(ctx, t) {
				continue
			}
		case <-timer.C:
		case now := <-ticker.C:
			a.ticked.Store(now.UnixNano())
			a.expireAsked(now)
			a.recordBehind()
			if a.dirty || a.storeOverdue(now) {
				a.dirty = false
				a.store(now)
			}
		}
		a.needsStep = false
		timer.Reset(a.reconcileAll(ctx, time.Now()))
	}
}

// drainUpdates does t, and if it was news, what else waits up to the first that is not: before
// a request is answered, what came before it is decided. It reports whether there is anything
// to decide: most of what hundreds of sources say is what they said before.
func (a *Agent) drainUpdates(ctx context.Context, t task) bool {
	t.do(ctx)
	if !t.news {
		return true
	}
	for n := 1; t.news && n < newsMost; n++ {
		select {
		case t = <-a.do:
		default:
			return a.needsStep
		}
		if !t.news {
			a.reconcileAll(ctx, time.Now())
			a.needsStep = true
		}
		t.do(ctx)
	}
	return a.needsStep
}

// reconcileAll decides what is due and returns how long nothing will be.
func (a *Agent) reconcileAll(ctx context.Context, now time.Time) time.Duration {
	a.openBarrier(now)
	next := now.Add(tick)
	for _, b := range a.backends {
		if b.expireDrains(now) {
			b.due, b.news = true, time.Time{}
		}
		a.runTimers(ctx, b, now)
		if b.due {
			a.publishIfChanged(b, now)
		}
		if at := b.next(now); !at.IsZero() && at.Before(next) {
			next = at
		}
		if b.due && a.decidable(b) {
			next = reconciler.Earlier(next, now.Add(time.Second/roundRate))
		}
	}
	a.broadcast(now)
	if at := a.considerReloads(ctx, now); !at.IsZero() {
		next = reconciler.Earlier(next, at)
	}
	if !a.barrierOpen {
		next = reconciler.Earlier(next, a.barrierUntil())
	}
	return max(next.Sub(now), time.Millisecond)
}

// publishIfChanged makes the targets of b anew and sends them out if they changed.
func (a *Agent) publishIfChanged(b *backend, now time.Time) {
	overflow := b.placement.Overflow()
	changed := a.recompute(b, now)
	if changed {
		a.publish(b, b.news, now)
		b.news = time.Time{}
		a.dirty = true
	}
	// an overflow or a takeover can change where no slot does
	if changed || !slices.Equal(overflow, b.placement.Overflow()) || len(a.unmanagedOf(b)) != b.takeoverSize {
		a.tableChanged(b, len(overflow))
		a.takeoverChanged(b)
	}
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
