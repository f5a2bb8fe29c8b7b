package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// maxListed bounds what is remembered of a feed: the addresses that it once
// listed.
const maxListed = 4 * discovery.MaxEndpoints

// feed is what the loop knows about one feed of a backend.
type feed struct {
	Feed
	cancel func() // ends the watch
	used   bool   // it is in what the guard judges

	answered time.Time         // zero: never in this process
	last     discovery.Reading // its last answer
	failing  error             // nil: it answers
	failedAt time.Time         // when it stopped to, if it does not
	again    time.Time         // when it is asked again

	// endpoints are its part: its last set and what it added to that weakly. known:
	// it said all of them, in this process or before it. spoke: in this one.
	endpoints    []discovery.Endpoint
	known, spoke bool
	// listed are the addresses that it ever named, with when last. Only they may
	// be removed because of it.
	listed map[netip.AddrPort]time.Time
	// inherited: endpoints and listed are those of the feed that was here before.
	// They stay until this one has named an endpoint.
	inherited bool
	heir      string    // a digest of what that feed was asked
	storedAt  time.Time // when what was restored was said
}

func newFeed(f Feed) *feed {
	return &feed{Feed: f, cancel: func() {}, listed: map[netip.AddrPort]time.Time{}}
}

// seen reports whether the feed itself ever named an endpoint.
func (f *feed) seen() bool { return !f.inherited && len(f.listed) > 0 }

// silent reports whether nothing is known now that could be gone by.
func (f *feed) silent() bool { return f.failing != nil || f.answered.IsZero() }

// pending reports whether it neither answered nor failed yet.
func (f *feed) pending() bool { return f.answered.IsZero() && f.failing == nil }

// spokeSince reports whether its last word came after that.
func (f *feed) spokeSince(at time.Time) bool {
	return f.answered.After(at) || f.failing != nil && f.failedAt.After(at)
}

// hear takes one answer. replaced says that what was inherited is gone with it.
// An empty answer is no ground to drop what was inherited: the name may be
// misspelt.
func (f *feed) hear(r discovery.Reading, now time.Time) (changed, replaced bool) {
	f.answered, f.last, f.failing = now, r, nil
	before := f.endpoints
	if replaced = f.inherited && !r.Weak && len(r.Endpoints) > 0; replaced {
		f.inherited, f.listed = false, map[netip.AddrPort]time.Time{}
	}
	f.remember(r.Endpoints, now)
	switch {
	case r.Weak:
		f.endpoints = merge(f.endpoints, r.Endpoints)
	case !f.inherited:
		f.endpoints, f.known, f.spoke = r.Endpoints, true, true
	}
	return !equal(before, f.endpoints), replaced
}

// remember notes what was named, and forgets what was named longest ago when that
// becomes too much.
func (f *feed) remember(eps []discovery.Endpoint, now time.Time) {
	for _, e := range eps {
		f.listed[e.Addr] = now
	}
	if len(f.listed) <= maxListed {
		return
	}
	old := slices.SortedFunc(maps.Keys(f.listed), func(x, y netip.AddrPort) int {
		return f.listed[x].Compare(f.listed[y])
	})
	for _, a := range old[:len(old)-maxListed] {
		delete(f.listed, a)
	}
}

// disposes reports whether a is the feed's to remove. As long as it has not
// spoken, that is only what it is known to have listed last.
func (f *feed) disposes(a netip.AddrPort) bool {
	if _, ok := f.listed[a]; !ok || f.spoke {
		return ok
	}
	return f.lists(a)
}

// lists reports whether a is in what it says now.
func (f *feed) lists(a netip.AddrPort) bool {
	_, ok := slices.BinarySearchFunc(f.endpoints, a, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	return ok
}

// succeed has f go on with what is known of the feed that it replaces.
func (f *feed) succeed(old *feed) {
	f.endpoints, f.known, f.listed, f.inherited = old.endpoints, old.known, old.listed, true
	f.heir, f.storedAt = old.owner(), old.storedAt
	if old.known && !old.answered.IsZero() {
		f.storedAt = old.answered
	}
	if f.Identity == old.Identity && !old.inherited {
		f.inherited, f.spoke = false, old.spoke
		f.answered, f.last, f.failing, f.again = old.answered, old.last, old.failing, old.again
	}
}

// pairFeeds returns for each of next the index of the feed in before that it goes
// on from, -1 for none: the one with its key, else its identity, else its name,
// else the first that is left over. Each is gone on from once.
func pairFeeds(before, next []Feed) []int {
	out := slices.Repeat([]int{-1}, len(next))
	taken := make([]bool, len(before))
	for _, same := range []func(a, b Feed) bool{
		func(a, b Feed) bool { return a.Key == b.Key && a.Identity == b.Identity },
		func(a, b Feed) bool { return a.Identity == b.Identity },
		func(a, b Feed) bool { return a.Name == b.Name },
		func(Feed, Feed) bool { return true },
	} {
		for i, n := range next {
			for k, b := range before {
				if out[i] < 0 && !taken[k] && same(b, n) {
					out[i], taken[k] = k, true
				}
			}
		}
	}
	return out
}
