package reconciler

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

const (
	// maxPasses bounds one round: a plan is made, carried out and read back at
	// most so often before the reconciler looks at the world again.
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
	fresh           scope = iota // those with something new, unseen or unfinished
	pendingSessions              // those where sessions have to end first
	all                          // every one
)

// round compares what the instance shows with what it should be, changes what
// differs, and reads it back, until nothing is left to do or something has to
// be waited for.
func (r *Reconciler) round(ctx context.Context, which scope) error {
	brief, cancel := context.WithTimeout(ctx, r.spec.Timing.Timeout)
	defer cancel()
	report := Report{Compared: true}
	var err error
	for range maxRestarts {
		err = r.attempt(brief, which, &report)
		if fault, _ := slots.FaultOf(err); err != nil && fault != slots.Restarted || err == nil && !r.hasUnobserved() {
			break
		}
		which = all
	}
	if err == nil {
		err = r.killSessions(brief)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.onError(ctx, err)
		return err
	}
	r.schedule(&report, which)
	r.send(report)
	return nil
}

// attempt is one round with one process. It looks before it writes, unless it
// has just done so.
func (r *Reconciler) attempt(ctx context.Context, which scope, report *Report) error {
	start := time.Now()
	names := r.inScope(which)
	if which != fresh || !r.canSkipRead(names, start) {
		if err := r.read(ctx, names, which != fresh && r.awaitsSessions(names), report); err != nil {
			return err
		}
	}
	if report.Restarted {
		names = r.names()
		if err := r.read(ctx, names, false, report); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(names, func(n string) bool { return r.backends[n].asksCounters() }) {
		if err := r.read(ctx, names, true, report); err != nil {
			return err
		}
	}
	if err := r.askResolvers(ctx, names); err != nil {
		return err
	}
	if report.Restarted && !r.process.Same(r.fileChecked) {
		r.fileChecked = r.process
		r.checkLoaded(names, start)
	}
	r.save(names)
	converged := r.converged(names, report)
	asked := false
	for range maxPasses {
		todo, unknown := r.plan(names)
		if len(todo.changes) == 0 && (!unknown || asked) {
			break
		}
		if asked = len(todo.changes) == 0; asked {
			if err := r.read(ctx, names, true, report); err != nil {
				return err
			}
			continue
		}
		refused, err := r.apply(ctx, todo, converged)
		report.Took = time.Since(start)
		if err != nil {
			return err
		}
		if refused {
			break
		}
		names, converged = r.pollInbox(names), nil
	}
	for _, name := range names {
		r.backends[name].verify(time.Now())
	}
	return nil
}

// canSkipRead reports whether the slots need not be looked at before they are
// changed: they were seen lately, or all that there is to do is to put some into
// maintenance, which is right whatever they are by now. Both are read back like
// everything else.
func (r *Reconciler) canSkipRead(names []string, now time.Time) bool {
	if !r.up || r.uncertain || len(r.recheckAt) > 0 || len(names) == 0 {
		return false
	}
	lately := true
	for _, n := range names {
		b := r.backends[n]
		if b.own == nil {
			return false
		}
		lately = lately && now.Sub(b.seen) < seenLately
	}
	if lately {
		return true
	}
	todo, _ := r.plan(names)
	return len(todo.changes) > 0 && !slices.ContainsFunc(todo.changes, func(c slots.Change) bool {
		return c.Addr.IsValid() || c.Weight > 0 || !c.SetClass || c.Class != slots.Maint
	})
}

// read reads the backends and takes what it sees.
func (r *Reconciler) read(ctx context.Context, names []string, sessions bool, report *Report) error {
	if len(names) == 0 {
		p, err := r.conn.Info(ctx)
		if err == nil {
			r.onProcess(p, len(r.backends) == 0, report)
		}
		return err
	}
	v, err := r.conn.View(ctx, r.proxies(names), sessions)
	if err != nil {
		return err
	}
	if v.Process.Stopping {
		return &slots.InstanceError{Fault: slots.Restarted, Err: errStopping}
	}
	r.onProcess(v.Process, len(names) == len(r.backends), report)
	r.observe(names, v)
	return nil
}

// onProcess notes which process answers. whole: all backends are compared with what it shows.
func (r *Reconciler) onProcess(p slots.Process, whole bool, report *Report) {
	now := time.Now()
	if r.uncertain {
		r.uncertain = false
		r.recheckAt = nil
		for _, d := range recheckAfter {
			r.recheckAt = append(r.recheckAt, now.Add(d))
		}
	}
	for whole && len(r.recheckAt) > 0 && !now.Before(r.recheckAt[0]) {
		r.recheckAt = r.recheckAt[1:]
	}
	r.up, r.backoff = true, 0
	if !p.Same(r.process) {
		r.restarted = r.restarted || r.met
		report.Restarted = report.Restarted || r.met
		for _, b := range r.backends {
			b.forget()
			b.freshProcess, b.stranger = r.process.Pid != 0, r.process.Pid == 0
		}
	}
	r.met, r.process = true, p
}

// observe takes what the instance showed of the backends.
func (r *Reconciler) observe(names []string, v slots.View) {
	now := time.Now()
	for _, name := range names {
		b := r.backends[name]
		servers, exists := v.Servers[b.spec.Proxy]
		b.observe(servers, exists, now)
		r.reportProblem(name, b)
		r.judge(name)
	}
}

// judge says which slots somebody else took out of service, and gave back.
func (r *Reconciler) judge(name string) {
	b := r.backends[name]
	taken, given := b.judge(len(r.recheckAt) == 0, time.Now())
	for _, s := range taken {
		n, _ := slots.Number(s, b.prefix)
		r.event(Event{Kind: SlotTaken, Text: "slot was taken out of service by somebody else; it is left so", Backend: name, Slot: s,
			Detail: "set to " + b.externals[n].Class.String() + "; slotsync server start " + name + "/" + s + " ends that", Warn: true})
	}
	for _, s := range given {
		r.event(Event{Kind: SlotGivenBack, Text: "slot was set ready again by somebody else", Backend: name, Slot: s})
	}
}

// reportProblem says once what keeps a backend from being filled.
func (r *Reconciler) reportProblem(name string, b *backendState) {
	problem := b.problem
	if b.missing {
		problem = "HAProxy has no backend " + b.spec.Proxy
	}
	if problem != "" && problem != b.reportedProblem {
		r.event(Event{Text: "backend cannot be filled", Backend: name, Detail: problem + "; " + explains(name), Warn: true})
	}
	b.reportedProblem = problem
}

// converged returns the backends of which nothing new is wanted: what differs there
// is drift.
func (r *Reconciler) converged(names []string, report *Report) map[string]bool {
	out := map[string]bool{}
	for _, name := range names {
		b := r.backends[name]
		out[name] = !report.Restarted && len(r.recheckAt) == 0 && b.done == b.spec.Generation && b.waiting == 0
	}
	return out
}

// plan returns what can be done now over all of the backends: what gains
// capacity before what loses it. unknown says that sessions have to be read
// before it is clear what can be done.
func (r *Reconciler) plan(names []string) (todo batch, unknown bool) {
	now := time.Now()
	for _, name := range names {
		b := r.backends[name]
		if b.waiting = 0; b.idle() || b.own == nil {
			continue
		}
		r.judge(name) // more may be wanted than when the slots were seen
		p := b.withoutConflicts(b.plan(), now)
		b.waiting = len(p.Waiting)
		for _, c := range p.Waiting {
			unknown = unknown || c.From.Sessions < 0
		}
		todo.add(name, p.Changes...)
	}
	return todo, unknown
}

// pollInbox takes targets that came meanwhile, and returns the backends that are
// under way.
func (r *Reconciler) pollInbox(names []string) []string {
	if !r.takeWaiting() {
		return names
	}
	more := r.inScope(fresh)
	r.save(more)
	names = slices.DeleteFunc(append(names, more...), func(n string) bool { return r.backends[n] == nil || r.backends[n].own == nil })
	slices.Sort(names)
	return slices.Compact(names)
}
