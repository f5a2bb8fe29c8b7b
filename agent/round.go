package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

const (
	// maxPasses bounds one round: a plan is made, carried out and read back at
	// most so often before the worker looks at the world again.
	maxPasses = 50
	// maxRestarts bounds how often a round starts over because HAProxy was
	// reloaded, or a backend came, in the middle of it.
	maxRestarts = 3
)

var errStopping = errors.New("a worker that is stopping answers, and no other")

var errStillHung = errors.New("the instance took a connection and has not answered since")

// A scope says which backends a round looks at.
type scope uint8

const (
	fresh scope = iota // those with something new, unseen or unfinished
	ebbs               // those where sessions have to end first
	all                // every one
)

// round compares what the instance shows with what it should be, changes what
// differs, and reads it back, until nothing is left to do or something has to
// be waited for.
func (w *worker) round(ctx context.Context, which scope) error {
	brief, cancel := context.WithTimeout(ctx, w.want.timing.timeout)
	defer cancel()
	r := report{compared: true}
	var err error
	for range maxRestarts {
		err = w.attempt(brief, which, &r)
		if fault, _ := slots.FaultOf(err); err != nil && fault != slots.Restarted || err == nil && !w.blind() {
			break
		}
		which = all
	}
	if err == nil {
		err = w.shut(brief)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.failed(ctx, err)
		return err
	}
	w.pace(&r, which)
	w.report(r)
	return nil
}

// attempt is one round with one process. It looks before it writes, unless it
// has just done so.
func (w *worker) attempt(ctx context.Context, which scope, r *report) error {
	start := time.Now()
	names := w.within(which)
	if which != fresh || !w.knows(names, start) {
		if err := w.view(ctx, names, which != fresh && w.awaiting(names), r); err != nil {
			return err
		}
	}
	if r.restarted {
		names = w.names()
		if err := w.view(ctx, names, false, r); err != nil {
			return err
		}
	}
	if err := w.askResolvers(ctx, names); err != nil {
		return err
	}
	if r.restarted && !w.process.Same(w.judged) {
		w.judged = w.process
		w.judgeLoaded(names, start)
	}
	w.save(names)
	clean := w.clean(names, r)
	asked := false
	for range maxPasses {
		b, unknown := w.plan(names)
		if len(b.changes) == 0 && (!unknown || asked) {
			break
		}
		if asked = len(b.changes) == 0; asked {
			if err := w.view(ctx, names, true, r); err != nil {
				return err
			}
			continue
		}
		refused, err := w.apply(ctx, b, clean)
		r.took = time.Since(start)
		if err != nil {
			return err
		}
		if refused {
			break
		}
		names, clean = w.newest(names), nil
	}
	for _, name := range names {
		w.locals[name].verify(time.Now())
	}
	return nil
}

// knows reports whether the slots need not be looked at before they are
// changed: they were seen lately, or all that there is to do is to put some into
// maintenance, which is right whatever they are by now. Both are read back like
// everything else.
func (w *worker) knows(names []string, now time.Time) bool {
	if !w.up || w.sent || len(w.doubt) > 0 || len(names) == 0 {
		return false
	}
	lately := true
	for _, n := range names {
		l := w.locals[n]
		if l.own == nil {
			return false
		}
		lately = lately && now.Sub(l.seen) < seenLately
	}
	if lately {
		return true
	}
	b, _ := w.plan(names)
	return len(b.changes) > 0 && !slices.ContainsFunc(b.changes, func(c slots.Change) bool {
		return c.Addr.IsValid() || c.Weight > 0 || !c.SetClass || c.Class != slots.Maint
	})
}

// view reads the backends and takes what it sees.
func (w *worker) view(ctx context.Context, names []string, sessions bool, r *report) error {
	if len(names) == 0 {
		p, err := w.conn.Info(ctx)
		if err == nil {
			w.meet(p, r)
		}
		return err
	}
	v, err := w.conn.View(ctx, w.proxies(names), sessions)
	if err != nil {
		return err
	}
	if v.Process.Stopping {
		return &slots.InstanceError{Fault: slots.Restarted, Err: errStopping}
	}
	w.meet(v.Process, r)
	w.observe(names, v)
	return nil
}

// meet notes which process answers.
func (w *worker) meet(p slots.Process, r *report) {
	now := time.Now()
	if w.sent {
		w.sent = false
		w.doubt = nil
		for _, d := range recompare {
			w.doubt = append(w.doubt, now.Add(d))
		}
	}
	for len(w.doubt) > 0 && !now.Before(w.doubt[0]) {
		w.doubt = w.doubt[1:]
	}
	w.up, w.pause = true, 0
	if !p.Same(w.process) {
		w.restarted = w.restarted || w.met
		r.restarted = r.restarted || w.met
		for _, l := range w.locals {
			l.forget()
			l.reborn = w.process.Pid != 0
		}
	}
	w.met, w.process = true, p
}

// observe takes what the instance showed of the backends.
func (w *worker) observe(names []string, v slots.View) {
	now := time.Now()
	for _, name := range names {
		l := w.locals[name]
		servers, exists := v.Servers[l.want.proxy]
		taken, given := l.observe(servers, exists, len(w.doubt) == 0, now)
		w.tellProblem(name, l)
		for _, s := range taken {
			n, _ := slots.Number(s, l.prefix)
			w.note(note{kind: EventExternalTaken, text: "slot was taken out of service by somebody else; it is left so", backend: name, slot: s, detail: l.externals[n].Class.String(), warn: true})
		}
		for _, s := range given {
			w.note(note{kind: EventExternalGiven, text: "slot was given back by somebody else", backend: name, slot: s})
		}
	}
}

// tellProblem says once what keeps a backend from being filled.
func (w *worker) tellProblem(name string, l *local) {
	problem := l.problem
	if l.lacking {
		problem = "HAProxy has no backend " + l.want.proxy
	}
	if problem != "" && problem != l.said {
		w.note(note{text: "backend cannot be filled", backend: name, detail: problem, warn: true})
	}
	l.said = problem
}

// clean returns the backends of which nothing new is wanted: what differs there
// is drift.
func (w *worker) clean(names []string, r *report) map[string]bool {
	out := map[string]bool{}
	for _, name := range names {
		l := w.locals[name]
		out[name] = !r.restarted && len(w.doubt) == 0 && l.done == l.want.gen && l.waiting == 0
	}
	return out
}

// plan returns what can be done now over all of the backends: what gains
// capacity before what loses it. unknown says that sessions have to be read
// before it is clear what can be done.
func (w *worker) plan(names []string) (b batch, unknown bool) {
	now := time.Now()
	for _, name := range names {
		l := w.locals[name]
		if l.waiting = 0; l.idle() || l.own == nil {
			continue
		}
		p := l.spare(l.plan(), now)
		l.waiting = len(p.Waiting)
		for _, c := range p.Waiting {
			unknown = unknown || c.From.Sessions < 0
		}
		b.add(name, p.Changes...)
	}
	return b, unknown
}

// newest takes targets that came meanwhile, and returns the backends that are
// under way.
func (w *worker) newest(names []string) []string {
	select {
	case d := <-w.inbox:
		w.take(d)
		more := w.within(fresh)
		w.save(more)
		names = slices.DeleteFunc(append(names, more...), func(n string) bool { return w.locals[n] == nil || w.locals[n].own == nil })
		slices.Sort(names)
		return slices.Compact(names)
	default:
		return names
	}
}

// save writes the state files of the backends as they should be now.
func (w *worker) save(names []string) {
	every := w.names()
	for _, proxy := range w.proxies(names) {
		var servers []slots.Server
		for _, name := range every {
			if l := w.locals[name]; l.want.proxy == proxy && l.own != nil && l.problem == "" && (!l.want.quiet || hasReady(l.own, nil)) {
				servers = append(servers, l.saved()...)
			}
		}
		if len(servers) == 0 {
			continue
		}
		if err := w.conn.Save(proxy, servers); err != nil {
			w.note(note{text: "state file not written", detail: err.Error(), warn: true})
			continue
		}
		w.wrote(proxy, servers, time.Now())
		if w.nextSync.IsZero() {
			w.nextSync = time.Now().Add(syncAfter)
		}
	}
}
