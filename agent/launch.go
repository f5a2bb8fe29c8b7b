package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reloadpolicy"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots/reload"
)

// startReload runs the transaction that these backends need.
func (a *Agent) startReload(ctx context.Context, r *reloading, backends []string) {
	req := reload.Request{Reason: "overflow: " + strings.Join(backends, ", "), Data: a.data(r)}
	run := r.Transaction
	a.launch(ctx, r, launch{
		reason: req.Reason, triggers: r.policy.Triggers(),
		run: func(ctx context.Context) (reload.Result, error) { return run.Run(ctx, req) },
	})
}

// A launch is one transaction that is under way.
type launch struct {
	reason   string
	by       string                 // "": nobody asked
	triggers []reloadpolicy.Trigger // that it may cure
	run      func(context.Context) (reload.Result, error)
	done     chan error // gets the result, if not nil
}

// launch starts a transaction, of which there is one at a time.
func (a *Agent) launch(ctx context.Context, r *reloading, l launch) {
	a.reloadBusy, r.running = true, true
	a.record(l.happening(r, api.EventReloadBegun, "a reload of HAProxy begins"))
	a.group.Go(func() {
		res, err := l.run(ctx)
		if errors.Is(err, reload.ErrBusy) {
			err = errors.Join(api.ErrReloading, err)
		}
		files := r.Transaction.Files()
		if !a.post(ctx, func(loop context.Context) { a.launched(loop, r, l, res, files, err) }) {
			l.end(err)
		}
	})
}

// end gives the result to who waits for it.
func (l launch) end(err error) {
	if l.done != nil {
		l.done <- err
	}
}

// launched takes what came of a transaction.
func (a *Agent) launched(ctx context.Context, r *reloading, l launch, res reload.Result, files reload.Files, err error) {
	defer l.end(err)
	now := time.Now()
	a.reloadBusy, r.running = false, false
	a.onFiles(r, files)
	r.last, r.lastErr, r.lastAt = &res, err, now
	r.policy.Reloaded(now)
	if l.by != "" {
		r.policy.Forget()
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	if errors.Is(err, reload.ErrBusy) {
		l.triggers = nil // another process reloads; nothing was tried
	}
	r.policy.Record(l.triggers, files.Tag, why, max(maxAttempts, 2*len(a.backends)), now)
	a.dirty = true
	a.reloaded(r, l, res, err)
	for _, name := range r.Instances {
		if w := a.reconcilers[name]; w != nil {
			a.group.Go(func() { _ = w.Sync(ctx) })
		}
	}
}

// reloaded records what came of a transaction.
func (a *Agent) reloaded(r *reloading, l launch, res reload.Result, err error) {
	h := l.happening(r, api.EventReloadEnded, "HAProxy was reloaded", "version", res.Version, "took", res.Took.Round(time.Millisecond))
	result, reason := "ok", "request"
	if l.by == "" {
		reason = "overflow"
	}
	if err != nil {
		result = "failed"
		h = l.happening(r, api.EventReloadFailed, "HAProxy was not reloaded", "err", err, "to_try_again", "slotsync haproxy reload")
		h.level, h.event.Text = slog.LevelError, h.line+": "+err.Error()
	}
	h.count = func(m *metrics.Metrics) {
		for _, name := range r.Instances {
			m.HAProxyReloaded(name, reason, result)
		}
	}
	a.record(h)
}

// happening is what is recorded of the transaction, with more attributes of the line.
func (l launch) happening(r *reloading, kind, line string, attrs ...any) happening {
	return happening{
		line: line, attrs: append([]any{"reload", r.Name, "reason", l.reason}, attrs...),
		event: api.Event{Kind: kind, Fields: map[string]string{"reload": r.Name, "reason": l.reason, "by": l.by}},
	}
}
