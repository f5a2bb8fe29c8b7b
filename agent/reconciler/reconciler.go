// Package reconciler makes one HAProxy what it should be: it compares what the instance
// shows with what is wanted of it, writes what differs, and reads back what it wrote.
//
// A [Reconciler] is one goroutine that owns everything about its instance. It is handed
// the newest [Spec], not the history, and says what came of it in a [Report] after each
// time that it had to do with the instance.
package reconciler

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/slots"
)

const (
	// retryAbsent is how often a socket is tried on which nobody listens.
	retryAbsent = 250 * time.Millisecond
	// retryMost bounds the pause after everything else.
	retryMost = 5 * time.Second
	// alertEvery is how often an instance is asked who it is after something was
	// written, and alertFor for how long: a reload that was under way read the state
	// file before.
	alertEvery, alertFor = 40 * time.Millisecond, time.Second
	// seenLately is how long slots that were seen are as good as seen now. It is
	// more than alertEvery: while things move, nothing has to be looked at before
	// it is changed.
	seenLately = 50 * time.Millisecond
	// quickCheckMost bounds the slots that are looked at every alertEvery.
	quickCheckMost = 256
	// sessionsFirst, sessionsLater and sessionsMost pace the reading of sessions:
	// from the first while something waits for their end, else from the second,
	// doubling up to the last.
	sessionsFirst, sessionsLater, sessionsMost = 50 * time.Millisecond, 200 * time.Millisecond, time.Second
	// syncAfter is when state files are made to survive a power loss.
	syncAfter = 500 * time.Millisecond
)

// recheckAfter is when the slots are compared again after a batch of unknown outcome that
// was compared on recovery.
var recheckAfter = [...]time.Duration{time.Second, 5 * time.Second}

// errEnded is why nothing can be asked of a reconciler any more.
var errEnded = errors.New("nothing is written to this instance any more")

// Options says which HAProxy a [Reconciler] writes to, and what is known of it.
type Options struct {
	Name string // of the instance, for errors
	Conn slots.Conn
	// StateFile: what Conn saves is meant to be loaded by HAProxy when it starts.
	StateFile bool
	// Before is the one that wrote to the same HAProxy until now; nil for none. Run waits for
	// its end, and with state files for the end of its own.
	Before *Reconciler
	// Process is the one that answered last, before this reconciler; the zero value for
	// none.
	Process slots.Process
	// Backends are the backends of which something is known, by our name.
	Backends map[string]Known
	// Report is called by Run and Read after each time that they had to do with the
	// instance.
	Report func(Report)
}

// Known is what is known of a backend before the instance has answered.
type Known struct {
	// Externals are the slots that somebody took out of service, by number.
	Externals map[int]External
	// Ready are the slots that were in service in the process that answered last, by number.
	Ready map[int]netip.AddrPort
	// Prefix is that of the slots in the process that answered last; "" if it is not known.
	Prefix string
	// Seen is when whoever kept the instance before in this process of slotsync looked last; zero: nobody did.
	Seen time.Time
}

// A Reconciler keeps one instance as it should be. Everything but the channels is owned by
// Run.
type Reconciler struct {
	options Options
	conn    slots.Conn
	inbox   chan Spec
	syncs   chan chan<- error
	done    chan struct{}
	// filed is closed once no state file is written any more; filedBefore is that of the one
	// before: nil for none.
	filed, filedBefore chan struct{}

	spec     Spec
	backends map[string]*backendState
	process  slots.Process // before the instance has answered: the one that was stored
	met      bool          // the instance answered at least once
	up       bool
	syncing  chan error // what came of bringing state files to the disk; nil: none is under way
	probing  chan error // an answer to the one probe of a hung instance; nil: none is out
	backoff  time.Duration
	// uncertain: commands went out of which the outcome is not known. recheckAt is when
	// the slots are compared again because of such.
	uncertain bool
	recheckAt []time.Time
	refusals  int // rounds in a row with a refusal
	// fileRows are what the state file has, by HAProxy's backend and slot; fileChecked is
	// the process of which it is known whether it has loaded them.
	fileRows map[string]map[string]row
	// unsaved are the backends of HAProxy whose state file could not be written last, toSave
	// what is to be, and saving gets what came of what is: nil if nothing is. diskSlow: it
	// took longer than a round waits.
	unsaved     map[string]bool
	toSave      map[string][]slots.Server
	saving      chan []saved
	diskSlow    bool
	fileChecked slots.Process

	// What the next report says.
	events         []Event
	commands       []slots.Count
	changes, drift Counts
	moved          moves
	restarted      bool
	exchanges      []slots.Exchange

	nextTry, nextPoll, nextResync, nextSessions, nextSync, alertUntil time.Time
	sessionsEvery                                                     time.Duration
}

// New returns a reconciler that does nothing before Run.
func New(o Options) *Reconciler {
	r := &Reconciler{
		options: o, conn: o.Conn, process: o.Process, backends: map[string]*backendState{}, unsaved: map[string]bool{}, toSave: map[string][]slots.Server{},
		inbox: make(chan Spec, 1), syncs: make(chan chan<- error), done: make(chan struct{}), filed: make(chan struct{}),
	}
	if o.Before != nil {
		r.filedBefore = o.Before.filed
	}
	for name, known := range o.Backends {
		r.backends[name] = newBackendState(known)
	}
	return r
}

// Set makes spec what the instance should be, in place of any that was not begun with. It
// does not wait, and is called by one goroutine at a time.
func (r *Reconciler) Set(spec Spec) {
	select {
	case <-r.inbox:
	default:
	}
	r.inbox <- spec
}

// Ended reports whether Run is over, as far as it writes to HAProxy.
func (r *Reconciler) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Sync has Run compare the whole instance now, and returns what kept it from that.
func (r *Reconciler) Sync(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case r.syncs <- reply:
	case <-r.done:
		return fmt.Errorf("instance %s: %w", r.options.Name, errEnded)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		if err != nil {
			return fmt.Errorf("instance %s: %w", r.options.Name, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run works until ctx is done, and returns once no write of a file is under way. It leaves
// every slot as it is. It is called once, after the first Set.
func (r *Reconciler) Run(ctx context.Context) {
	defer r.end()
	if before := r.options.Before; before != nil {
		<-before.done
		r.uncertain = before.uncertain || len(before.recheckAt) > 0
		r.options.Before = nil
	}
	r.takeWaiting()
	r.nextTry = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(r.due()))
		select {
		case <-ctx.Done():
			return
		case spec := <-r.inbox:
			r.take(spec)
			r.save(r.inScope(fresh))
			if r.up {
				r.round(ctx, fresh)
			}
		case err := <-r.probing:
			r.probing = nil
			r.onProbe(ctx, err)
		case err := <-r.syncing:
			r.syncing = nil
			if err != nil {
				r.event(Event{Text: "state file is written, and may be lost if the power fails now", Detail: err.Error(), Warn: true})
			}
		case done := <-r.saving:
			r.onSaved(done)
		case reply := <-r.syncs:
			reply <- r.syncNow(ctx)
		case <-timer.C:
			r.wake(ctx)
		}
	}
}

// end says that nothing is written any more, to HAProxy at once: who writes there next does not
// wait for the disk.
func (r *Reconciler) end() {
	if r.probing != nil {
		<-r.probing
	}
	close(r.done)
	if r.syncing != nil {
		<-r.syncing
	}
	for r.saving != nil {
		r.onSaved(<-r.saving) // and what waits for that: HAProxy has been told already
	}
	close(r.filed)
}

// takeWaiting takes the spec that waits, if one does, and reports whether one did.
func (r *Reconciler) takeWaiting() bool {
	select {
	case spec := <-r.inbox:
		r.take(spec)
		return true
	default:
		return false
	}
}

// take makes spec what is worked towards.
func (r *Reconciler) take(spec Spec) {
	r.hasten(spec.Timing)
	r.spec = spec
	for name := range r.backends {
		if _, ok := spec.Backends[name]; !ok {
			delete(r.backends, name)
		}
	}
	for name, wanted := range spec.Backends {
		b := r.backends[name]
		if b == nil {
			b = newBackendState(Known{})
			r.backends[name] = b
		}
		b.take(wanted)
		b.awaitSessions()
	}
}

// due is when there is something to do.
func (r *Reconciler) due() time.Time {
	due := r.nextSync
	if r.probing != nil {
		return Earlier(due, time.Now().Add(time.Hour))
	}
	if !r.up {
		return Earlier(due, r.nextTry)
	}
	for _, t := range []time.Time{r.nextPoll, r.nextResync, r.nextSessions} {
		due = Earlier(due, t)
	}
	if len(r.recheckAt) > 0 {
		due = Earlier(due, r.recheckAt[0])
	}
	return due
}

// wake does what is due.
func (r *Reconciler) wake(ctx context.Context) {
	now := time.Now()
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(r.nextSync) {
		r.flush(now)
	}
	switch {
	case r.probing != nil:
	case !r.up:
		if past(r.nextTry) {
			r.round(ctx, all)
		}
	case len(r.recheckAt) > 0 && past(r.recheckAt[0]):
		r.round(ctx, all)
	case past(r.nextResync):
		r.round(ctx, all)
	case past(r.nextSessions):
		r.round(ctx, pendingSessions)
	case past(r.nextPoll):
		r.poll(ctx)
	}
}

// flush has the state files brought to the disk, once what is under way of that is done.
// Nothing waits for it: a disk may take long.
func (r *Reconciler) flush(now time.Time) {
	if r.syncing != nil {
		r.nextSync = now.Add(syncAfter)
		return
	}
	r.nextSync = time.Time{}
	done := make(chan error, 1)
	r.syncing = done
	go func() { done <- r.conn.Sync() }()
}

// syncNow compares everything at once, for somebody who waits for it.
func (r *Reconciler) syncNow(ctx context.Context) error {
	if r.probing != nil {
		return &slots.InstanceError{Fault: slots.Hung, Err: errStillHung}
	}
	return r.round(ctx, all)
}
