package agent

import (
	"fmt"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// This file puts overrides in force, and ends them.

// impose puts an override in force.
func (a *Agent) impose(o Override, who Who, now time.Time) error {
	who, err := limited(who, who.MaxFor)
	if err != nil {
		return err
	}
	o.By, o.Reason, o.Since, o.Keep, o.Listed = discovery.Printable(who.By, 100), discovery.Printable(who.Reason, 200), now, who.Keep, now
	o.Limited = who.MaxFor > 0
	if who.For > 0 {
		until := now.Add(who.For)
		o.Until = &until
	}
	next := a.overrides.put(o)
	if n, most := next.count(o.Limited), quotaOf(o.Limited); n > most && n > a.overrides.count(o.Limited) {
		return fmt.Errorf("%w: there are %d overrides, %d at most%s", ErrBadRequest, n-1, most, ofThose(o.Limited))
	}
	a.overrule(next, o.Backend, now)
	a.gaugeOverrides()
	a.events.Add(overrideEvent(EventOverrideSet, o))
	a.opts.Log.Info("an operator overrides", "backend", o.Backend, "address", o.Address, "what", o.Kind, "how", o.Words())
	return nil
}

// release ends an override, as somebody wants it, and reports whether there was one.
func (a *Agent) release(o Override, by string, now time.Time) bool {
	o.By = discovery.Printable(by, 100)
	next, was := a.overrides.drop(o)
	if was {
		a.overrule(next, o.Backend, now)
		a.gaugeOverrides()
		a.events.Add(overrideEvent(EventOverrideEnded, o))
		a.opts.Log.Info("an operator ends an override", "backend", o.Backend, "address", o.Address, "what", o.Kind, "by", o.By)
	}
	return was
}

// overrule makes next the overrides in force, which differ in those of one backend, of
// all if it is "".
func (a *Agent) overrule(next overrides, backend string, now time.Time) {
	a.overrides = next
	a.operatorsAsked(now)
	for _, b := range a.backends {
		if backend == "" || backend == b.Name {
			b.overrule(next.of(b.Name), now)
		}
	}
}

// lapse ends the overrides and pauses whose time is over.
func (a *Agent) lapse(now time.Time) {
	if over := a.pauses.expire(now); len(over) > 0 {
		a.addAll(pauseEvents(EventPauseOver, over))
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
	left, gone := a.overrides.expire(listed, now)
	for _, o := range gone.sorted() {
		a.overrule(left, o.Backend, now)
		a.events.Add(overrideEvent(EventOverrideOver, o))
		a.opts.Log.Info("an override is over", "backend", o.Backend, "address", o.Address, "what", o.Kind, "how", o.Words())
	}
	a.gaugeOverrides() // endpoints come and go
}

// countOverrides adds up the endpoints that operators asked something of, by kind.
func (b *backend) countOverrides(n map[string]int) {
	for _, e := range b.wanted() {
		for _, kind := range OverrideKinds {
			if b.overrides.find(b.Name, e.Addr, kind) != nil {
				n[kind]++
			}
		}
	}
}

// gaugeOverrides says how many endpoints of each backend operators asked something of.
func (a *Agent) gaugeOverrides() {
	for _, b := range a.backends {
		n := map[string]int{}
		for _, same := range append(a.beside(b), b) {
			if len(same.overrides) > 0 {
				same.countOverrides(n)
			}
		}
		for _, kind := range OverrideKinds {
			a.opts.Metrics.Overridden(b.Proxy, kind, n[kind])
		}
	}
}
