package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// This file listens to the feeds, and asks them again.

// confirmTimeout bounds one confirmation by a source.
const confirmTimeout = 20 * time.Second

// follow starts the watch of a feed of b.
func (a *Agent) follow(ctx context.Context, b *backend, f *feed) {
	ctx, f.cancel = context.WithCancel(ctx)
	source := f.Source
	a.group.Go(func() {
		discovery.Watch(ctx, source, func(u discovery.Update) {
			a.enqueue(ctx, errand{news: true, do: func(context.Context) {
				if ctx.Err() == nil { // else b has another source by now
					a.heard(b, f, u)
				}
			}})
		})
	})
}

// heard takes what a feed answered.
func (a *Agent) heard(b *backend, f *feed, u discovery.Update) {
	if !slices.Contains(a.backends, b) || !slices.Contains(b.feeds, f) {
		return
	}
	now := time.Now()
	f.again = u.Again
	a.take(b, f, u, now)
	a.rethink(b, u.Reading.Weak, false, u.At, now)
	a.stirred = a.stirred || b.due || !b.next(now).IsZero()
}

// take notes what a feed answered, or that it did not.
func (a *Agent) take(b *backend, f *feed, u discovery.Update, now time.Time) {
	if u.Err != nil {
		a.sourceFailed(b, f, u.Err)
		if f.failing == nil {
			f.failedAt = now
		}
		f.failing = u.Err
		return
	}
	a.sourceAnswered(b, f, u.Reading)
	changed, replaced := f.hear(u.Reading, now)
	a.dirty = a.dirty || changed
	if replaced {
		a.judgeAgain(b)
	}
}

// rethink has what the feeds of b say judged anew, after news that came then.
func (a *Agent) rethink(b *backend, weak, confirm bool, news, now time.Time) {
	held, kind, away := b.guard.hold, b.guard.kind(), b.at.away
	if b.rethink(weak, confirm, a.checks(b), now) {
		if !b.due || b.news.IsZero() {
			b.news = news
		}
		b.due, a.dirty = true, true
	}
	if held != b.guard.hold || kind != b.guard.kind() {
		a.dirty = true
		a.holdChanged(b)
	}
	if away != b.at.away {
		a.dirty = true
		a.failedOver(b)
	}
}

// advance does what is due for b by the time alone.
func (a *Agent) advance(ctx context.Context, b *backend, now time.Time) {
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(b.shift) {
		a.rethink(b, false, false, now, now)
	}
	if past(b.guard.turnsAt()) && a.turnOver(b, now) {
		b.due, a.dirty = true, true
	}
	if past(b.guard.confirmAt(now)) && !b.confirming {
		a.confirm(ctx, b, now)
	}
}

// confirm asks the feeds of b whose endpoints are held in the strongest way there
// is, all at once.
func (a *Agent) confirm(ctx context.Context, b *backend, now time.Time) {
	b.confirming = true
	b.guard.hold.asked = now
	feeds := b.concerned()
	sources := make([]discovery.Source, len(feeds))
	for i, f := range feeds {
		sources[i] = f.Source
	}
	a.group.Go(func() {
		brief, cancel := context.WithTimeout(ctx, confirmTimeout)
		defer cancel()
		answers := make([]discovery.Update, len(feeds))
		var all sync.WaitGroup
		for i, source := range sources {
			all.Go(func() {
				r, err := discovery.Confirm(brief, source)
				answers[i] = discovery.Update{Reading: r, Err: err, At: time.Now()}
			})
		}
		all.Wait()
		a.post(ctx, func(context.Context) {
			b.confirming = false
			a.confirmed(b, feeds, answers)
		})
	})
}

// confirmed takes what came of a confirmation. It counts if every feed gave a
// strong answer.
func (a *Agent) confirmed(b *backend, feeds []*feed, answers []discovery.Update) {
	if !slices.Contains(a.backends, b) {
		return
	}
	now := time.Now()
	agreed, weak := true, false
	for i, f := range feeds {
		if !slices.Contains(b.feeds, f) { // there is another one by now
			agreed = false
			continue
		}
		u := answers[i]
		if !f.spokeSince(u.At) { // the slowest of them is waited for: it may be old by now
			a.take(b, f, u, now)
		}
		agreed = agreed && u.Err == nil && !u.Reading.Weak
		weak = weak || u.Reading.Weak
	}
	a.rethink(b, weak, agreed, now, now)
}
