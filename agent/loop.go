package agent

import (
	"context"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/reconciler"
)

// This file is the loop, the one goroutine that owns every decision.
//
// News comes in as tasks: a watch posts what a source answered (updates.go), a reconciler what
// it found (report.go), a request what an operator asks for (ask.go). After each, reconcileAll
// decides what is due, in steps that touch nothing but memory, and then has it done:
//
//	what sources say   ─► onUpdate ─► reevaluate ─► guard ─┐
//	what operators ask ─► setOverrides ────────────────────┤ backend.due
//	what instances show ─► onReport ─► applyReport ────────┘
//	                                                        ─► recompute ─► publish ─► broadcast
//
// Out of it go snapshots: the status (status.go), the gauges (gauges.go) and what is stored
// (state.go); and what happened, by record (happening.go).

const (
	// tick is how often the loop shows that it is alive.
	tick = time.Second
	// aliveWithin is how long the loop may be silent and still be healthy.
	aliveWithin = 10 * time.Second
	// storeEvery is how often the state is stored although nothing changed but when
	// sources answered last.
	storeEvery = 10 * time.Minute
	// storeDelay is after how long the state says that slots were emptied: the commands go out
	// first, as what is made for the disk would delay them.
	storeDelay = 10 * time.Millisecond
	// newsMost bounds what sources say until something is decided.
	newsMost = 64
)

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
			a.onTick(now)
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

// onTick does what is due once a second.
func (a *Agent) onTick(now time.Time) {
	a.ticked.Store(&now)
	a.expireAsked(now)
	a.recordBehind()
	a.dirty = a.dirty || a.storeOverdue(now)
	a.storeIfDirty(now)
}

// reconcileAll decides what is due and has it done. It returns how long nothing will be due.
func (a *Agent) reconcileAll(ctx context.Context, now time.Time) time.Duration {
	a.openBarrier(now)
	for _, b := range a.backends {
		a.runTimers(ctx, b, now)
		if b.due {
			a.publishIfChanged(b, now)
		}
	}
	a.offerSlotMap(now)
	a.storeIfDirty(now)
	a.broadcast(now)
	next := reconciler.Earlier(a.nextDue(now), a.considerReloads(ctx, now))
	return max(next.Sub(now), time.Millisecond)
}

// nextDue is when reconcileAll has something to do again for a backend or the barrier, in a
// tick at the latest.
func (a *Agent) nextDue(now time.Time) time.Time {
	next := now.Add(tick)
	for _, b := range a.backends {
		next = reconciler.Earlier(next, b.next(now))
		if b.due && a.decidable(b) {
			next = reconciler.Earlier(next, now.Add(time.Second/roundRate))
		}
	}
	if !a.barrierOpen {
		next = reconciler.Earlier(next, a.barrierUntil())
	}
	if a.dirty {
		next = reconciler.Earlier(next, a.storedLast.Add(tick))
	}
	return reconciler.Earlier(next, a.storeBy)
}

// publishIfChanged makes the targets of b anew and sends them out if they changed.
func (a *Agent) publishIfChanged(b *backend, now time.Time) {
	overflow := b.placement.Overflow()
	changed := a.decidable(b) && b.recompute(now)
	if changed {
		a.slotMap.stale = true
		a.publish(b, b.news, now)
		b.news = time.Time{}
		a.dirty = true
	}
	// an overflow or a takeover can change where no slot does
	if changed || !slices.Equal(overflow, b.placement.Overflow()) || len(b.unmanagedOf()) != b.takeoverSize {
		a.record(b.tableChanged(len(overflow), a.renders(b)), b.takeoverChanged())
	}
}
