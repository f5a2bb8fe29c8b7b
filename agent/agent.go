package agent

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/store"
)

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

// An Agent keeps instances in step with sources. It is made by [New].
type Agent struct {
	opts Options
	do   chan errand // what the loop is to do next
	quit chan struct{}

	events  *event.Log
	ticked  atomic.Int64 // unix nanoseconds
	started atomic.Int64
	last    atomic.Pointer[Status] // when the loop ended

	// Owned by the loop.
	core
	// reconcilers are those that were started last, by instance.
	reconcilers map[string]*reconciler.Reconciler
	saver       *store.File // the state
	// operators is the file of overrides and pauses.
	operators *store.File
	// stateFault: the state directory could not be used last.
	stateFault atomic.Bool
	dirty      bool      // the state has to be stored
	storedLast time.Time // when it was last handed over to be
	ready      bool
	group      *sync.WaitGroup
	begun      time.Time
	firstMet   time.Time // when the first instance answered
	stored     stored
	// reloads are the ways to reload HAProxy; reloadBusy: one is under way, and
	// recovering counts those that an earlier process left half done.
	reloads    []*reloading
	reloadBusy bool
	recovering int
	// stirred: what was heard since the last step leaves something to decide.
	stirred bool
}

// An errand is something that the loop is to do. With news, which are what sources
// say, nothing has to be decided before the next news are heard.
type errand struct {
	do   func(context.Context)
	news bool
}

// New checks opts and returns an agent that works on them. It starts nothing
// and touches nothing.
func New(opts Options) (*Agent, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	a := &Agent{opts: opts, do: make(chan errand, 64), quit: make(chan struct{}), events: event.New(time.Now()), reconcilers: map[string]*reconciler.Reconciler{}}
	a.timing = opts.timing()
	a.saver = store.NewFile(opts.Folders, opts.StateDir, stateFile, a.stateFailed, a.stateWritten)
	a.operators = store.NewFile(opts.Folders, opts.StateDir, operatorsFile, a.stateFailed, a.stateWritten)
	return a, nil
}

func (o Options) timing() reconciler.Timing {
	return reconciler.Timing{Timeout: cmp.Or(o.Timeout, DefaultTimeout), Poll: cmp.Or(o.Poll, DefaultPoll), Resync: cmp.Or(o.Resync, DefaultResync)}
}

// Run keeps the instances in step until ctx is done, and returns nil when every
// goroutine it started has ended. It leaves every slot as it is. It is called
// once.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	a.group = &group
	a.begin()
	saving, stopSaving := context.WithCancel(context.WithoutCancel(ctx))
	var saved sync.WaitGroup
	saved.Go(func() { a.saver.Run(saving) })
	saved.Go(func() { a.operators.Run(saving) })
	a.start(ctx)
	a.loop(ctx)
	cancel()
	close(a.quit)
	group.Wait()
	a.drain(ctx)
	final := a.show(time.Now())
	a.last.Store(&final)
	a.store(time.Now())
	stopSaving()
	saved.Wait()
	return nil
}

// begin sets up what the loop owns.
func (a *Agent) begin() {
	now := time.Now()
	a.begun, a.storedLast = now, now
	a.started.Store(now.UnixNano())
	a.ticked.Store(now.UnixNano())
	var err error
	if a.stored, err = loadState(a.opts.Folders, a.opts.StateDir); err != nil {
		a.stateFailed(err)
	}
	a.overrides, a.pauses, a.operatorsAt = a.stored.overrides(), a.stored.pauses(now), a.stored.operatorsAt()
	for _, in := range a.opts.Instances {
		a.instances = append(a.instances, a.newInstance(in))
	}
	for _, b := range a.opts.Backends {
		a.backends = append(a.backends, a.newBackend(b, now))
	}
	a.track()
}

func (a *Agent) newBackend(b Backend, now time.Time) *backend {
	nb := newBackend(b)
	nb.overrides = a.overrides.of(b.Name)
	if s, ok := a.stored.backend(b.Name); ok {
		nb.restore(s, now)
	}
	nb.noteOperated(nb.overrides)
	nb.reevaluate(judgement{}, now)
	return nb
}

// start sets reconcilers and watches going.
func (a *Agent) start(ctx context.Context) {
	for _, in := range a.instances {
		a.startReconciler(ctx, in)
	}
	for _, b := range a.backends {
		for _, f := range b.feeds {
			a.follow(ctx, b, f)
		}
	}
	a.changeReloads(ctx, a.opts.Reloads)
}

// post has the loop do f, unless ctx or the loop ends before.
func (a *Agent) post(ctx context.Context, f func(context.Context)) bool {
	return a.enqueue(ctx, errand{do: f})
}

// enqueue does that with any errand. They are done in the order in which they came.
func (a *Agent) enqueue(ctx context.Context, e errand) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case a.do <- e:
		return true
	case <-ctx.Done():
		return false
	case <-a.quit:
		return false
	}
}

// store has everything stored as it is now.
func (a *Agent) store(now time.Time) {
	a.storedLast = now
	a.saver.Put(a.snapshot(now))
	if !a.operatorsAt.IsZero() {
		a.operators.Put(a.operatorsState())
	}
}

// outdated reports whether the state says of a backend that its sources answered longer
// ago than they did by more than storeEvery: by that its age is judged at the next start.
func (a *Agent) outdated(now time.Time) bool {
	return now.Sub(a.storedLast) >= storeEvery &&
		slices.ContainsFunc(a.backends, func(b *backend) bool { return b.answeredAt().After(a.storedLast) })
}

// drain does what was posted while the loop ended.
func (a *Agent) drain(ctx context.Context) {
	for {
		select {
		case e := <-a.do:
			e.do(ctx)
		default:
			return
		}
	}
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
		case e := <-a.do:
			if !a.listen(ctx, e) {
				continue
			}
		case <-timer.C:
		case now := <-ticker.C:
			a.ticked.Store(now.UnixNano())
			a.lapse(now)
			a.gauge(now)
			if a.dirty || a.outdated(now) {
				a.dirty = false
				a.store(now)
			}
		}
		a.stirred = false
		timer.Reset(a.step(ctx, time.Now()))
	}
}

// listen does e, and if it was news, what else is there up to the first that is not:
// whoever asks finds decided what came before. It reports whether there is anything to
// decide: most of what hundreds of sources say is what they said before.
func (a *Agent) listen(ctx context.Context, e errand) bool {
	e.do(ctx)
	if !e.news {
		return true
	}
	for n := 1; e.news && n < newsMost; n++ {
		select {
		case e = <-a.do:
		default:
			return a.stirred
		}
		if !e.news {
			a.step(ctx, time.Now())
			a.stirred = true
		}
		e.do(ctx)
	}
	return a.stirred
}

// step decides what is due and returns how long nothing will be.
func (a *Agent) step(ctx context.Context, now time.Time) time.Duration {
	a.open(now)
	next := now.Add(tick)
	for _, b := range a.backends {
		if b.settle(now) {
			b.due, b.news = true, time.Time{}
		}
		a.advance(ctx, b, now)
		if b.due {
			a.decide(b, now)
		}
		if at := b.next(now); !at.IsZero() && at.Before(next) {
			next = at
		}
		if b.due && a.decidable(b) {
			next = earlier(next, now.Add(time.Second/roundRate))
		}
	}
	a.broadcast(now)
	if at := a.considerReloads(ctx, now); !at.IsZero() {
		next = earlier(next, at)
	}
	if !a.opened {
		next = earlier(next, a.awaited())
	}
	return max(next.Sub(now), time.Millisecond)
}

// decide makes the targets of b anew and sends them out if they changed.
func (a *Agent) decide(b *backend, now time.Time) {
	overflow, unmanaged := b.placement.Overflow(), len(b.unmanaged)
	if !a.recompute(b, now) {
		if !slices.Equal(overflow, b.placement.Overflow()) { // no slot of it changes anything at an instance
			a.decided(b, len(overflow), unmanaged)
		}
		return
	}
	a.publish(b, b.news, now)
	b.news = time.Time{}
	a.dirty = true
	a.decided(b, len(overflow), unmanaged)
}
