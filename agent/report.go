package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/slots"
)

// This file takes what instances report.

// onReport takes what a reconciler reported.
func (a *Agent) onReport(in *instance, r reconciler.Report) {
	if !slices.Contains(a.instances, in) {
		return
	}
	before := in.last
	if r.Err != nil && before.Err == nil {
		in.failedAt = r.At
	}
	n := a.applyReport(in, r)
	in.commandLog.add(r.Exchanges)
	a.recordReport(in, before, r, n.short, a.propagated(in, r))
	a.ready = a.ready || r.Err == nil && r.InSync && !a.unfilled(in)
	for _, b := range a.backends {
		if b.endTurnover(r.At) {
			b.due, a.dirty = true, true
		}
		if b.guard.Kind() != "" && len(b.proven(r.At)) > 0 {
			a.reevaluate(b, nil, time.Time{}, r.At)
		}
	}
	for _, b := range n.redo {
		a.publishIfChanged(b, time.Now())
	}
	other := !in.last.Process.Same(before.Process)
	a.dirty = a.dirty || other || n.externals || len(r.Changes) > 0
	a.slotMap.stale = a.slotMap.stale || other || r.Compared || (r.Err == nil) != (before.Err == nil)
	if other {
		a.lookForOldWorkers(in)
	}
	a.recordInStep(in)
}

// propagated notes what was read back, and returns how long it took after the news of it,
// the longest of each backend.
func (a *Agent) propagated(in *instance, r reconciler.Report) map[string]time.Duration {
	if r.Err != nil {
		return nil
	}
	slowest := map[string]time.Duration{}
	for _, s := range in.apply(r) {
		if !s.news.IsZero() {
			took := r.At.Sub(s.news)
			a.opts.Metrics.Propagated(in.Name, took)
			slowest[s.backend] = max(slowest[s.backend], took)
		}
	}
	return slowest
}

// A change is what a report changed of what is known of an instance.
type change struct {
	// redo are the backends that have to be decided anew.
	redo []*backend
	// short are those of which it has enough slots now and had not before, or the other
	// way round, sorted by name.
	short []string
	// externals: somebody took a slot out of service, or gave one back.
	externals bool
}

// applyReport takes what an instance reported.
func (c *core) applyReport(in *instance, r reconciler.Report) change {
	first := !in.met && r.Err == nil && r.Compared
	if r.Err != nil {
		r.Process = in.last.Process
	}
	if first {
		in.continued = in.last.Process.Pid != 0 && in.last.Process.Same(r.Process)
	} else if r.Restarted {
		in.continued = false
	}
	var out change
	if r.Err == nil {
		out = c.know(in, r.Backends)
	}
	in.last, in.last.Backends = r, nil // they are in in.backends
	if r.Restarted {
		in.restarts++
		c.refill(in)
	}
	if r.Err != nil {
		return out
	}
	in.met = in.met || first
	for _, b := range c.backends {
		at := in.at(b.Name)
		if at.Own == nil {
			continue
		}
		if !at.seenOnce {
			at.seenOnce, at.full, b.due = true, slots.HasReady(at.Own, b.operated), true
			out.redo = append(out.redo, b)
		} else if at.Problem == "" && (b.answered && !at.searched || b.tableOutdated(at)) {
			out.redo = append(out.redo, b)
		}
	}
	return out
}

// know takes what an instance reported of its backends. A report that was under way while
// a backend got other slots is dropped.
func (c *core) know(in *instance, reported map[string]reconciler.BackendReport) (out change) {
	maps.DeleteFunc(reported, func(name string, l reconciler.BackendReport) bool {
		b := c.backend(name)
		return b == nil || !slices.Contains(b.served, in) || b.Proxy != l.Proxy || b.Prefix != "" && l.Prefix != "" && b.Prefix != l.Prefix
	})
	for name, at := range in.backends {
		if _, still := reported[name]; !still {
			at.BackendReport, at.known = reconciler.BackendReport{}, false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(reported)) {
		l, at := reported[name], in.at(name)
		if isShort(at.BackendReport) != isShort(l) {
			out.short = append(out.short, name)
		}
		out.externals = out.externals || !maps.Equal(at.Externals, l.Externals) || c.backend(name).startedBetween(at.Seen, l.Seen)
		at.BackendReport, at.known = l, true
		if len(l.Own) > 0 {
			in.had[name] = templated(l.Own)
		}
	}
	return out
}

// clearExternal forgets that somebody took the slot of an endpoint out of service, so that the
// status says so at once. The reconciler of the instance forgets it by
// [reconciler.BackendSpec.Started].
func (in *instance) clearExternal(backend string, addr netip.AddrPort) {
	at := in.at(backend)
	// they may be on their way to the state directory
	at.Externals, at.Undecided = maps.Clone(at.Externals), maps.Clone(at.Undecided)
	maps.DeleteFunc(at.Externals, func(_ int, e reconciler.External) bool { return e.Addr == addr })
	maps.DeleteFunc(at.Undecided, func(_ int, a netip.AddrPort) bool { return a == addr })
}

// refill has the slots of a new process looked at anew where what was ready in
// the old one was left alone for want of a source: they may all be empty now.
func (c *core) refill(in *instance) {
	for _, b := range c.backends {
		if at := in.at(b.Name); b.phase == phaseRestored && at.full {
			at.seenOnce, at.full = false, false
		}
	}
}

// tableOutdated reports whether the table has to be brought up to date with what an instance
// shows: slots that it can use came or went, or an unmanaged address did, or their weights in
// the configuration are other ones, and somebody asks for a share of them.
func (b *backend) tableOutdated(at *backendAt) bool {
	if !b.placement.Adopted() {
		return true
	}
	if len(b.expired) > 0 && !maps.Equal(at.alone, b.leftAlone(at)) {
		return true
	}
	if len(at.unmanaged) > 0 {
		live := placement.InService(at.Own)
		for slot, a := range at.unmanaged {
			if live[slot] != a {
				return true
			}
		}
	}
	if len(b.overrides) > 0 && !maps.Equal(b.weights, b.templateWeights()) {
		return true
	}
	views := func() [][]slots.Server { return b.views() }
	return (!b.Dynamic || b.addUnsupported()) && b.placement.HasGhosts(views) || b.placement.Outdated(at.Usable, views)
}
