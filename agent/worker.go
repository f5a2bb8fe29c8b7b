package agent

import (
	"cmp"
	"context"
	"maps"
	"time"

	"github.com/slotsync/slotsync/slots"
)

const (
	// retryAbsent is how often a socket is tried on which nobody listens.
	retryAbsent = 250 * time.Millisecond
	// retryMost bounds the pause after everything else.
	retryMost = 5 * time.Second
	// alert is how often an instance is asked who it is after something was
	// written, and for how long: a reload that was under way read the state
	// file before.
	alertEvery, alertFor = 40 * time.Millisecond, time.Second
	// seenLately is how long slots that were seen are as good as seen now. It is
	// more than alertEvery: while things move, nothing has to be looked at before
	// it is changed.
	seenLately = 50 * time.Millisecond
	// glanceMost bounds the slots that are looked at every alertEvery.
	glanceMost = 256
	// sessionsFirst, sessionsLater and sessionsMost pace the reading of sessions:
	// from the first while something waits for their end, else from the second,
	// doubling up to the last.
	sessionsFirst, sessionsLater, sessionsMost = 50 * time.Millisecond, 200 * time.Millisecond, time.Second
	// syncAfter is when state files are made to survive a power loss.
	syncAfter = 500 * time.Millisecond
)

// recompare is when the slots are compared after a batch of unknown outcome:
// on recovery and after these.
var recompare = [...]time.Duration{time.Second, 5 * time.Second}

// desired is the newest of everything that one instance should be.
type desired struct {
	gen    uint64
	timing timing
	wants  map[string]want
}

// timing is how long a round may take and how often an instance is looked at;
// see [Options].
type timing struct{ timeout, poll, resync time.Duration }

// A report is what a worker says after it had to do with its instance.
type report struct {
	instance  string
	at        time.Time
	err       error // the instance could not be reached, or not be believed
	process   slots.Process
	restarted bool
	compared  bool // slots were read in this round
	applied   uint64
	inSync    bool
	backends  map[string]localReport
	took      time.Duration // of a round that wrote; else 0
	counts    []slots.Count
	made      tally // changes, of which
	drift     tally // these put right what nobody asked to be otherwise
	moved     moved // the slots of both
	notes     []note
	said      []slots.Exchange // since the last report
}

// A tally counts changes by backend and kind.
type tally map[string]kinds

// kinds counts changes by kind.
type kinds map[slots.Kind]int

func (t *tally) add(backend string, k slots.Kind) {
	if *t == nil {
		*t = tally{}
	}
	if (*t)[backend] == nil {
		(*t)[backend] = kinds{}
	}
	(*t)[backend][k]++
}

// A localReport is what a worker knows about one backend.
type localReport struct {
	// proxy and prefix say of which slots.
	proxy, prefix string

	// findable: that prefix would be found by itself.
	findable bool

	own []slots.Server
	// usable are those of own that can be filled.
	usable    []slots.Server
	seen      time.Time // when that was
	lacking   bool
	held      bool // an operator has paused the writing
	problem   string
	waiting   int
	surplus   int
	externals map[int]external
	refused   map[int]slots.Refusal
	fights    map[int]time.Time // until when the slot is not written to
	undynamic string
	unloaded  bool // the state file, when the process came up
}

// A note is something that happened at an instance and that people want to read.
type note struct {
	kind          string // of its event; "": EventNote
	text          string
	backend, slot string
	detail        string
	warn          bool
}

// A worker keeps one instance as it should be. Everything but the channels is
// owned by run.
type worker struct {
	name  string
	conn  Conn
	inbox chan desired
	syncs chan chan<- error
	post  func(report)

	want    desired
	locals  map[string]*local
	process slots.Process // before the instance is met: the one that was stored
	met     bool          // the instance answered at least once
	up      bool
	flushed chan error // what came of bringing state files to the disk; nil: none is under way
	probe   chan error // an answer to the one probe of a hung instance; nil: none is out
	pause   time.Duration
	doubt   []time.Time // when to compare again after commands of unknown outcome
	sent    bool        // such commands went out
	applied uint64
	refused int // rounds in a row with a refusal
	// hasFile: there is a state file; rows are what it has, by HAProxy's backend and slot.
	hasFile bool
	rows    map[string]map[string]row
	judged  slots.Process // of which it is known whether it has loaded the file

	// What the next report says.
	notes       []note
	counts      []slots.Count
	made, drift tally
	moved       moved
	restarted   bool
	said        []slots.Exchange

	nextTry, nextPoll, nextResync, nextSessions, nextSync, alertUntil time.Time
	sessionsEvery                                                     time.Duration
}

// newWorker returns a worker that knows what was stored of its instance.
func (a *Agent) newWorker(in *instance) *worker {
	w := &worker{
		name: in.Name, conn: in.Conn, process: in.last.process, hasFile: in.StateFile,
		inbox: make(chan desired, 1), syncs: make(chan chan<- error), locals: map[string]*local{},
	}
	for name, l := range in.backends {
		w.locals[name] = newLocal(l.externals, l.prefix)
	}
	return w
}

// run works until ctx is done. It leaves every slot as it is.
func (w *worker) run(ctx context.Context) {
	w.nextTry = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(w.due()))
		select {
		case <-ctx.Done():
			if w.probe != nil {
				<-w.probe
			}
			if w.flushed != nil {
				<-w.flushed
			}
			return
		case d := <-w.inbox:
			w.take(d)
			w.save(w.within(fresh))
			if w.up {
				w.round(ctx, fresh)
			}
		case err := <-w.probe:
			w.probe = nil
			w.answered(ctx, err)
		case err := <-w.flushed:
			w.flushed = nil
			if err != nil {
				w.note(note{text: "state file not synced", detail: err.Error(), warn: true})
			}
		case reply := <-w.syncs:
			reply <- w.syncNow(ctx)
		case <-timer.C:
			w.wake(ctx)
		}
	}
}

// take makes d what the worker works towards.
func (w *worker) take(d desired) {
	w.want = d
	for name := range w.locals {
		if _, ok := d.wants[name]; !ok {
			delete(w.locals, name)
		}
	}
	for name, wanted := range d.wants {
		l := w.locals[name]
		if l == nil {
			l = newLocal(nil, "")
			w.locals[name] = l
		}
		l.take(wanted)
		l.awaitEnds()
	}
}

// due is when there is something to do.
func (w *worker) due() time.Time {
	due := w.nextSync
	if w.probe != nil {
		return earlier(due, time.Now().Add(time.Hour))
	}
	if !w.up {
		return earlier(due, w.nextTry)
	}
	for _, t := range []time.Time{w.nextPoll, w.nextResync, w.nextSessions} {
		due = earlier(due, t)
	}
	if len(w.doubt) > 0 {
		due = earlier(due, w.doubt[0])
	}
	return due
}

// wake does what is due.
func (w *worker) wake(ctx context.Context) {
	now := time.Now()
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(w.nextSync) {
		w.flush(now)
	}
	switch {
	case w.probe != nil:
	case !w.up:
		if past(w.nextTry) {
			w.round(ctx, all)
		}
	case len(w.doubt) > 0 && past(w.doubt[0]):
		w.round(ctx, all)
	case past(w.nextResync):
		w.round(ctx, all)
	case past(w.nextSessions):
		w.round(ctx, ebbs)
	case past(w.nextPoll):
		w.look(ctx)
	}
}

// flush has the state files brought to the disk, once what is under way of that is done.
// Nothing waits for it: a disk may take long.
func (w *worker) flush(now time.Time) {
	if w.flushed != nil {
		w.nextSync = now.Add(syncAfter)
		return
	}
	w.nextSync = time.Time{}
	done := make(chan error, 1)
	w.flushed = done
	go func() { done <- w.conn.Sync() }()
}

// syncNow compares everything at once, for somebody who waits for it.
func (w *worker) syncNow(ctx context.Context) error {
	if w.probe != nil {
		return &slots.InstanceError{Fault: slots.Hung, Err: errStillHung}
	}
	return w.round(ctx, all)
}

func (w *worker) note(n note) { w.notes = append(w.notes, n) }

// report tells the loop. It fills in what is known about every backend.
func (w *worker) report(r report) {
	if r.instance = w.name; w.met {
		r.process = w.process
	}
	r.backends = make(map[string]localReport, len(w.locals))
	r.applied, r.inSync = w.want.gen, w.up
	for name, l := range w.locals {
		r.backends[name] = localReport{
			proxy: l.want.proxy, prefix: l.prefix, findable: l.findsItself(),
			own: l.own, usable: l.usable(r.at), seen: l.seen, lacking: l.lacking, held: l.held(), problem: l.problem, waiting: l.waiting,
			surplus:   len(slots.Missing(l.own, l.effective())),
			externals: maps.Clone(l.externals), refused: maps.Clone(l.refused), fights: l.fightsUntil(r.at),
			undynamic: l.undynamic, unloaded: l.unloaded,
		}
		if !l.settled() {
			r.inSync = r.inSync && l.held() // a pause has a state of its own
			r.applied = min(r.applied, cmp.Or(l.since, l.want.gen)-1)
		}
	}
	if w.sent || len(w.doubt) > 0 {
		r.inSync, r.applied = false, w.applied
	}
	w.applied = r.applied
	r.notes, r.counts, r.made, r.drift = w.notes, w.counts, w.made, w.drift
	r.restarted, r.moved, r.said = w.restarted, w.moved, copied(w.said)
	w.notes, w.counts, w.made, w.drift, w.moved, w.restarted, w.said = nil, nil, nil, nil, nil, false, nil
	w.post(r)
}
