package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/store"
)

// This file hands over what is to be stored. What operators asked for is on the disk before they
// are told that it is done.

const (
	operatorsFile    = "operators.json"
	operatorsVersion = 1
)

// operatorsState is what operators asked for, in a small file of its own: to write it
// takes no longer than the disk needs.
type operatorsState struct {
	Version   int            `json:"version"`
	At        time.Time      `json:"at"` // of the last change
	Overrides []api.Override `json:"overrides"`
	Pauses    []api.Pause    `json:"pauses"`
}

func (a *Agent) operatorsState() operatorsState {
	return operatorsState{operatorsVersion, a.operatorsAt, a.overrides.Sorted(), a.pauses.Sorted()}
}

// operatorsAsked notes that operators changed something. It is always later than the change
// before it, whatever the clock was then: of two files the later one counts.
func (a *Agent) operatorsAsked(now time.Time) {
	if !now.After(a.operatorsAt) {
		now = a.operatorsAt.Add(1)
	}
	a.operatorsAt, a.dirty = now, true
}

// durably has the loop do f, and returns what that returns once the overrides and pauses
// that it changed are on the disk, and what it changed of the state if it says so by
// [Agent.stateAsked].
func durably[T any](ctx context.Context, a *Agent, f func(context.Context) (T, error)) (T, error) {
	return storing(ctx, a, f, func() []storeWait {
		out := []storeWait{a.operators.Flush(a.operatorsState())}
		if a.stateAsked {
			out = append(out, a.flushState())
		}
		return out
	})
}

// A storeWait waits until something is on the disk.
type storeWait = func(context.Context) error

// flushState hands over the state as it is now.
func (a *Agent) flushState() storeWait {
	a.stateAsked = false
	return a.saver.Flush(a.snapshot(time.Now()))
}

// storing has the loop do f and then begin to store what it changed, and returns when
// that is done. The error wraps [api.ErrNotStored] if what f did is in force and not on the
// disk.
func storing[T any](ctx context.Context, a *Agent, f func(context.Context) (T, error), begin func() []storeWait) (v T, err error) {
	var stored []storeWait
	if stopped := a.ask(ctx, func(loop context.Context) {
		before := a.operatorsAt
		if v, err = f(loop); err == nil || !before.Equal(a.operatorsAt) || a.stateAsked { // else nothing changed
			stored = begin()
		}
	}); stopped != nil {
		return v, stopped
	}
	for _, wait := range stored {
		if failed := wait(ctx); failed != nil {
			return v, cmp.Or(err, fmt.Errorf("%w: %w", api.ErrNotStored, failed))
		}
	}
	return v, err
}

// loadOperators returns what operators asked for: what is in the file of its own, unless
// the release before this one, which does not know that, has written the state since.
func loadOperators(dir *store.Dir, s stored) (stored, error) {
	var o operatorsState
	found, err := dir.Read(operatorsFile, func(text []byte) error {
		if err := json.Unmarshal(text, &o); err != nil {
			return err
		}
		return store.CheckVersion(o.Version, operatorsVersion)
	})
	if !found || err != nil {
		return s, err
	}
	if o.At.Before(s.operatorsAt()) || s.OperatorsAt == nil && dir.Newer(stateFile, operatorsFile) {
		return s, nil
	}
	s.OperatorsAt, s.Overrides, s.Pauses = &o.At, o.Overrides, o.Pauses
	return s, nil
}

// store hands the state to who writes it: at once, or within a second.
func (a *Agent) store(now time.Time, atOnce bool) {
	a.storedLast, a.dirty, a.storeBy = now, false, time.Time{}
	if state := a.snapshot(now); atOnce {
		a.saver.Flush(state) // nobody waits for the disk
	} else {
		a.saver.Put(state)
	}
	if !a.operatorsAt.IsZero() {
		a.operators.Put(a.operatorsState())
	}
}

// storeIfDirty has the state stored if it changed, once in a tick at most, and when
// [core.storeSoon] asked for it.
func (a *Agent) storeIfDirty(now time.Time) {
	soon := !a.storeBy.IsZero() && !now.Before(a.storeBy)
	if soon || a.dirty && now.Sub(a.storedLast) >= tick {
		a.store(now, soon)
	}
}

// storeOverdue reports whether the state says of a backend that its sources answered longer
// ago than they did by more than storeEvery: its age at the next start is counted from that.
func (a *Agent) storeOverdue(now time.Time) bool {
	return now.Sub(a.storedLast) >= storeEvery &&
		slices.ContainsFunc(a.backends, func(b *backend) bool { return b.answeredAt().After(a.storedLast) })
}
