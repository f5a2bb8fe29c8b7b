package agent

import (
	"context"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/reconciler"
)

// This file has a reconciler for every instance, and takes what they report.

// newReconciler returns one for an instance, which reports to the loop for as long as ctx
// lasts.
func (a *Agent) newReconciler(in *instance, report func(reconciler.Report)) *reconciler.Reconciler {
	o := reconciler.Options{
		Name: in.Name, Conn: in.Conn, StateFile: in.StateFile, Process: in.last.Process,
		Backends: map[string]reconciler.Known{}, Report: report,
	}
	for name, at := range in.backends {
		o.Backends[name] = reconciler.Known{Externals: at.Externals, Prefix: at.Prefix}
	}
	return reconciler.New(o)
}

// startReconciler starts the reconciler of an instance, once the one before it has ended.
func (a *Agent) startReconciler(ctx context.Context, in *instance) {
	ctx, in.cancel = context.WithCancel(ctx)
	r := a.newReconciler(in, func(report reconciler.Report) {
		a.post(ctx, func(context.Context) { a.onReport(in, report) })
	})
	r.Set(a.spec(in, time.Now()))
	before := a.reconcilers[in.Name]
	in.reconciler, a.reconcilers[in.Name] = r, r
	a.group.Go(func() {
		if before != nil {
			<-before.Done()
		}
		r.Run(ctx)
	})
}

// onReport takes what a reconciler reported.
func (a *Agent) onReport(in *instance, r reconciler.Report) {
	if !slices.Contains(a.instances, in) {
		return
	}
	before := in.last
	n := a.applyReport(in, r)
	in.commandLog.add(r.Exchanges)
	a.recordReport(in, before, r, n.short, a.propagated(in, r))
	a.ready = a.ready || r.Err == nil && r.InSync && !a.unfilled(in)
	for _, b := range a.backends {
		if a.endTurnover(b, r.At) {
			b.due, a.dirty = true, true
		}
		if len(a.proven(b)) > 0 {
			a.reevaluate(b, nil, time.Time{}, r.At)
		}
	}
	for _, b := range n.redo {
		a.publishIfChanged(b, time.Now())
	}
	a.dirty = a.dirty || !in.last.Process.Same(before.Process) || n.externals
	a.recordInStep(in)
}

// propagated notes what was read back, and returns how long it took after the news of it,
// the longest of each backend.
func (a *Agent) propagated(in *instance, r reconciler.Report) map[string]time.Duration {
	if r.Err != nil {
		return nil
	}
	slowest := map[string]time.Duration{}
	for _, s := range in.apply(r.Applied) {
		if !s.news.IsZero() {
			took := r.At.Sub(s.news)
			a.opts.Metrics.Propagated(in.Name, took)
			slowest[s.backend] = max(slowest[s.backend], took)
		}
	}
	return slowest
}

// newInstance returns an instance of which no more is known than was stored of these backends.
func (a *Agent) newInstance(in Instance, backends []Backend) *instance {
	n := &instance{Instance: in, backends: map[string]*backendAt{}, commandLog: commandLog{}}
	s := a.stored.instance(in.Name)
	n.last.Process = s.Process
	for _, b := range backends {
		externals, prefix := s.externals(b, time.Now()), s.Prefixes[b.Name]
		if len(externals) > 0 || prefix != "" {
			n.backends[b.Name] = &backendAt{BackendReport: reconciler.BackendReport{Externals: externals, Prefix: prefix}, known: true}
		}
		n.at(b.Name).unmanagedThen = s.Unmanaged[b.Name]
	}
	return n
}
