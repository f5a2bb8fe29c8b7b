package agent

import (
	"context"
	"slices"
	"time"
)

// This file has a worker for every instance, and takes what they report.

// running is a worker under way.
type running struct {
	key    string
	worker *worker
	cancel context.CancelFunc
	done   chan struct{}
}

// employ starts the worker of an instance, once the one before it has ended.
func (a *Agent) employ(ctx context.Context, in *instance) {
	ctx, cancel := context.WithCancel(ctx)
	w := a.newWorker(in)
	r := &running{key: in.Key, worker: w, cancel: cancel, done: make(chan struct{})}
	w.post = func(rep report) { a.post(ctx, func(context.Context) { a.onReport(in, rep) }) }
	in.send = func(d desired) {
		select {
		case <-w.inbox:
		default:
		}
		w.inbox <- d
	}
	before := a.workers[in.Name]
	a.workers[in.Name] = r
	w.take(a.desired(in, time.Now()))
	a.group.Go(func() {
		defer close(r.done)
		if before != nil {
			<-before.done
		}
		w.run(ctx)
	})
}

// onReport takes what a worker reported.
func (a *Agent) onReport(in *instance, r report) {
	if !slices.Contains(a.instances, in) {
		return
	}
	before := in.last
	n := a.applyReport(in, r)
	in.told.add(r.said)
	a.logReport(in, before, r, n.short, a.propagated(in, r))
	a.ready = a.ready || r.err == nil && r.inSync && !a.unfilled(in)
	for _, b := range a.backends {
		if a.endTurnover(b, r.at) {
			b.due, a.dirty = true, true
		}
		if len(a.proven(b)) > 0 {
			a.reevaluate(b, nil, time.Time{}, r.at)
		}
	}
	for _, b := range n.stale {
		a.decide(b, time.Now())
	}
	a.dirty = a.dirty || !in.last.process.Same(before.process) || n.externals
	a.gaugeInstance(in, r.at)
}

// propagated notes what was read back, and returns how long it took after the news of it,
// the longest of each backend.
func (a *Agent) propagated(in *instance, r report) map[string]time.Duration {
	if r.err != nil {
		return nil
	}
	slowest := map[string]time.Duration{}
	for _, s := range in.apply(r.applied) {
		if !s.news.IsZero() {
			took := r.at.Sub(s.news)
			a.opts.Metrics.Propagated(in.Name, took)
			slowest[s.backend] = max(slowest[s.backend], took)
		}
	}
	return slowest
}

// newInstance returns an instance of which no more is known than was stored.
func (a *Agent) newInstance(in Instance) *instance {
	n := &instance{Instance: in, backends: map[string]*backendAt{}, told: transcript{}}
	s := a.stored.instance(in.Name)
	n.last.process = s.Process
	for _, b := range a.opts.Backends {
		externals, prefix := s.externals(b, time.Now()), s.Prefixes[b.Name]
		if len(externals) > 0 || prefix != "" {
			n.backends[b.Name] = &backendAt{localReport: localReport{externals: externals, prefix: prefix}, known: true}
		}
	}
	return n
}
