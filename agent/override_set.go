package agent

import (
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
	a.events.Add(overrideEvent(api.EventOverrideSet, o))
	a.opts.Log.Info("an operator overrides", "backend", o.Backend, "address", o.Address, "what", o.Kind, "how", o.Words())
	return nil
}

// endOverride ends an override, as somebody wants it, and reports whether there was one.
func (a *Agent) endOverride(o api.Override, by string, now time.Time) bool {
	o.By = discovery.Printable(by, 100)
	next, was := a.overrides.Without(o)
	if was {
		a.useOverrides(next, o.Backend, now)
		a.events.Add(overrideEvent(api.EventOverrideEnded, o))
		a.opts.Log.Info("an operator ends an override", "backend", o.Backend, "address", o.Address, "what", o.Kind, "by", o.By)
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
		a.addAll(pauseEvents(api.EventPauseOver, over))
		a.paused("a pause is over: writing goes on", over)
	}
	if len(a.overrides) == 0 {
		return
	}
	listed := map[string][]discovery.Endpoint{}
	for _, b := range a.backends {
		if len(b.overrides) > 0 {
			listed[b.Name] = b.wanted()
		}
	}
	left, gone := a.overrides.Expire(listed, now)
	for _, o := range gone.Sorted() {
		a.useOverrides(left, o.Backend, now)
		a.events.Add(overrideEvent(api.EventOverrideOver, o))
		a.opts.Log.Info("an override is over", "backend", o.Backend, "address", o.Address, "what", o.Kind, "how", o.Words())
	}
}
