package agent

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
)

// This file takes what the sources answer, and asks them again.

// confirmTimeout bounds one confirmation by a source.
const confirmTimeout = 20 * time.Second

// retryRead is the pause after a reading that could not be had.
const retryRead = time.Second

// startWatch starts the watch of a feed of b.
func (a *Agent) startWatch(ctx context.Context, b *backend, f *feed) {
	ctx, f.cancel = context.WithCancel(ctx)
	source := f.Source
	a.group.Go(func() {
		discovery.Watch(ctx, source, func(u discovery.Update) {
			a.enqueue(ctx, task{news: true, do: func(loop context.Context) {
				if ctx.Err() == nil { // else b has another source by now
					a.onUpdate(loop, b, f, u)
				}
			}})
		})
	})
}

// onUpdate takes what a feed answered, or why it did not.
func (a *Agent) onUpdate(ctx context.Context, b *backend, f *feed, u discovery.Update) {
	if !slices.Contains(a.backends, b) || !slices.Contains(b.feeds, f) {
		return
	}
	now := time.Now()
	f.again = u.Again
	a.applyUpdate(b, f, u, now)
	a.reevaluate(b, nil, u.At, now)
	if f.accepted && u.Err == nil {
		a.readAgain(ctx, b, f, 0)
	}
	a.needsStep = a.needsStep || b.due || !b.next(now).IsZero()
}

// applyUpdate notes what a feed answered, or that it did not.
func (a *Agent) applyUpdate(b *backend, f *feed, u discovery.Update, now time.Time) {
	f.heard = u.At
	if u.Err != nil {
		a.record(b.sourceFailed(f, u.Err))
		a.dirty = f.fail(u.Err, now) || a.dirty
		return
	}
	before := *f
	f.accepted = f.accepted && !u.Reading.Settled()
	changed, replaced := f.answer(u.Reading, now)
	a.record(b.sourceAnswered(f, before)...)
	a.dirty = a.dirty || changed
	if replaced {
		b.searchAgain()
	}
}

// reevaluate decides anew what of the feeds of b is published, and records what changed by
// that. news is when what led to it came.
func (a *Agent) reevaluate(b *backend, confirms func(netip.AddrPort) guard.Says, news, now time.Time) {
	kind, failedOver := b.guard.Kind(), b.at.FailedOver
	held, _ := b.guard.Hold(now)
	before := b.guard.Published()
	if b.reevaluate(evidence{b.proven(now), confirms}, now) {
		if !b.due || b.news.IsZero() {
			b.news = news
		}
		b.due, a.dirty = true, true
		a.record(b.membersChanged(before, held))
	}
	if kind != b.guard.Kind() {
		a.dirty = true
		a.record(b.holdChanged(held, before))
		for _, in := range b.served {
			in.outdated = true // whether newcomers are watched depends on it
		}
	}
	if failedOver != b.at.FailedOver {
		a.dirty = true
		a.record(b.failedOver())
	}
	a.record(b.keptChanged()...)
}

// runTimers does what is due for b by the time alone.
func (a *Agent) runTimers(ctx context.Context, b *backend, now time.Time) {
	if b.expireDrains(now) {
		b.due, b.news = true, time.Time{}
	}
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(b.nextTransition) {
		a.reevaluate(b, nil, now, now)
	}
	if t, ok := b.guard.Turnover(); ok && past(t.EndsAt) && b.endTurnover(now) {
		b.due, a.dirty = true, true
	}
	if past(b.guard.ConfirmAt(now)) && !b.confirming {
		a.confirm(ctx, b, now)
	}
}

// readAgain asks a feed of b in the strongest way there is, after a pause, and takes what it
// says, for its source was told that what it lacks is gone. What was judged before that may be
// heard of after it: so it is asked after each answer, until one is settled. An error says nothing.
func (a *Agent) readAgain(ctx context.Context, b *backend, f *feed, pause time.Duration) {
	if f.reading {
		return
	}
	f.reading = true
	source := f.Source
	a.group.Go(func() {
		discovery.Sleep(ctx, pause)
		u := readStrongly(ctx, source)
		a.post(ctx, func(loop context.Context) {
			f.reading = false
			switch now := time.Now(); {
			case !f.accepted || !slices.Contains(a.backends, b) || !slices.Contains(b.feeds, f):
			case f.failing != nil: // its next answer leads here again
			case u.Err != nil:
				a.readAgain(loop, b, f, retryRead)
			case f.heard.After(u.At):
				a.readAgain(loop, b, f, 0)
			default:
				a.applyUpdate(b, f, u, now)
				a.reevaluate(b, nil, u.At, now)
			}
		})
	})
}

// readStrongly reads a source in the strongest way there is.
func readStrongly(ctx context.Context, source discovery.Source) discovery.Update {
	brief, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	r, err := discovery.Confirm(brief, source)
	return discovery.Update{Reading: r, Err: err, At: time.Now()}
}

// confirm asks the feeds of b whose endpoints are held in the strongest way there
// is, all at once.
func (a *Agent) confirm(ctx context.Context, b *backend, now time.Time) {
	b.confirming = true
	b.guard.Asked(now)
	feeds := b.affected()
	sources := make([]discovery.Source, len(feeds))
	for i, f := range feeds {
		sources[i] = f.Source
	}
	a.group.Go(func() {
		answers := make([]discovery.Update, len(feeds))
		var all sync.WaitGroup
		for i, source := range sources {
			all.Go(func() { answers[i] = readStrongly(ctx, source) })
		}
		all.Wait()
		a.post(ctx, func(context.Context) {
			b.confirming = false
			a.confirmed(b, feeds, answers)
		})
	})
}

// confirmed takes what came of a confirmation. It counts for an endpoint if what every feed in use
// that once listed it says proves that it is gone, or that of any other one where none did; what any
// of them lists now is not gone.
func (a *Agent) confirmed(b *backend, feeds []*feed, answers []discovery.Update) {
	if !slices.Contains(a.backends, b) {
		return
	}
	now := time.Now()
	same := !slices.ContainsFunc(feeds, func(f *feed) bool { return !slices.Contains(b.feeds, f) }) &&
		slices.ContainsFunc(feeds, func(f *feed) bool { return f.used })
	says := map[netip.AddrPort]guard.Says{}
	if same {
		says = b.say(feeds, answers, now)
	}
	for i, f := range feeds {
		// The slowest of them is waited for: it may be old by now.
		if slices.Contains(b.feeds, f) && !f.heard.After(answers[i].At) {
			a.applyUpdate(b, f, answers[i], now)
		}
	}
	a.reevaluate(b, func(addr netip.AddrPort) guard.Says { return says[addr] }, now, now)
}

// say is what these answers say together of what would be removed.
func (b *backend) say(feeds []*feed, answers []discovery.Update, now time.Time) map[netip.AddrPort]guard.Says {
	read := map[*feed]func(netip.AddrPort) guard.Says{}
	for i, f := range feeds {
		read[f] = f.proves(answers[i], now)
	}
	out := map[netip.AddrPort]guard.Says{}
	for _, addr := range b.guard.WouldRemove() {
		has, lacks, unknown := false, false, false
		for _, f := range b.feeds {
			if !f.used {
				continue
			}
			says := guard.Nothing
			if asked := read[f]; asked != nil {
				says = asked(addr)
			}
			has, lacks = has || says == guard.Has, lacks || says == guard.Lacks
			unknown = unknown || says == guard.Nothing && f.known.Listed(addr)
		}
		switch {
		case has:
			out[addr] = guard.Has
		case lacks && !unknown:
			out[addr] = guard.Lacks
		}
	}
	return out
}
