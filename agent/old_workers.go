package agent

import (
	"context"
	"time"
)

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
