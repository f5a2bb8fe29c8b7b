package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

func (b *backend) store(name func(number int) string, now time.Time) storedBackend {
	s := storedBackend{
		Name: b.Name, At: b.answeredAt(), Slots: map[netip.AddrPort]string{}, Numbers: b.placement.Places(), Vanished: b.placement.Vanished(),
	}
	for _, f := range b.feeds {
		s.Feeds = append(s.Feeds, f.store())
	}
	if b.Failover.Primary != "" {
		s.Failover = &storedPosition{Primary: b.Failover.Primary, Away: b.at.FailedOver, Elapsed: since(b.at.Since, now)}
	}
	s.storeGuard(b.guard.State(now), now)
	s.Leaving = slices.SortedFunc(maps.Values(b.leaving), func(x, y leaving) int {
		return x.Endpoint.Addr.Compare(y.Endpoint.Addr)
	})
	s.Ends, s.Added = maps.Clone(b.sessionEnds), maps.Clone(b.added)
	s.Expired = slices.SortedFunc(maps.Keys(b.expired), netip.AddrPort.Compare)
	for a, number := range s.Numbers {
		s.Slots[a] = name(number)
	}
	return s
}

// since is how long ago at was; 0 if it is zero.
func since(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return now.Sub(at)
}

// answeredAt is when a source that is used last answered, in this process or before it:
// the age of what is known.
func (b *backend) answeredAt() time.Time {
	at := b.storedAt
	for _, f := range b.feeds {
		if f.used && f.answered.After(at) {
			at = f.answered
		}
	}
	return at
}

// storeGuard takes what the guard must not forget; of the past sets also the numbers, by
// which the release before this one goes.
func (s *storedBackend) storeGuard(g guard.State, now time.Time) {
	s.Endpoints, s.Past, s.Hold, s.Unhealthy, s.Turnover = g.Published, g.Past, g.Hold, g.Unhealthy, g.Turnover
	at := now
	for _, p := range g.Past {
		s.Baseline = append(s.Baseline, storedCount{at, len(p.Addrs)})
		at = p.Until
	}
}

func (f *feed) store() storedFeed {
	s := storedFeed{Name: f.Name, Source: f.owner(), At: f.answered, Endpoints: f.known.Set().Endpoints, Memory: string(discovery.MemoryOf(f.Source))}
	if s.At.IsZero() {
		s.At = f.storedAt
	}
	s.Parts, s.Listed = f.known.State()
	return s
}

// restore takes what was stored of b. What another source listed is no reason
// to remove anything.
func (b *backend) restore(s storedBackend, now time.Time) {
	b.guard.Restore(guard.State{Published: s.Endpoints, Past: s.Past, Hold: s.Hold, Unhealthy: s.Unhealthy, Turnover: s.Turnover}, now)
	b.placement.Restore(s.numbers(b.Prefix), s.Vanished)
	b.storedAt = s.At
	if s.Failover != nil && (s.Failover.Primary == "" || s.Failover.Primary == b.Failover.Primary) {
		b.at = sources.Position{FailedOver: s.Failover.Away}
		if s.Failover.Elapsed > 0 {
			b.at.Since = now.Add(-s.Failover.Elapsed)
		}
	}
	b.restoreFeeds(s)
	for _, l := range s.Leaving {
		l.Until = notAfter(l.Until, now.Add(b.Drain))
		b.leaving[l.Endpoint.Addr] = l
	}
	for a, at := range s.Ends {
		b.sessionEnds[a] = notAfter(at, now.Add(b.Drain))
	}
	for a, at := range s.Added {
		b.added[a] = notAfter(at, now)
	}
	b.expire(s.Expired)
	age := now.Sub(s.At)
	b.snapshotStale = age >= restoreAge || age <= -restoreAge
	if len(b.guard.Published()) > 0 && age < restoreAge && age > -restoreAge {
		b.phase, b.due = phaseRestored, true
	}
}

// restoreFeeds gives each feed what was stored of it, or of the one whose place
// it takes.
func (b *backend) restoreFeeds(s storedBackend) {
	before := make([]Feed, len(s.Feeds))
	for i, f := range s.Feeds {
		before[i] = Feed{Name: f.Name, Identity: f.Source}
	}
	next := make([]Feed, len(b.feeds))
	for i, f := range b.feeds {
		next[i] = Feed{Name: f.Name, Identity: digest(f.Identity)}
	}
	for i, k := range pairFeeds(before, next) {
		if k >= 0 {
			b.feeds[i].restore(s.Feeds[k])
		}
	}
}

func (f *feed) restore(s storedFeed) {
	ofPredecessor := s.Source != digest(f.Identity)
	if ofPredecessor {
		f.predecessor = s.Source
	} else {
		discovery.Remind(f.Source, []byte(s.Memory))
	}
	f.storedAt = s.At
	f.known.Restore(s.Parts, s.Endpoints, s.Listed, ofPredecessor, s.At)
}

// numbers are the slots that endpoints had. A state of the release before this one has
// their names alone.
func (s storedBackend) numbers(prefix string) map[netip.AddrPort]int {
	out := maps.Clone(s.Numbers)
	if out == nil {
		out = map[netip.AddrPort]int{}
	}
	for a, name := range s.Slots {
		if _, known := out[a]; known {
			continue
		}
		if number, ok := numberIn(name, prefix); ok {
			out[a] = number
		}
	}
	return out
}

// expireSnapshot forgets what was stored too long ago to be filled from, unless it is in
// service or was named since: its addresses may be somebody else's by now. live are
// the addresses in service at any instance.
func (b *backend) expireSnapshot(live map[netip.AddrPort]bool, now time.Time) {
	b.snapshotStale = false
	named := map[netip.AddrPort]bool{}
	for _, f := range b.feeds {
		for _, e := range f.last.Endpoints() {
			named[e.Addr] = true
		}
	}
	gone := func(e discovery.Endpoint) bool { return !live[e.Addr] && !named[e.Addr] }
	for _, e := range b.guard.Published() {
		if gone(e) && len(b.unanswered()) > 0 {
			b.expire([]netip.AddrPort{e.Addr})
		}
	}
	for _, f := range b.feeds {
		f.known.Drop(gone, now)
	}
	b.guard.Forget(gone)
	for a := range b.leaving {
		if !live[a] {
			delete(b.leaving, a)
		}
	}
}

// expire adds to what was forgotten for its age.
func (b *backend) expire(addrs []netip.AddrPort) {
	for _, a := range addrs {
		if b.expired == nil {
			b.expired = map[netip.AddrPort]bool{}
		}
		b.expired[a] = true
	}
}

// live returns the addresses that are in service at any instance.
func (b *backend) live() map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for _, own := range b.views() {
		for _, a := range placement.InService(own) {
			out[a] = true
		}
	}
	return out
}
