package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/reload"
	"github.com/slotsync/slotsync/slots"
)

// A Reload is a way to reload HAProxy, and the instances that it reloads.
type Reload struct {
	// Name is unique, and for people. Key changes when anything else does.
	Name, Key string
	// Instances are names; each must show a new process after a reload.
	Instances   []string
	Transaction Transaction
	// OldWorkers lists the processes that earlier reloads have left; nil if that
	// cannot be known.
	OldWorkers func(ctx context.Context) ([]OldWorker, error)
	// MinInterval and MaxPerHour bound the reloads that nobody asked for, Jitter
	// spreads them over a fleet. 0 stands for no bound and no spread.
	MinInterval time.Duration
	MaxPerHour  int
	Jitter      time.Duration
}

// A Transaction is one file and the way to reload it, such as
// [reload.Transaction].
type Transaction interface {
	// Renders reports whether the file is made from a template, so that a reload
	// can give more slots.
	Renders() bool
	// Run does the whole of it, or puts back what was.
	Run(ctx context.Context, r reload.Request) (reload.Result, error)
	// Show returns the file and a tag that changes with it.
	Show() (text []byte, etag string, err error)
	// Recover ends what was cut short, and reports whether there was anything.
	Recover(ctx context.Context) (reload.Result, bool, error)
	// Check renders and checks, and changes nothing.
	Check(ctx context.Context, d reload.Data) (words string, err error)
	// Versions are what is kept of the file, newest first; Version is one of
	// them, Diff what changed between two, "" for the file as it is.
	Versions() ([]reload.Version, error)
	Version(id string) (reload.Version, []byte, error)
	Diff(from, to string) (string, error)
	// Restore puts a version in force, like Run.
	Restore(ctx context.Context, id, by string) (reload.Result, error)
}

// reloading is what the loop knows about one Reload.
type reloading struct {
	Reload
	needs   needs
	latched []latch
	done    []time.Time   // reloads of the last hour
	jitter  time.Duration // of the need that is there now
	running bool
	old     []OldWorker
	looking bool // for them
	lookAt  time.Time
	tag     string // of the file, as it was read last
	tagAt   time.Time
	last    *reload.Result
	lastErr error
	lastAt  time.Time
}

// changeReloads takes other options; what is known of those that stay is kept.
func (a *Agent) changeReloads(ctx context.Context, next []Reload) {
	var kept []*reloading
	for _, n := range next {
		r := a.reloadNamed(n.Name)
		if r == nil {
			r = &reloading{needs: needs{}}
			r.restore(a.stored.reload(n.Name))
			a.recover(ctx, n)
		}
		r.Reload = n
		kept = append(kept, r)
	}
	a.reloads = kept
}

func (a *Agent) reloadNamed(name string) *reloading {
	i := slices.IndexFunc(a.reloads, func(r *reloading) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return a.reloads[i]
}

// recover ends what an earlier process left half done, before anything else is
// reloaded.
func (a *Agent) recover(ctx context.Context, r Reload) {
	a.recovering++
	a.group.Go(func() {
		res, had, err := r.Transaction.Recover(ctx)
		a.post(ctx, func(context.Context) {
			a.recovering--
			if kept := a.reloadNamed(r.Name); kept != nil && (had || err != nil) {
				kept.done = append(kept.done, time.Now())
			}
			switch {
			case err != nil:
				a.opts.Log.Error("a reload was cut short and could not be put right", "reload", r.Name, "err", err)
			case had:
				a.opts.Log.Warn("a reload was cut short; it is put right", "reload", r.Name, "step", string(res.Step), "rolled_back", res.RolledBack)
			}
		})
	})
}

// considerReloads starts the reload that is due, and returns when one will be.
func (a *Agent) considerReloads(ctx context.Context, now time.Time) (next time.Time) {
	if !a.opened {
		return next
	}
	failed := map[string]bool{} // backends that a reload has failed for
	for _, r := range a.reloads {
		a.lookForOld(ctx, r, now)
		if !r.Transaction.Renders() {
			clear(r.needs)
			continue
		}
		a.observeNeeds(r, now)
		for name := range r.needs {
			if l := r.latch(cause{name, r.needs[name].slots, a.etag(r)}); l != nil && l.Why != "" {
				failed[name] = true
			}
		}
	}
	for _, r := range a.reloads {
		if len(r.needs) == 0 {
			r.jitter = 0
			continue
		}
		backends := r.open(a.etag(r), failed)
		if len(backends) == 0 || a.reloadBusy || a.recovering > 0 || !a.up(r) {
			continue
		}
		if r.jitter == 0 && r.Jitter > 0 {
			r.jitter = rand.N(r.Jitter)
		}
		at := r.needs.settled(backends)
		if allowed := r.budget().next(recent(r.done, now)); allowed.After(at) {
			at = allowed
		}
		if at = at.Add(r.jitter); now.Before(at) {
			next = earlier(next, at)
			continue
		}
		a.overflow(ctx, r, backends)
	}
	return next
}

func (r *reloading) budget() budget { return budget{r.MinInterval, r.MaxPerHour} }

// etag is the state of the file, within a second; "" if it cannot be read.
func (a *Agent) etag(r *reloading) string {
	if now := time.Now(); r.tagAt.IsZero() || now.Sub(r.tagAt) >= time.Second {
		_, tag, err := r.Transaction.Show()
		if err != nil {
			tag = ""
		}
		r.tag, r.tagAt = tag, now
	}
	return r.tag
}

// observeNeeds brings the needs of r up to date.
func (a *Agent) observeNeeds(r *reloading, now time.Time) {
	for _, b := range a.backends {
		have, lacks := a.lacks(r, b)
		r.needs.observe(b.Name, have, b.needed(), lacks, now)
	}
	for name := range r.needs {
		if a.backend(name) == nil {
			delete(r.needs, name)
		}
	}
}

// lacks reports how many slots the instances of r have of b, the least of them,
// and whether a reload would give them more that they need.
func (a *Agent) lacks(r *reloading, b *backend) (have int, lacks bool) {
	have, short := b.templated(), len(b.surplus) > 0
	for _, in := range a.of(b) {
		seen, ok := in.last.backends[b.Name]
		if !slices.Contains(r.Instances, in.Name) || !ok || seen.own == nil {
			continue
		}
		have = min(have, templated(seen.own))
		short = short || seen.surplus > 0
	}
	return have, b.phase == phaseLive && r.serves(a.of(b)) && short && b.slotsToRender() > have
}

// templated is how many of an instance's slots are in its configuration.
func templated(own []slots.Server) int {
	n := 0
	for _, s := range own {
		if !s.Dynamic {
			n++
		}
	}
	return n
}

// slotsToRender is how many slots the configuration of b should have: also those
// that were added at run time, whose endpoints stay where they are.
func (b *backend) slotsToRender() int {
	n := b.templated()
	switch {
	case n == 0: // HAProxy does not have the backend yet
		n = grow(0, max(1, len(b.wanted())), b.MaxSlots)
	case len(b.surplus) > 0:
		n = grow(n, b.needed(), b.MaxSlots)
	}
	for _, s := range b.table {
		if k := numberOf(s.Name); !s.Free() && k <= b.MaxSlots {
			n = max(n, k)
		}
	}
	return n
}

// numberOf is the number at the end of a slot's name; 0 if there is none.
func numberOf(name string) int {
	n, err := strconv.Atoi(name[len(strings.TrimRight(name, "0123456789")):])
	if err != nil {
		return 0
	}
	return n
}

// up reports whether every instance of r answers: a reload wants to see each of
// them before and after.
func (a *Agent) up(r *reloading) bool {
	return !slices.ContainsFunc(r.Instances, func(name string) bool {
		in := a.instance(name)
		return in == nil || !in.up()
	})
}

// serves reports whether r reloads any of the instances.
func (r *reloading) serves(instances []*instance) bool {
	return slices.ContainsFunc(instances, func(in *instance) bool { return slices.Contains(r.Instances, in.Name) })
}

// open returns the backends whose need was not acted on yet, sorted, but for
// those of which any reload has failed: what broke one would break the next.
func (r *reloading) open(etag string, failed map[string]bool) []string {
	var out []string
	for name, n := range r.needs {
		if !failed[name] && r.latch(cause{name, n.slots, etag}) == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// latch returns what came of a cause; nil if it was not acted on.
func (r *reloading) latch(c cause) *latch {
	i := slices.IndexFunc(r.latched, func(l latch) bool { return l.Cause == c })
	if i < 0 {
		return nil
	}
	return &r.latched[i]
}

// maxLatched bounds the causes that are remembered, where there are few backends.
const maxLatched = 100

// overflow runs the transaction that these backends need.
func (a *Agent) overflow(ctx context.Context, r *reloading, backends []string) {
	req := reload.Request{Reason: "overflow: " + strings.Join(backends, ", "), Data: a.data(r)}
	run := r.Transaction
	a.launch(ctx, r, launch{
		reason: req.Reason, causes: r.causes(),
		run: func(ctx context.Context) (reload.Result, error) { return run.Run(ctx, req) },
	})
}

// causes are what a reload may cure now: all that lack slots are served by it.
func (r *reloading) causes() []cause {
	out := make([]cause, 0, len(r.needs))
	for name, n := range r.needs {
		out = append(out, cause{Backend: name, Slots: n.slots})
	}
	return out
}

// A launch is one transaction that is under way.
type launch struct {
	reason string
	by     string  // "": nobody asked
	causes []cause // that it may cure
	run    func(context.Context) (reload.Result, error)
	over   chan error // hears of the end, if not nil
}

// launch starts a transaction, of which there is one at a time.
func (a *Agent) launch(ctx context.Context, r *reloading, l launch) {
	a.reloadBusy, r.running = true, true
	a.opts.Log.Info("HAProxy is reloaded", "reload", r.Name, "reason", l.reason)
	a.group.Go(func() {
		res, err := l.run(ctx)
		if errors.Is(err, reload.ErrBusy) {
			err = errors.Join(ErrReloading, err)
		}
		if !a.post(ctx, func(loop context.Context) { a.launched(loop, r, l, res, err) }) {
			l.end(err)
		}
	})
}

// end tells who waits for it.
func (l launch) end(err error) {
	if l.over != nil {
		l.over <- err
	}
}

// launched takes what came of a transaction.
func (a *Agent) launched(ctx context.Context, r *reloading, l launch, res reload.Result, err error) {
	defer l.end(err)
	now := time.Now()
	a.reloadBusy, r.running, r.tagAt = false, false, time.Time{}
	r.last, r.lastErr, r.lastAt, r.jitter = &res, err, now, 0
	r.done = append(recent(r.done, now), now)
	if l.by != "" {
		r.latched = nil // a person asked: what was tried before may be tried again
	}
	etag, why := a.etag(r), ""
	if err != nil {
		why = err.Error()
	}
	if errors.Is(err, reload.ErrBusy) {
		l.causes = nil // another process reloads; nothing was tried
	}
	for _, c := range l.causes {
		c.File = etag
		r.latched = append(r.latched, latch{c, now, why})
	}
	if extra := len(r.latched) - max(maxLatched, 2*len(a.backends)); extra > 0 {
		r.latched = r.latched[extra:]
	}
	a.dirty = true
	a.toldReload(r, l, res, err)
	for _, name := range r.Instances {
		if w := a.workers[name]; w != nil {
			a.group.Go(func() { _ = w.sync(ctx) })
		}
	}
}

// toldReload says what came of a transaction.
func (a *Agent) toldReload(r *reloading, l launch, res reload.Result, err error) {
	result, reason := "ok", "request"
	if l.by == "" {
		reason = "overflow"
	}
	if err != nil {
		result = "failed"
		a.opts.Log.Error("HAProxy was not reloaded", "reload", r.Name, "reason", l.reason, "err", err,
			"to_try_again", "slotsync haproxy reload")
	} else {
		a.opts.Log.Info("HAProxy was reloaded", "reload", r.Name, "reason", l.reason, "version", res.Version, "took", res.Took.Round(time.Millisecond))
	}
	for _, name := range r.Instances {
		a.opts.Metrics.HAProxyReloaded(name, reason, result)
	}
}

// data is what a template sees: the backends with as many slots as they should
// have, and every endpoint in the slot that it has or will get.
func (c *core) data(r *reloading) reload.Data {
	var d reload.Data
	for _, b := range c.backends {
		if !r.serves(c.of(b)) {
			continue
		}
		n, prefix := b.slotsToRender(), c.prefix(b)
		out := reload.Backend{Name: b.Name, Proxy: b.Proxy, Prefix: prefix, Slots: n}
		weights := slots.Scale(b.guard.published)
		for _, s := range b.extended(prefix, n) {
			if e := s.Endpoint; !s.Free() {
				slot := s.Name
				if numberOf(slot) > n {
					slot = "" // it gets another one
				}
				out.Servers = append(out.Servers, reload.Server{Name: e.Name, Slot: slot, Addr: e.Addr, Weight: weights[e.Addr], State: stateWord(e.State)})
			}
		}
		d.Backends = append(d.Backends, out)
	}
	return d
}

// stateWord is what a state is called in a server-state file and in templates.
func stateWord(s discovery.State) string {
	switch s {
	case discovery.Ready:
		return slots.Ready.String()
	case discovery.Drain:
		return slots.Drain.String()
	case discovery.Down:
	}
	return slots.Maint.String()
}

// extended is the table as it will be with n slots.
func (b *backend) extended(prefix string, n int) slots.Table {
	t := slices.Clone(b.table)
	for i := range t {
		t[i].Dynamic = false
	}
	for k := 1; k <= n; k++ {
		name := fmt.Sprintf("%s%d", prefix, k)
		if !slices.ContainsFunc(t, func(s slots.Slot) bool { return s.Name == name }) {
			t = append(t, slots.Slot{Name: name})
		}
	}
	t, _ = t.Assign(b.wanted(), time.Time{})
	return t
}

// prefix is that of the slots of b, as configured or as found.
func (c *core) prefix(b *backend) string {
	if b.Prefix != "" {
		return b.Prefix
	}
	for _, in := range c.of(b) {
		if own := in.last.backends[b.Name].own; len(own) > 0 {
			return strings.TrimRight(own[0].Name, "0123456789")
		}
	}
	return b.Proxy
}

// templated is how many slots the configuration of b has.
func (b *backend) templated() int {
	n := 0
	for _, s := range b.table {
		if !s.Dynamic {
			n++
		}
	}
	return n
}

// needed is how many endpoints of b should have a slot.
func (b *backend) needed() int {
	n := len(b.surplus)
	for _, s := range b.table {
		if !s.Free() {
			n++
		}
	}
	return n
}
