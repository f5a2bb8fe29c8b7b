package agent

import (
	"cmp"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/discovery"
)

// This file puts overrides in force, and ends them.

// setOverride puts an override in force.
func (a *Agent) setOverride(o api.Override, who api.Who, now time.Time) error {
	o, err := override.New(o, who, now)
	if err != nil {
		return err
	}
	next, err := a.overrides.With(o)
	if err != nil {
		return err
	}
	a.useOverrides(next, o.Backend, now)
	a.record(overrideChanged(api.EventOverrideSet, o))
	return nil
}

// endOverride ends an override, as somebody wants it, and reports whether there was one.
func (a *Agent) endOverride(o api.Override, by string, now time.Time) bool {
	o.By = discovery.Printable(by, 100)
	next, was := a.overrides.Without(o)
	if was {
		a.useOverrides(next, o.Backend, now)
		a.record(overrideChanged(api.EventOverrideEnded, o))
	}
	return was
}

// useOverrides makes next the overrides in force, which differ in those of one backend, of
// all if it is "".
func (a *Agent) useOverrides(next override.Set, backend string, now time.Time) {
	a.overrides = next
	a.operatorsAsked(now)
	for _, b := range a.backends {
		if backend == "" || backend == b.Name {
			b.setOverrides(next.Of(b.Name), now)
		}
	}
}

// expireAsked ends the overrides and pauses whose time is over.
func (a *Agent) expireAsked(now time.Time) {
	if over := a.pauses.Expire(now); len(over) > 0 {
		a.pausesChanged(api.EventPauseOver, over)
	}
	if len(a.overrides) == 0 {
		return
	}
	listed := map[string][][]discovery.Endpoint{}
	for _, b := range a.backends {
		if len(b.overrides) > 0 {
			listed[b.Name] = b.known()
		}
	}
	left, gone := a.overrides.Expire(listed, now)
	for _, o := range gone.Sorted() {
		a.useOverrides(left, o.Backend, now)
		a.record(overrideChanged(api.EventOverrideOver, o))
	}
}

// overrideChanged is what became of an override.
func overrideChanged(kind string, o api.Override) happening {
	h := happening{
		attrs: []any{"address", o.Address},
		event: api.Event{Kind: kind, Backend: o.Backend,
			Fields: map[string]string{"address": o.Address, "override": o.Kind, "by": o.By, "reason": o.Reason}},
	}
	switch kind {
	case api.EventOverrideSet:
		h.line, h.event.Text = "an operator "+operatorDoes(o)+" an endpoint", o.Address+": "+o.Words()
		h.attrs = append(h.attrs, "how", o.Words(), "by", o.By)
	case api.EventOverrideEnded:
		h.line, h.event.Text = "an operator ends an override", o.Address+": an operator ends "+o.Words()
		h.attrs = append(h.attrs, "what", cmp.Or(o.State, o.Kind), "by", o.By)
	case api.EventOverrideOver:
		h.line, h.event.Text = "an override is over", o.Address+": over by itself: "+o.Words()
		h.attrs = append(h.attrs, "how", o.Words())
	}
	return h
}

// operatorDoes says what an operator does to the endpoint of an override.
func operatorDoes(o api.Override) string {
	switch {
	case o.Kind == api.OverrideWeight:
		return "weighs"
	case o.Kind == api.OverrideServer:
		return "adds"
	case o.State == api.StateDrain:
		return "drains"
	}
	return "stops"
}
