package agent

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	// onceTimeout bounds how long sources and instances may take for one round.
	onceTimeout = 30 * time.Second
	// onceLook is how often it is asked whether the round is over.
	onceLook = 5 * time.Millisecond
)

// Once does one round in place of [Agent.Run]: it returns when every source has
// answered or failed and every instance is in step or cannot be reached, after
// half a minute at most. The error says what was left undone. Without the state there is no round:
// unlike an agent, which has to go on, who asks for one can be told.
func (a *Agent) Once(ctx context.Context) (api.Status, error) {
	if _, err := loadState(a.opts.Folders, a.opts.StateDir, (*store.Dir).Read); err != nil {
		return api.Status{}, unread(err)
	}
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	a.opts.Reloads = nil // a reload must not be cut short by the end of the round
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	ticker := time.NewTicker(onceLook)
	defer ticker.Stop()
	over := false
	for !over && ctx.Err() == nil {
		select {
		case <-ticker.C:
			_ = a.ask(ctx, func(context.Context) { over = a.settled() })
		case <-ctx.Done():
		}
	}
	cancel()
	err := <-done
	status := a.Status()
	return status, errors.Join(err, status.Undone())
}

// settled reports whether nothing is under way any more.
func (c *core) settled() bool {
	if !c.barrierOpen {
		return false
	}
	for _, b := range c.backends {
		if b.due && c.decidable(b) || slices.ContainsFunc(b.feeds, (*feed).pending) {
			return false
		}
	}
	return !slices.ContainsFunc(c.instances, func(in *instance) bool { return in.last.Err == nil && !in.inSync() })
}

// Plan says what a round would do, in place of [Agent.Run], and does none of
// it. Reading needs no more than level user. The error is that of ctx; what
// could not be asked is in the plan.
func (a *Agent) Plan(ctx context.Context) (api.Plan, error) {
	p := api.Plan{}
	if err := a.begin((*store.Dir).Read); err != nil {
		p.Problems = append(p.Problems, unread(err).Error())
	}
	a.barrierOpen = true
	a.readInstances(ctx)
	a.readSources(ctx)
	now := time.Now()
	for _, b := range a.backends {
		b.due = true
		if a.decidable(b) && b.recompute(now) {
			a.publish(b, time.Time{}, now)
		}
	}
	a.broadcast(now)
	for _, in := range a.instances {
		p.Instances = append(p.Instances, in.preview())
	}
	for _, b := range a.backends {
		p.Backends = append(p.Backends, a.backendStatus(b, now))
		for _, f := range b.feeds {
			if f.failing != nil {
				p.Problems = append(p.Problems, "backend "+b.Name+": "+f.failing.Error())
			}
			for _, part := range f.status(b.Name, now).UnknownParts() {
				p.Problems = append(p.Problems, "backend "+b.Name+": "+f.Source.String()+": "+part)
			}
		}
		for _, problem := range b.problems() {
			p.Problems = append(p.Problems, "backend "+b.Name+": "+problem)
		}
	}
	return p, ctx.Err()
}

// readInstances reads every instance once, at the same time.
func (a *Agent) readInstances(ctx context.Context) {
	reports := make([]reconciler.Report, len(a.instances))
	var group sync.WaitGroup
	for i, in := range a.instances {
		in.reconciler = a.newReconciler(in, func(r reconciler.Report) { reports[i] = r })
		in.reconciler.Set(a.spec(in, time.Now()))
		group.Go(func() { in.reconciler.Read(ctx) })
	}
	group.Wait()
	for i, in := range a.instances {
		a.applyReport(in, reports[i])
	}
}

// readSources asks every source once, at the same time.
func (a *Agent) readSources(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	type answer struct {
		b *backend
		f *feed
		u discovery.Update
	}
	var answers []*answer
	var group sync.WaitGroup
	for _, b := range a.backends {
		for _, f := range b.feeds {
			to := &answer{b: b, f: f}
			answers = append(answers, to)
			group.Go(func() {
				r, err := f.Source.Next(ctx)
				to.u = discovery.Update{Reading: r, Err: err, At: time.Now()}
			})
		}
	}
	group.Wait()
	for _, got := range answers {
		a.onUpdate(ctx, got.b, got.f, got.u)
	}
}

// preview says what the next round would do at an instance.
func (in *instance) preview() api.InstancePlan {
	p := api.InstancePlan{Instance: in.Name, Changes: []api.PlannedChange{}}
	if in.last.Err != nil {
		p.Error = in.last.Err.Error()
		return p
	}
	for _, next := range in.reconciler.Preview() {
		p.Changes = append(p.Changes, planned(next.Backend, next.Change, next.Target, next.Waiting))
	}
	return p
}

func planned(backend string, c slots.Change, t slots.Target, waiting bool) api.PlannedChange {
	to := t.Class.String()
	if t.Addr.IsValid() {
		to = t.Addr.String() + " " + to
	}
	if c.Weight > 0 {
		to += " weight " + strconv.Itoa(c.Weight)
	}
	from := c.From.Class.String()
	if c.From.Addr.IsValid() {
		from = c.From.Addr.String() + " " + from
	}
	return api.PlannedChange{Backend: backend, Slot: c.Slot, Kind: c.Kind, From: from, To: to, Waiting: waiting}
}
