package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"time"
)

func (b *backend) store(now time.Time) storedBackend {
	s := storedBackend{
		Name: b.Name, At: now, Endpoints: b.guard.published,
		Baseline: b.guard.history, Slots: map[netip.AddrPort]string{},
	}
	if !b.heard {
		s.At = b.storedAt
	}
	for _, f := range b.feeds {
		s.Feeds = append(s.Feeds, f.store())
	}
	if b.Failover.Primary != "" {
		s.Failover = &storedPosition{Primary: b.Failover.Primary, Away: b.at.away, Elapsed: since(b.at.since, now)}
	}
	b.guard.store(&s, now)
	s.Leaving = slices.SortedFunc(maps.Values(b.leaving), func(x, y leaving) int {
		return x.Endpoint.Addr.Compare(y.Endpoint.Addr)
	})
	s.Ends, s.Added = maps.Clone(b.ends), maps.Clone(b.added)
	for _, slot := range b.table {
		if !slot.Free() {
			s.Slots[slot.Endpoint.Addr] = slot.Name
		}
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

func (g *guarded) store(s *storedBackend, now time.Time) {
	if h := g.hold; h != nil {
		s.Hold = &storedHold{h.kind, h.elapsed(now), h.confirmed}
	} else {
		s.Hold = g.carried
	}
	if g.ailing != nil {
		s.Unhealthy = since(g.ailing.since, now)
	}
	if g.turning != nil {
		s.Turnover = &storedTurnover{since(g.turning.since, now), g.turning.old}
	}
}

func (f *feed) store() storedFeed {
	s := storedFeed{Name: f.Name, Source: f.owner(), Endpoints: f.endpoints}
	if f.known {
		s.At = f.answered
		if s.At.IsZero() {
			s.At = f.storedAt
		}
	}
	for a, at := range f.listed {
		s.Listed = append(s.Listed, listed{a, at})
	}
	slices.SortFunc(s.Listed, func(x, y listed) int { return x.Addr.Compare(y.Addr) })
	return s
}

// restore takes what was stored of b. What another source listed is no reason
// to remove anything.
func (b *backend) restore(s storedBackend, now time.Time) {
	b.guard.restore(s, now)
	b.prefer, b.storedAt = s.Slots, s.At
	if s.Failover != nil && (s.Failover.Primary == "" || s.Failover.Primary == b.Failover.Primary) {
		b.at = position{away: s.Failover.Away}
		if s.Failover.Elapsed > 0 {
			b.at.since = now.Add(-s.Failover.Elapsed)
		}
	}
	b.restoreFeeds(s)
	for _, l := range s.Leaving {
		if most := now.Add(b.Drain); l.Until.After(most) { // a clock was ahead
			l.Until = most
		}
		b.leaving[l.Endpoint.Addr] = l
	}
	maps.Copy(b.ends, s.Ends)
	maps.Copy(b.added, s.Added)
	age := now.Sub(s.At)
	b.stale = age >= restoreAge || age <= -restoreAge
	if len(b.guard.published) > 0 && age < restoreAge && age > -restoreAge {
		b.phase, b.due = phaseRestored, true
	}
}

func (g *guarded) restore(s storedBackend, now time.Time) {
	g.published, g.history, g.carried = s.Endpoints, s.Baseline, s.Hold
	if s.Unhealthy > 0 {
		g.ailing = &ailing{now.Add(-s.Unhealthy), s.Endpoints}
	}
	if t := s.Turnover; t != nil && len(t.Old) > 0 {
		g.turning = &turning{now.Add(-t.Elapsed), t.Old}
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
	f.inherited = s.Source != digest(f.Identity)
	if f.inherited {
		f.heir = s.Source
	}
	f.endpoints, f.known, f.storedAt = s.Endpoints, !s.At.IsZero(), s.At
	for _, l := range s.Listed {
		f.listed[l.Addr] = l.Last
	}
}

// owner is a digest of what was asked for what f has.
func (f *feed) owner() string {
	if f.inherited {
		return f.heir
	}
	return digest(f.Identity)
}

// digest returns a short name for a key that may hold anything.
func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}
