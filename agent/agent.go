package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/securedir"
)

// An Agent keeps instances in step with sources. It is made by [New].
type Agent struct {
	opts Options
	do   chan task // what the loop is to do next
	quit chan struct{}

	events *event.Log
	// ticked is when the loop went round last; nil: it has not begun. It is not a number: what
	// the wall clock does must not count.
	ticked atomic.Pointer[time.Time]
	last   atomic.Pointer[api.Status] // when the loop ended
	shown  *rate.Limiter              // of lines of the log about what is shown to who may only read

	// Owned by the loop.
	core
	// writers are the reconcilers that were started last, by socket: whatever the instance
	// is called, one writes after the other.
	writers map[string]*reconciler.Reconciler
	saver   *store.File // the state
	// operators is the file of overrides and pauses.
	operators *store.File
	slotMap   *slotMap
	// stateFault: the state directory could not be used last.
	stateFault atomic.Bool
	dirty      bool // the state has to be stored; stateAsked: somebody waits for that
	stateAsked bool
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
	// formerReloads are those that are not configured any more, the latest first.
	formerReloads []*reloading
	// needsStep: what sources said since reconcileAll leaves something to decide.
	needsStep bool
}

// New checks opts and returns an agent that works on them. It starts nothing and
// writes nothing; the file of the slot map is read.
func New(opts Options) (*Agent, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	a := &Agent{opts: opts, do: make(chan task, 64), quit: make(chan struct{}), events: event.New(time.Now()), shown: rate.NewLimiter(shownRate, shownBurst), writers: map[string]*reconciler.Reconciler{}}
	a.timing = opts.timing()
	a.slotMap = newSlotMap(opts, a.record)
	a.saver = store.NewFile(opts.Folders, opts.StateDir, stateFile, a.stateFailed, a.stateWritten)
	a.operators = store.NewFile(opts.Folders, opts.StateDir, operatorsFile, a.stateFailed, a.stateWritten)
	a.saver.Disk, a.operators.Disk = opts.Disk, opts.Disk
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
	if err := a.begin((*store.Dir).ReadOrSetAside); err != nil {
		a.stateFailed(err)
	}
	saving, stopSaving := context.WithCancel(context.WithoutCancel(ctx))
	var saved sync.WaitGroup
	saved.Go(func() { a.saver.Run(saving) })
	saved.Go(func() { a.operators.Run(saving) })
	group.Go(func() { a.slotMap.run(ctx) })
	a.start(ctx)
	a.loop(ctx)
	cancel()
	close(a.quit)
	group.Wait()
	a.drain(ctx)
	group.Wait() // for what that started
	final := a.status(time.Now())
	a.last.Store(&final)
	a.store(time.Now(), false)
	stopSaving()
	saved.Wait()
	return nil
}

// begin sets up what the loop owns, of a state that read takes from the disk. The error says why
// there is none to go by.
func (a *Agent) begin(read stateReader) (err error) {
	now := time.Now()
	a.begun, a.storedLast = now, now
	a.ticked.Store(&now)
	a.stored, err = loadState(a.opts.Folders, a.opts.StateDir, read)
	a.overrides, a.pauses, a.operatorsAt = override.Restore(a.stored.Overrides), override.RestorePauses(a.stored.Pauses, now), a.stored.operatorsAt()
	for _, in := range a.opts.Instances {
		a.instances = append(a.instances, a.newInstance(in, a.stored.known(in, a.opts.Instances, false), a.opts.Backends))
	}
	for _, b := range a.opts.Backends {
		a.backends = append(a.backends, a.newBackend(b, now))
	}
	a.opts.Metrics.Track(a.gauges(now))
	a.opts.Metrics.SnapshotFrom(a.snapshotMetrics)
	return err
}

func (a *Agent) newBackend(b Backend, now time.Time) *backend {
	nb := newBackend(b)
	nb.served = a.of(nb)
	nb.overrides = a.overrides.Of(b.Name)
	if s := a.stored.backend(b.Name); s.Name != "" {
		nb.restore(s, now)
	}
	nb.noteOperated(nb.overrides)
	nb.reevaluate(evidence{}, now)
	return nb
}

// start sets reconcilers and watches going.
func (a *Agent) start(ctx context.Context) {
	for _, in := range a.instances {
		a.startReconciler(ctx, in)
	}
	for _, b := range a.backends {
		for _, f := range b.feeds {
			a.startWatch(ctx, b, f)
		}
	}
	a.formerReloads = a.stored.reloadings()
	a.changeReloads(ctx, a.opts.Reloads)
}

// A stateReader takes the state from the disk: [store.Dir.Read], or [store.Dir.ReadOrSetAside].
type stateReader func(dir *store.Dir, name string, decode func(text []byte) error) (bool, error)

// loadState reads the state directory, the state itself by read. An error says why there is nothing
// to go by; a directory that was never written to is none.
func loadState(folders securedir.Policy, path string, read stateReader) (s stored, err error) {
	dir, err := store.Open(folders, path)
	if dir == nil || err != nil {
		return stored{}, err
	}
	defer dir.Close()
	_, err = read(dir, stateFile, func(text []byte) error {
		s, err = decodeState(text)
		return err
	})
	s, other := loadOperators(dir, s)
	return s, errors.Join(err, other)
}

// unread says why there is no round without the state.
func unread(err error) error {
	return fmt.Errorf("the state cannot be read, and overrides and pauses may be in it: %w: run this as root or as the agent's user; "+
		"a file that is broken, the agent sets aside when it starts", err)
}
