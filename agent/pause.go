package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// pauses are by backend, "" for all.
type pauses map[string]Pause

// of returns the pause that holds for a backend at that time, the harder one if
// there are two; nil for none.
func (p pauses) of(backend string, now time.Time) *Pause {
	if len(p) == 0 { // as nearly always, and this is asked often
		return nil
	}
	var found *Pause
	for _, name := range []string{"", backend} {
		if x, ok := p[name]; ok && now.Before(x.Until) && (found == nil || x.Hard) {
			found = &x
		}
	}
	return found
}

// expire drops the pauses that are over, and returns them.
func (p pauses) expire(now time.Time) []Pause {
	return p.dropWhere(func(x Pause) bool { return !now.Before(x.Until) })
}

// end drops the pause of a backend, all of them for "", and returns what it dropped.
func (p pauses) end(backend string) []Pause {
	return p.dropWhere(func(x Pause) bool { return backend == "" || x.Backend == backend })
}

func (p pauses) dropWhere(drop func(Pause) bool) (dropped []Pause) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if x := p[name]; drop(x) {
			dropped = append(dropped, x)
			delete(p, name)
		}
	}
	return dropped
}

// Pause stops writing to the slots of a backend, or of all if backend is "": for
// who.For, or [DefaultPause]. An instance that is restarted is filled nevertheless,
// unless hard. It fails with [ErrNoBackend] or [ErrBadRequest].
func (a *Agent) Pause(ctx context.Context, backend string, hard bool, who Who) (Pause, error) {
	who, err := limited(who, DefaultPause)
	if err != nil {
		return Pause{}, err
	}
	return durably(ctx, a, func(context.Context) (Pause, error) {
		if backend != "" && a.backend(backend) == nil {
			return Pause{}, fmt.Errorf("%w: %q", ErrNoBackend, backend)
		}
		now := time.Now()
		p := Pause{Backend: backend, By: discovery.Printable(who.By, 100), Reason: discovery.Printable(who.Reason, 200),
			Since: now, Until: now.Add(cmp.Or(who.For, DefaultPause)), Hard: hard}
		a.pauses[backend] = p
		a.addAll(pauseEvents(EventPaused, []Pause{p}))
		a.paused("an operator pauses the writing", []Pause{p})
		return p, nil
	})
}

// Resume ends the pause of a backend, or every one if backend is "", and the fights over
// its slots. It fails with [ErrNotPaused] if there is neither.
func (a *Agent) Resume(ctx context.Context, backend string) error {
	_, err := durably(ctx, a, func(context.Context) (struct{}, error) {
		now := time.Now()
		fought := false
		for _, b := range a.backends {
			if (backend == "" || backend == b.Name) && a.fighting(b, now) {
				b.resumed, fought = now, true
			}
		}
		if _, ok := a.pauses[backend]; !fought && !ok && (backend != "" || len(a.pauses) == 0) {
			return struct{}{}, fmt.Errorf("%w: %s", ErrNotPaused, cmp.Or(backend, "there is no pause to end"))
		}
		ended := a.pauses.end(backend)
		a.addAll(pauseEvents(EventResumed, ended))
		a.paused("an operator has the writing go on", ended)
		return struct{}{}, nil
	})
	return err
}

// paused tells the instances what is paused now, and says what became of which pauses.
func (a *Agent) paused(said string, which []Pause) {
	a.operatorsAsked(time.Now())
	for _, b := range a.backends {
		b.due = true
	}
	a.broadcastAll(time.Now())
	for _, p := range which {
		a.opts.Log.Info(said, "backend", cmp.Or(p.Backend, "all"), "by", p.By, "reason", p.Reason, "until", p.Until)
	}
}
