package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/reload"
)

// maxNamed bounds the slots whose instances a scrape names.
const maxNamed = 10_000

// snapshotMetrics asks the loop for what the gauges say now. While the loop ends there
// is nothing to say; one that does not answer is an error.
func (a *Agent) snapshotMetrics() (s metrics.Snapshot, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	if err = a.ask(ctx, func(context.Context) { s = a.gauges(time.Now()) }); errors.Is(err, api.ErrStopped) {
		return s, nil
	}
	return s, err
}

// gauges is what the gauges say now. Backends that fill the same backend of HAProxy add up.
func (a *Agent) gauges(now time.Time) metrics.Snapshot {
	s := metrics.Snapshot{
		Instances: map[string]metrics.Instance{}, Proxies: map[string]metrics.Proxy{},
		Sources: map[metrics.SourceKey]metrics.Source{}, Slots: map[metrics.SlotsKey]metrics.Slots{}, Named: map[metrics.NamedSlot]bool{},
		StateFailing: a.stateFault.Load(),
	}
	for _, in := range a.instances {
		s.Instances[in.Name] = metrics.Instance{
			Up: in.up(), InSync: a.inSync(in), Lag: in.lag(now), ReloadFailed: a.reloadFailed(in.Name), StateFileFailing: in.last.StateFileFails,
		}
	}
	for _, b := range a.backends {
		s.Proxies[b.Proxy] = a.addProxy(s.Proxies[b.Proxy], b, now)
		kept := map[string]int{}
		for _, k := range b.kept {
			kept[k.Source]++
		}
		for _, f := range b.feeds {
			key := metrics.SourceKey{Source: f.Name, Proxy: b.Proxy}
			before, more := s.Sources[key]
			s.Sources[key] = f.addSource(before, more, kept[f.Name])
		}
		slot := slots.FindSlot(b.placement.Table())
		b.nameSlots(s.Named, maxNamed)
		for _, in := range b.served {
			key := metrics.SlotsKey{HAProxy: in.Name, Proxy: b.Proxy}
			s.Slots[key] = in.at(b.Name).addSlots(s.Slots[key], slot)
		}
	}
	return s
}

// nameSlots adds the slots of b that have an endpoint to those of others, up to that many.
func (b *backend) nameSlots(named map[metrics.NamedSlot]bool, most int) {
	if len(named) >= most {
		return // what slots are called takes a look at each of every instance
	}
	names := b.slotNames()
	for _, slot := range b.placement.Table() {
		if e := slot.Endpoint; !slot.Free() && len(named) < most {
			named[metrics.NamedSlot{Proxy: b.Proxy, Server: names(slot.Number), Address: e.Addr.String(), Name: discovery.Printable(e.Name, maxMapName)}] = true
		}
	}
}

// reloadFailed reports whether the last reload of an instance failed.
func (a *Agent) reloadFailed(instance string) bool {
	return slices.ContainsFunc(a.reloads, func(r *reloading) bool {
		return r.lastErr != nil && !errors.Is(r.lastErr, reload.ErrBusy) && slices.Contains(r.Instances, instance)
	})
}

// addProxy adds b to what is said of its backend of HAProxy.
func (a *Agent) addProxy(p metrics.Proxy, b *backend, now time.Time) metrics.Proxy {
	if p.Held == nil {
		p.Held, p.Overrides = map[string]bool{}, map[string]int{}
	}
	if kind := b.guard.Kind(); kind != "" {
		p.Held[kind] = true
	}
	if len(b.unmanagedOf()) > 0 {
		p.Held[api.HoldTakeover] = true
	}
	p.Overflow += len(b.placement.Overflow())
	p.Paused = p.Paused || b.hasConflict(now) || a.pauses.Of(b.Name, now) != nil
	p.ReloadNeeded = p.ReloadNeeded || a.needsReload(b)
	if len(b.overrides) == 0 {
		return p
	}
	for _, e := range b.wanted() {
		for _, kind := range api.OverrideKinds {
			if b.overrides.Find(b.Name, e.Addr, kind) != nil {
				p.Overrides[kind]++
			}
		}
	}
	return p
}

// addSource adds f to what is said of sources of its name: they are up if all are, and their
// last answer is the oldest.
func (f *feed) addSource(s metrics.Source, more bool, kept int) metrics.Source {
	if !more {
		s = metrics.Source{Up: true, Answered: f.answered, Endpoints: map[string]int{}}
	}
	s.Up = s.Up && !f.silent()
	if f.answered.Before(s.Answered) {
		s.Answered = f.answered
	}
	for _, e := range f.listed {
		s.Endpoints[e.State.String()]++
	}
	s.Endpoints["rejected"] += len(f.refused)
	s.Kept += kept
	return s
}

// addSlots adds the slots of a backend at an instance, by what they are.
func (at *backendAt) addSlots(s metrics.Slots, slot func(number int) *slots.Slot) metrics.Slots {
	if s.States == nil {
		s.States = map[string]int{}
	}
	for _, live := range at.Own {
		_, unmanaged := at.unmanaged[live.Number]
		_, external := at.Externals[live.Number]
		of := slot(live.Number)
		switch {
		case unmanaged:
			s.States[api.HoldTakeover]++
		case external:
			s.States["external"]++
		case live.Class == slots.Maint && (of == nil || of.Free()):
			s.States["free"]++
		default:
			s.States[live.Class.String()]++
		}
	}
	s.Overflow += at.Overflow
	s.External += len(at.Externals)
	s.Conflicts += len(at.Conflicts)
	return s
}
