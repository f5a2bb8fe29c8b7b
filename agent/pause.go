package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/discovery"
)

// Pause stops writing to the slots of a backend, or of all if backend is "": for
// who.For, or [DefaultPause]. An instance that is restarted is filled nevertheless,
// unless hard. It fails with [api.ErrNoBackend] or [api.ErrBadRequest].
func (a *Agent) Pause(ctx context.Context, backend string, hard bool, who api.Who) (api.Pause, error) {
	who, err := override.Limit(who, api.DefaultPause)
	if err != nil {
		return api.Pause{}, err
	}
	return durably(ctx, a, func(context.Context) (api.Pause, error) {
		if backend != "" && a.backend(backend) == nil {
			return api.Pause{}, a.noBackend(backend)
		}
		now := time.Now()
		p := api.Pause{Backend: backend, By: discovery.Printable(who.By, 100), Reason: discovery.Printable(who.Reason, 200),
			Since: now, Until: now.Add(cmp.Or(who.For, api.DefaultPause)), Hard: hard}
		a.pauses[backend] = p
		a.pausesChanged(api.EventPaused, []api.Pause{p})
		return p, nil
	})
}

// Resume ends the pause of a backend, or every one if backend is "", and the conflicts over
// its slots. It fails with [api.ErrNotPaused] if there is neither.
func (a *Agent) Resume(ctx context.Context, backend string) error {
	_, err := durably(ctx, a, func(context.Context) (struct{}, error) {
		now := time.Now()
		fought := false
		for _, b := range a.backends {
			if (backend == "" || backend == b.Name) && b.hasConflict(now) {
				b.resumed, fought = now, true
			}
		}
		if _, ok := a.pauses[backend]; !fought && !ok && (backend != "" || len(a.pauses) == 0) {
			return struct{}{}, fmt.Errorf("%w: %s", api.ErrNotPaused, cmp.Or(backend, "there is no pause to end"))
		}
		a.pausesChanged(api.EventResumed, a.pauses.End(backend))
		return struct{}{}, nil
	})
	return err
}

// pausesChanged sets anew for the instances what is paused, and records what became of which
// pauses.
func (a *Agent) pausesChanged(kind string, which []api.Pause) {
	a.operatorsAsked(time.Now())
	for _, b := range a.backends {
		b.due = true
	}
	a.broadcastAll(time.Now())
	for _, p := range which {
		h := happening{
			attrs: []any{"by", p.By, "reason", p.Reason, "until", p.Until},
			event: api.Event{Kind: kind, Backend: p.Backend, Fields: map[string]string{"by": p.By, "reason": p.Reason}},
		}
		if p.Backend == "" {
			h.attrs = append([]any{"backend", "all"}, h.attrs...)
		}
		switch kind {
		case api.EventPaused:
			h.line, h.event.Text = "an operator pauses the writing", p.Words()
		case api.EventResumed:
			h.line, h.event.Text = "an operator has the writing go on", "writing goes on"
		case api.EventPauseOver:
			h.line = "a pause is over: writing goes on"
		}
		a.record(h)
	}
}
