package agent

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/agent/reconciler"
)

// This file has a reconciler for every instance.

// newReconciler returns one for an instance, which reports to the loop for as long as ctx
// lasts.
func (a *Agent) newReconciler(in *instance, report func(reconciler.Report)) *reconciler.Reconciler {
	o := reconciler.Options{
		Name: in.Name, Conn: in.Conn, StateFile: in.StateFile, Process: in.last.Process,
		Backends: map[string]reconciler.Known{}, Report: report, Before: a.writers[in.socket()],
	}
	for name, at := range in.backends {
		o.Backends[name] = reconciler.Known{Externals: at.Externals, Prefix: at.Prefix, Ready: at.Undecided, Seen: at.Seen}
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
	in.reconciler, a.writers[in.socket()] = r, r
	a.group.Go(func() { r.Run(ctx) })
}

// newInstance returns an instance of which no more is known than s, of these backends.
func (a *Agent) newInstance(in Instance, s storedInstance, backends []Backend) *instance {
	n := &instance{Instance: in, backends: map[string]*backendAt{}, commandLog: commandLog{}}
	n.last.Process, n.had = s.Process, map[string]int{}
	for _, b := range backends {
		externals, prefix, ready := s.externals(b, time.Now()), s.Prefixes[b.Name], s.ready(a.stored.backend(b.Name))
		if len(externals) > 0 || prefix != "" || len(ready) > 0 {
			n.backends[b.Name] = &backendAt{BackendReport: reconciler.BackendReport{Externals: externals, Prefix: prefix, Undecided: ready, Seen: s.seen[b.Name]}, known: true}
		}
		n.at(b.Name).unmanagedThen = s.Unmanaged[b.Name]
		if had := s.Slots[b.Name]; had > 0 {
			n.had[b.Name] = had
		}
	}
	return n
}
