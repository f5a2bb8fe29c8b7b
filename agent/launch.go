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

// overflowReason begins the reason of a reload that nobody asked for.
const overflowReason = "overflow: "

// startReload runs the transaction that these backends need.
func (a *Agent) startReload(ctx context.Context, r *reloading, backends []string) {
	req := reload.Request{Reason: overflowReason + strings.Join(backends, ", "), Data: a.data(r)}
	run := r.Transaction
	a.launch(ctx, r, launch{
		reason: req.Reason, triggers: r.policy.Triggers(),
		run: func(ctx context.Context) (reload.Result, error) { return run.Run(ctx, req) },
	})
}

// A launch is one transaction that is under way.
type launch struct {
	reason   string
	key      string                 // of the [Reload] that it is of
	by       string                 // "": nobody asked
	triggers []reloadpolicy.Trigger // that it may cure
	run      func(context.Context) (reload.Result, error)
	done     chan error // gets the result, if not nil
}

// launch starts a transaction, of which there is one at a time.
func (a *Agent) launch(ctx context.Context, r *reloading, l launch) {
	a.reloadBusy, r.running = true, true
	l.key = r.Key
	run := r.Transaction // another may take its place meanwhile
	a.record(l.happening(r, api.EventReloadBegun, "a reload of HAProxy begins"))
	a.group.Go(func() {
		res, err := l.run(ctx)
		if errors.Is(err, reload.ErrBusy) {
			err = errors.Join(api.ErrReloading, err)
		}
		files := run.Files()
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
	a.onFiles(r, l.key, files)
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
	a.record(l.ended(r, res, err))
	for _, name := range r.Instances {
		if in := a.instance(name); in != nil {
			a.group.Go(func() { _ = in.reconciler.Sync(ctx) })
		}
	}
}

// ended is what came of a transaction.
func (l launch) ended(r *reloading, res reload.Result, err error) happening {
	h := l.happening(r, api.EventReloadEnded, "HAProxy was reloaded", "version", res.Version, "took", res.Took.Round(time.Millisecond))
	result := "ok"
	if err != nil {
		result = "failed"
		h = l.happening(r, api.EventReloadFailed, "HAProxy was not reloaded", "err", err, "to_try_again", "slotsync haproxy reload")
		h.level, h.event.Text = slog.LevelError, h.line+": "+err.Error()
	}
	h.count = r.counts(reloadReason(l.by != ""), result)
	return h
}

// counts counts a reload at each of its instances.
func (r Reload) counts(reason, result string) func(*metrics.Metrics) {
	return func(m *metrics.Metrics) {
		for _, name := range r.Instances {
			m.HAProxyReloaded(name, reason, result)
		}
	}
}

// reloadReason is the label of a reload that somebody asked for, or nobody.
func reloadReason(asked bool) string {
	if asked {
		return "request"
	}
	return "overflow"
}

// reloadRecovered records what became of a reload that an earlier process left half done, if
// there was one.
func (a *Agent) reloadRecovered(r Reload, res reload.Result, had bool, err error) {
	h := happening{level: slog.LevelWarn, line: "a reload was cut short; it is put right", attrs: []any{"reload", r.Name, "file", r.File, "step", string(res.Step), "rolled_back", res.RolledBack},
		event: api.Event{Kind: api.EventReloadEnded, Fields: map[string]string{"reload": r.Name}}}
	switch {
	case err != nil:
		h.level, h.line, h.attrs = slog.LevelError, "a reload was cut short and could not be put right", []any{"reload", r.Name, "file", r.File, "err", err, "to_end_it", "look at " + r.File + ", then slotsync haproxy reload"}
		h.event.Kind, h.event.Text = api.EventReloadFailed, h.line+": "+err.Error()
		h.count = r.counts(reloadReason(!strings.HasPrefix(res.Reason, overflowReason)), "failed")
	case !had:
		return
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
