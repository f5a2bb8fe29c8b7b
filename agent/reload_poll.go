package agent

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reloadpolicy"
	"github.com/slotsync/slotsync/slots/reload"
)

// leastFiles and mostFiles bound how often files are looked at: as often as at instances,
// and at least once before a need is acted on.
const leastFiles, mostFiles = 500 * time.Millisecond, reloadpolicy.MaxFileAge

// pollFiles looks at the files of a reload, as often as at an instance, and returns when
// it does so next. A disk may be slow, so that the loop does not wait for it.
func (a *Agent) pollFiles(ctx context.Context, r *reloading, now time.Time) (next time.Time) {
	every := min(max(a.timing.Poll, leastFiles), mostFiles)
	switch {
	case !r.Transaction.Renders() || r.reading || r.running:
		return next
	case !r.filesAt.IsZero() && now.Before(r.filesAt.Add(every)):
		return r.filesAt.Add(every)
	}
	r.reading = true
	look, key := r.Transaction, r.Key
	a.group.Go(func() {
		files := look.Files()
		a.post(ctx, func(context.Context) {
			if r.reading = false; !r.filesAt.After(now) { // else a reload has ended since
				a.onFiles(r, key, files)
			}
		})
	})
	return next
}

// onFiles takes what is on disk, and records that somebody else has changed the file. What was
// looked at under another key may be other files.
func (a *Agent) onFiles(r *reloading, key string, files reload.Files) {
	if key != r.Key {
		return
	}
	if was := r.files.ByHand; files.ByHand != was {
		a.changedByHand(r, files.ByHand)
	}
	r.files, r.filesAt = files, time.Now()
}

// changedByHand records that the file was changed by hand, or is ours again.
func (a *Agent) changedByHand(r *reloading, is bool) {
	h := happening{line: "the configuration of HAProxy is the one that was rendered again", attrs: []any{"reload", r.Name, "file", r.File}}
	if is {
		h = happening{level: slog.LevelWarn, line: "the configuration of HAProxy was changed by hand: it is not overwritten unless somebody insists",
			attrs: []any{"reload", r.Name, "file", r.File, "to_see_it", "slotsync haproxy config diff",
				"to_end_it", "take it over into the template, then slotsync haproxy reload --force"},
			event: api.Event{Kind: api.EventNote, Fields: map[string]string{"reload": r.Name}}}
	}
	a.record(h)
}

const (
	// oldEvery is how often old workers are looked for, oldTimeout how long that
	// may take.
	oldEvery, oldTimeout = 5 * time.Second, 4 * time.Second
)

// pollOldWorkers asks for the old workers of a reload, if that can be known.
func (a *Agent) pollOldWorkers(ctx context.Context, r *reloading, now time.Time) {
	if r.OldWorkers == nil || r.looking || now.Before(r.lookAt) {
		return
	}
	r.looking, r.lookAt = true, now.Add(oldEvery)
	ask := r.OldWorkers
	a.group.Go(func() {
		brief, cancel := context.WithTimeout(ctx, oldTimeout)
		defer cancel()
		old, err := ask(brief)
		a.post(ctx, func(context.Context) {
			if r.looking = false; err == nil {
				r.old = old
			}
		})
	})
}

// lookForOldWorkers has the old workers of an instance looked for without delay: it runs
// another process than before.
func (a *Agent) lookForOldWorkers(in *instance) {
	for _, r := range a.reloads {
		if slices.Contains(r.Instances, in.Name) {
			r.lookAt = time.Time{}
		}
	}
}
