package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/reloadpolicy"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/reload"
)

// This file is of reloads by slotsync itself. That another process of HAProxy answers, whoever
// reloaded it, is found in agent/reconciler (poll, onProcess), and told to the loop in report.go.

// A Reload is a way to reload HAProxy, and the instances that it reloads.
type Reload struct {
	// Name is unique, and for people. Key changes when anything else does.
	Name, Key string
	// File is what is reloaded, for people.
	File string
	// Instances are names; each must show a new process after a reload.
	Instances   []string
	Transaction Transaction
	// OldWorkers lists the processes that earlier reloads have left; nil if that
	// cannot be known.
	OldWorkers func(ctx context.Context) ([]api.OldWorker, error)
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
	// Files says what is on disk now.
	Files() reload.Files
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
	// Sections lists what can be edited and a tag of the whole, Section is one of
	// them; Preview is what an edit would change, Edit makes it, like Run.
	Sections() ([]reload.Section, string, error)
	Section(typ, name string) ([]byte, string, error)
	Preview(e reload.Edit) (string, error)
	Edit(ctx context.Context, e reload.Edit) (reload.Result, error)
}

// reloading is what the loop knows about one Reload.
type reloading struct {
	Reload
	policy  *reloadpolicy.Policy
	former  bool // it was not configured until now
	running bool
	old     []api.OldWorker
	looking bool // for them
	lookAt  time.Time
	files   reload.Files // as they were when they were looked at last
	filesAt time.Time    // then; zero: never
	reading bool         // they are looked at now
	last    *reload.Result
	lastErr error
	lastAt  time.Time
}

// changeReloads takes other options. What was tried, and how often, is not forgotten, also not of
// those that are not configured for a while.
func (a *Agent) changeReloads(ctx context.Context, next []Reload) {
	known := slices.Concat(a.reloads, a.formerReloads)
	var kept []*reloading
	for i, from := range pairReloads(known, next) {
		r, n := &reloading{policy: reloadpolicy.New(reloadpolicy.State{}, time.Now())}, next[i]
		if from >= 0 {
			r = known[from]
		}
		begins := !slices.Contains(a.reloads, r)
		if begins || r.Name != n.Name || r.File != n.File { // its journal goes by both
			a.recover(ctx, r, n)
		}
		if begins || r.Key != n.Key {
			r.files, r.filesAt = reload.Files{}, time.Time{}
		}
		r.Reload, r.former = n, false
		r.policy.SetRules(reloadpolicy.Rules{MinInterval: n.MinInterval, MaxPerHour: n.MaxPerHour, Jitter: n.Jitter})
		kept = append(kept, r)
	}
	former := slices.DeleteFunc(known, func(r *reloading) bool {
		return slices.Contains(kept, r) || !r.running && r.policy.Unused(time.Now())
	})
	for _, r := range former {
		r.former = true
		r.policy.Retain(func(string) bool { return false })
	}
	a.reloads, a.formerReloads = kept, former[:min(len(former), maxFormer)]
}

// pairReloads returns for each of next the index of the one in known that it goes on from, -1 for
// none: the one with its file and name, else with its file, else with its name, if that was
// configured until now and its file is of none of next. What the release before stored has no file, and goes by its name.
func pairReloads(known []*reloading, next []Reload) []int {
	gone := func(file string) bool {
		return !slices.ContainsFunc(next, func(n Reload) bool { return n.File == file })
	}
	return pair(known, next,
		func(r *reloading, n Reload) bool { return r.File == n.File && r.Name == n.Name },
		func(r *reloading, n Reload) bool { return r.File == n.File && r.File != "" },
		func(r *reloading, n Reload) bool {
			return r.Name == n.Name && (r.File == "" || !r.former && gone(r.File))
		},
	)
}

// reloadings are what is known of those that an earlier process had.
func (s stored) reloadings() (out []*reloading) {
	for _, r := range s.Reloads {
		out = append(out, &reloading{Reload: Reload{Name: r.Name, File: r.File}, policy: reloadpolicy.New(r.State, time.Now()), former: r.Former})
	}
	return out
}

func (a *Agent) reloadNamed(name string) *reloading {
	return first(a.reloads, func(r *reloading) bool { return r.Name == name })
}

// recover ends what an earlier process left half done of r, as next has it, before anything else is
// reloaded.
func (a *Agent) recover(ctx context.Context, r *reloading, next Reload) {
	a.recovering++
	a.group.Go(func() {
		res, had, err := recovered(ctx, next.Transaction)
		a.post(ctx, func(context.Context) {
			a.recovering--
			if had || err != nil {
				r.policy.Reloaded(time.Now())
				a.dirty = true
			}
			a.reloadRecovered(next, res, had, err)
		})
	})
}

// recovered ends what is pending in t. Where somebody else reloads, who has the same file
// or the same master, it tries again for two minutes: nobody else would end it.
func recovered(ctx context.Context, t Transaction) (res reload.Result, had bool, err error) {
	for range 24 {
		if res, had, err = t.Recover(ctx); !errors.Is(err, reload.ErrBusy) || ctx.Err() != nil {
			break
		}
		discovery.Sleep(ctx, 5*time.Second)
	}
	return res, had, err
}

// considerReloads starts the reload that is due, and returns when one will be.
func (a *Agent) considerReloads(ctx context.Context, now time.Time) (next time.Time) {
	if !a.barrierOpen {
		return next
	}
	for _, r := range a.reloads {
		a.pollOldWorkers(ctx, r, now)
		next = reconciler.Earlier(next, a.pollFiles(ctx, r, now))
		a.observeNeeds(r, now)
	}
	var failed []string
	for _, r := range a.reloads {
		failed = append(failed, r.policy.Failed(r.files.Tag)...)
	}
	for _, r := range a.reloads {
		backends := r.policy.Pending(r.files.Tag, failed)
		if len(backends) == 0 || r.filesAt.IsZero() || a.reloadBusy || a.recovering > 0 || !a.up(r) || a.unseen(r) {
			continue
		}
		if at := r.policy.DueAt(backends, now, rand.N[time.Duration]); now.Before(at) {
			next = reconciler.Earlier(next, at)
			continue
		}
		a.startReload(ctx, r, backends)
	}
	return next
}

// observeNeeds brings the needs of r up to date.
func (a *Agent) observeNeeds(r *reloading, now time.Time) {
	if !r.Transaction.Renders() {
		r.policy.Retain(func(string) bool { return false })
		return
	}
	for _, b := range a.backends {
		have, lacks := a.lacks(r, b, now)
		lacks = lacks && a.pauses.Of(b.Name, now) == nil
		r.policy.Observe(b.Name, have, b.placement.Needed(), lacks, now)
	}
	r.policy.Retain(func(name string) bool { return a.backend(name) != nil })
}

// lacks reports how many slots the instances of r have of b, the least of them,
// and whether a reload would give them more that they need. Those that cannot be used count:
// they are in the configuration.
func (a *Agent) lacks(r *reloading, b *backend, now time.Time) (have int, lacks bool) {
	is := a.template(b, r.Instances)
	if b.changesOver(now) { // it has twice what it needs, for seconds
		return is.least, false
	}
	short := b.placement.Short() || slices.ContainsFunc(a.of(b), func(in *instance) bool {
		return slices.Contains(r.Instances, in.Name) && isShort(in.at(b.Name).BackendReport)
	})
	return is.least, b.phase == phaseLive && r.serves(a.of(b)) && short && b.slotsToRender(is) > is.least
}

// up reports whether every instance of r answers: a reload wants to see each of
// them before and after.
func (a *Agent) up(r *reloading) bool {
	return !slices.ContainsFunc(r.Instances, func(name string) bool {
		in := a.instance(name)
		return in == nil || !in.up()
	})
}

// unseen reports whether an instance of r has not shown yet what it has of a backend, and may
// soon: it would be given fewer slots than it has.
func (a *Agent) unseen(r *reloading) bool {
	return slices.ContainsFunc(a.backends, func(b *backend) bool {
		return slices.ContainsFunc(a.of(b), func(in *instance) bool {
			at := in.at(b.Name)
			return slices.Contains(r.Instances, in.Name) && in.mayAnswer() && at.Own == nil && !at.Missing && at.Problem == ""
		})
	})
}

// serves reports whether r reloads any of the instances.
func (r *reloading) serves(instances []*instance) bool {
	return slices.ContainsFunc(instances, func(in *instance) bool { return slices.Contains(r.Instances, in.Name) })
}

// maxAttempts bounds the attempts that are remembered, where there are few backends.
const maxAttempts = 100
