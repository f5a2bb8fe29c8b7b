package agent

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file looks at an instance without writing to it, and finds out whether it is back.

// look asks who answers, and compares everything if that changed, or if slots
// that were written lately are other ones now.
func (w *worker) look(ctx context.Context) {
	names := w.moving(time.Now())
	p, same, err := w.glance(ctx, names)
	switch {
	case err != nil:
		w.failed(ctx, err)
	case !same || !p.Same(w.process):
		w.round(ctx, all)
	default:
		now := time.Now()
		w.paceLooks(now)
		if slices.ContainsFunc(names, func(n string) bool { return w.locals[n].want.watched }) {
			w.report(report{at: now, compared: true})
		}
	}
}

// glance reports which process answers, and whether the slots of the backends
// are what they were.
func (w *worker) glance(ctx context.Context, names []string) (p slots.Process, same bool, err error) {
	brief, cancel := context.WithTimeout(ctx, w.want.timing.timeout)
	defer cancel()
	if len(names) == 0 {
		p, err = w.conn.Info(brief)
		return p, true, err
	}
	v, err := w.conn.View(brief, w.proxies(names), false)
	if err != nil {
		return p, false, err
	}
	now := time.Now()
	for _, n := range names {
		if l := w.locals[n]; !l.glance(v.Servers[l.want.proxy], now) {
			return v.Process, false, nil
		}
	}
	return v.Process, !v.Process.Stopping, nil
}

// moving returns the backends that were written lately, as long as they are
// quickly looked at, and those of which the loop waits for news.
func (w *worker) moving(now time.Time) []string {
	total := 0
	var names, watched []string
	for n, l := range w.locals {
		switch {
		case l.own == nil:
		case l.want.watched:
			watched = append(watched, n)
		case now.Sub(l.written) < alertFor:
			names = append(names, n)
			total += len(l.own)
		}
	}
	if total > glanceMost {
		names = nil
	}
	return slices.Sorted(slices.Values(append(names, watched...)))
}

func (w *worker) paceLooks(now time.Time) {
	if now.Before(w.alertUntil) {
		w.nextPoll = now.Add(alertEvery)
		return
	}
	w.nextPoll = now.Add(w.want.timing.poll)
}

// failed notes why the instance could not be reached, and when it is tried
// again. ctx is the one of the worker.
func (w *worker) failed(ctx context.Context, err error) {
	fault, sent := slots.FaultOf(err)
	w.up = false
	w.sent = w.sent || sent
	now := time.Now()
	switch fault {
	case slots.Absent, slots.Crowded:
		w.pause = 0
		w.nextTry = now.Add(spread(retryAbsent, 0.2))
	default:
		w.pause = min(max(retryAbsent, 2*w.pause), retryMost)
		w.nextTry = now.Add(spread(w.pause, 0.2))
	}
	w.report(report{at: now, err: err})
	if fault == slots.Hung && ctx.Err() == nil {
		w.ask(ctx)
	}
}

// ask sends the one probe that a hung instance gets; it waits for as long as it
// takes.
func (w *worker) ask(ctx context.Context) {
	probe := make(chan error, 1)
	w.probe = probe
	go func() {
		_, err := w.conn.Info(ctx)
		probe <- err
	}()
}

// answered takes what came of the probe.
func (w *worker) answered(ctx context.Context, err error) {
	if err != nil {
		w.nextTry = time.Now().Add(w.pause)
		return
	}
	w.pause = 0
	w.round(ctx, all)
}

// spread returns d, more or less by a share of it.
func spread(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}
