package reconciler

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file looks at an instance without writing to it: whether another process answers, and
// whether one that hung or was away is back.

// poll asks who answers, and compares everything if that changed, or if slots
// that were written lately are other ones now.
func (r *Reconciler) poll(ctx context.Context) {
	names := r.recentlyChanged(time.Now())
	p, same, err := r.quickCheck(ctx, names)
	switch {
	case err != nil:
		r.onError(ctx, err)
	case !same || !p.Same(r.process):
		r.round(ctx, all)
	default:
		now := time.Now()
		r.schedulePoll(now)
		if slices.ContainsFunc(names, func(n string) bool { return r.backends[n].spec.Watched }) {
			r.send(Report{At: now, Compared: true})
		}
	}
}

// quickCheck reports which process answers, and whether the slots of the backends
// are what they were.
func (r *Reconciler) quickCheck(ctx context.Context, names []string) (p slots.Process, same bool, err error) {
	brief, cancel := context.WithTimeout(ctx, r.spec.Timing.Timeout)
	defer cancel()
	if len(names) == 0 {
		p, err = r.conn.Info(brief)
		return p, true, err
	}
	v, err := r.conn.View(brief, r.proxies(names), false)
	if err != nil {
		return p, false, err
	}
	now := time.Now()
	for _, n := range names {
		if b := r.backends[n]; !b.quickCheck(v.Servers[b.spec.Proxy], now) {
			return v.Process, false, nil
		}
	}
	return v.Process, !v.Process.Stopping, nil
}

// recentlyChanged returns the backends that were written lately, as long as they are
// quickly looked at, and those of which the loop waits for news.
func (r *Reconciler) recentlyChanged(now time.Time) []string {
	total := 0
	var names, watched []string
	for n, b := range r.backends {
		switch {
		case b.own == nil:
		case b.spec.Watched:
			watched = append(watched, n)
		case now.Sub(b.written) < alertFor:
			names = append(names, n)
			total += len(b.own)
		}
	}
	if total > quickCheckMost {
		names = nil
	}
	return slices.Sorted(slices.Values(append(names, watched...)))
}

func (r *Reconciler) schedulePoll(now time.Time) {
	if now.Before(r.alertUntil) {
		r.nextPoll = now.Add(alertEvery)
		return
	}
	r.nextPoll = now.Add(r.spec.Timing.Poll)
}

// onError notes why the instance could not be reached, and when it is tried
// again. ctx is the one of Run.
func (r *Reconciler) onError(ctx context.Context, err error) {
	fault, _ := slots.FaultOf(err)
	r.up = false
	now := time.Now()
	switch fault {
	case slots.Absent, slots.Crowded:
		r.backoff = 0
		r.nextTry = now.Add(spread(retryAbsent, 0.2))
	default:
		r.backoff = min(max(retryAbsent, 2*r.backoff), retryMost)
		r.nextTry = now.Add(spread(r.backoff, 0.2))
	}
	r.send(Report{At: now, Err: err})
	if fault == slots.Hung && ctx.Err() == nil {
		r.probe(ctx)
	}
}

// probe sends the one probe that a hung instance gets; it waits for as long as it
// takes.
func (r *Reconciler) probe(ctx context.Context) {
	probe := make(chan error, 1)
	r.probing = probe
	go func() {
		_, err := r.conn.Info(ctx)
		probe <- err
	}()
}

// onProbe takes what came of the probe.
func (r *Reconciler) onProbe(ctx context.Context, err error) {
	if err != nil {
		r.nextTry = time.Now().Add(r.backoff)
		return
	}
	r.backoff = 0
	r.round(ctx, all)
}

// spread returns d, more or less by a share of it.
func spread(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}
