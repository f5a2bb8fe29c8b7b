package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reconciler"
)

// This file answers what others ask of a running agent.

// answerWait is how long who looks at the agent waits for the loop, which is busy for milliseconds at most. It is less than
// the 5 s of "slotsync health", which can say why then.
const answerWait = 4 * time.Second

// Healthy returns nil while the loop is alive.
func (a *Agent) Healthy() error {
	last := a.ticked.Load()
	if last == nil {
		return errors.New("the agent has not started yet")
	}
	if silent := time.Since(*last); silent > aliveWithin {
		return fmt.Errorf("the loop has been silent for %s", silent.Round(time.Second))
	}
	return nil
}

// Status returns what the agent knows and does now, after 4 s at most. It may be called from
// anywhere, at any time. Of a loop that does not answer it says nothing but that: what was true
// before would be taken for what is.
func (a *Agent) Status() api.Status {
	if s := a.last.Load(); s != nil {
		return *s
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	var s api.Status
	err := a.ask(ctx, func(context.Context) { s = a.status(time.Now()) })
	if last := a.last.Load(); err != nil && last != nil {
		return *last
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errSilent
	}
	if err != nil {
		s = unknown(time.Now(), err)
		if a.ticked.Load() != nil { // before that there is nothing to know
			s.Unanswered = err.Error()
		}
	}
	return s
}

// unknown is the status of an agent that says nothing, in lists that are there.
func unknown(now time.Time, why error) api.Status {
	return api.Status{
		Schema: api.Schema, At: now, Started: now, NotReady: []string{why.Error()}, Backends: []api.BackendStatus{}, Instances: []api.InstanceStatus{},
		Sources: []api.SourceStatus{}, Reloads: []api.ReloadStatus{}, Overrides: []api.Override{}, Pauses: []api.Pause{},
	}
}

// errSilent is why nothing is said of what is so now.
var errSilent = fmt.Errorf("the loop of the agent has not answered for %s: what is so now is not known", answerWait)

// Accept has those of a backend, by our name of it, go that id stood for when it was
// shown: what the guard holds, what is kept, or live addresses that no source has ever
// listed. What is listed again by now stays. It fails with [api.ErrNoBackend],
// [api.ErrNothingHeld], or [api.ErrNoSuchID].
func (a *Agent) Accept(ctx context.Context, name, id, by string) (api.Accepted, error) {
	return storing(ctx, a, func(loop context.Context) (api.Accepted, error) {
		done := api.Accepted{Backend: name, ID: id}
		b := a.backend(name)
		if b == nil {
			return done, a.noBackend(name)
		}
		now := time.Now()
		ids := b.holdIDs(now)
		before := b.guard.Published()
		held, _ := b.guard.Hold(now)
		gone, ok := b.accept(id, now)
		switch {
		case !ok && len(ids) == 0:
			return done, fmt.Errorf("backend %q: %w", name, api.ErrNothingHeld)
		case !ok && id == "":
			return done, fmt.Errorf("backend %q: %w: name one of %s", name, api.ErrNoSuchID, strings.Join(ids, ", "))
		case !ok:
			return done, fmt.Errorf("backend %q: %w %q: what may go now is %s", name, api.ErrNoSuchID, id, strings.Join(ids, ", "))
		}
		done.Removed = addressStrings(gone)
		a.dirty = true
		a.record(b.accepted(gone, before, id, by), b.membersChanged(before, held), b.holdChanged(held, before))
		a.record(b.keptChanged()...)
		for _, f := range b.feeds {
			if f.accepted {
				a.readAgain(loop, b, f, 0) // it may be whole by what was accepted
			}
		}
		return done, nil
	}, func() []storeWait { return []storeWait{a.flushState()} })
}

// Sync compares every instance with what it should be, now, and returns the
// status after it. The error joins those of the instances that could not be
// compared.
func (a *Agent) Sync(ctx context.Context) (api.Status, error) {
	var asked []*reconciler.Reconciler
	if err := a.ask(ctx, func(context.Context) {
		for _, in := range a.instances {
			asked = append(asked, in.reconciler)
		}
	}); err != nil {
		return api.Status{}, err
	}
	errs := make([]error, len(asked))
	var group sync.WaitGroup
	for i, r := range asked {
		group.Go(func() { errs[i] = r.Sync(ctx) })
	}
	group.Wait()
	return a.Status(), errors.Join(errs...)
}
