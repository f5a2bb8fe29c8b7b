package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

// feed is what the loop knows about one feed of a backend.
type feed struct {
	Feed
	cancel func() // ends the watch
	used   bool   // it is in what is offered to the guard

	answered time.Time         // zero: never in this process
	last     discovery.Reading // its last answer
	failing  error             // nil: it answers
	failedAt time.Time         // when it stopped to, if it does not
	again    time.Time         // when it is asked again
	heard    time.Time         // when its last word came, which may be before it was taken
	// accepted: its source was told that what it lacks is gone, and has said nothing since that
	// is settled. reading: it is read because of that.
	accepted, reading bool

	// known is what it is known to have listed, part by part; answeredThisRun: it answered in
	// this process, and what is known is its own.
	known           *sources.Known
	answeredThisRun bool
	// listed are the endpoints of its last answer that the policy lets pass, refused the
	// others, and what it named and cannot be an endpoint.
	listed  []discovery.Endpoint
	refused []discovery.Rejection

	predecessor string    // a digest of what the feed before was asked, if this one has its endpoints
	storedAt    time.Time // when what was restored was said
}

func newFeed(f Feed, policy discovery.Policy) *feed {
	return &feed{Feed: f, cancel: func() {}, known: sources.NewKnown(policy)}
}

// silent reports whether nothing is known now that could be gone by.
func (f *feed) silent() bool { return f.failing != nil || f.answered.IsZero() }

// pending reports whether it neither answered nor failed yet.
func (f *feed) pending() bool { return f.answered.IsZero() && f.failing == nil }

// answer takes one answer. changed says that the set is another one, replaced that what
// was another source's is gone with it.
func (f *feed) answer(r discovery.Reading, now time.Time) (changed, replaced bool) {
	same := f.failing == nil && f.answeredThisRun && r.Settled() && f.last.Equal(r)
	f.answered, f.last, f.failing = now, r, nil
	if same { // as most answers are
		return false, false
	}
	before := f.known.Set()
	replaced = f.known.Answer(r, now)
	f.answeredThisRun = !f.known.OfPredecessor()
	f.listed, f.refused = f.known.Set().Listed(), slices.Concat(r.Rejected, f.known.Set().Refused)
	return !sameSet(before, f.known.Set()), replaced
}

// fail notes that it does not answer, and reports whether anything is kept because of
// that which was not.
func (f *feed) fail(err error, now time.Time) (changed bool) {
	before := f.known.Set()
	if f.failing == nil {
		f.failedAt = now
	}
	f.failing = err
	f.known.Fail(err.Error(), now)
	return !sameSet(before, f.known.Set())
}

// sameSet reports whether a and b are the same endpoints, kept or not.
func sameSet(a, b sources.Set) bool {
	if len(a.Kept) != len(b.Kept) {
		return false
	}
	for addr := range a.Kept {
		if _, ok := b.Kept[addr]; !ok {
			return false
		}
	}
	return slices.Equal(a.Endpoints, b.Endpoints)
}

// mayRemove reports whether a is the feed's to remove. As long as it has not answered,
// that is only what it is known to have listed last.
func (f *feed) mayRemove(a netip.AddrPort) bool {
	return f.known.MayRemove(a) && (f.answeredThisRun || f.known.Has(a))
}

// noneYet reports whether it answers, and never named anything.
func (f *feed) noneYet() bool {
	return f.failing == nil && !f.answered.IsZero() && !f.known.Seen() && len(f.last.Endpoints()) == 0
}

// proves returns what a strong read of it, just made, says of an endpoint, as far as it is up to
// this feed.
func (f *feed) proves(u discovery.Update, now time.Time) func(netip.AddrPort) guard.Says {
	if u.Err != nil {
		return func(netip.AddrPort) guard.Says { return guard.Nothing }
	}
	as := f.known.Clone()
	as.Answer(u.Reading, now)
	return func(a netip.AddrPort) guard.Says {
		switch e, listed := as.Endpoint(a); {
		case listed && guard.Present(e):
			return guard.Has
		case listed, as.Lacks(a): // it is there, and not fit to serve; or gone
			return guard.Lacks
		}
		return guard.Nothing
	}
}

// inheritFrom has f go on with what is known of the feed that it replaces.
func (f *feed) inheritFrom(old *feed, now time.Time) {
	same := f.Identity == old.Identity
	f.known.Inherit(old.known, same, now)
	f.predecessor, f.storedAt = old.owner(), old.storedAt
	if !old.answered.IsZero() {
		f.storedAt = old.answered
	}
	if same {
		discovery.Remind(f.Source, discovery.MemoryOf(old.Source))
	}
	if same && !old.known.OfPredecessor() {
		f.answeredThisRun, f.listed, f.refused = old.answeredThisRun, old.listed, old.refused
		f.answered, f.last, f.failing, f.failedAt, f.again = old.answered, old.last, old.failing, old.failedAt, old.again
	}
}

// pairFeeds returns for each of next the index of the feed in before that it goes
// on from, -1 for none: the one with its key, else its identity, else its name,
// else the first that is left over. Each is gone on from once.
func pairFeeds(before, next []Feed) []int {
	return pair(before, next,
		func(b, n Feed) bool { return b.Key == n.Key && b.Identity == n.Identity },
		func(b, n Feed) bool { return b.Identity == n.Identity },
		func(b, n Feed) bool { return b.Name == n.Name },
		func(Feed, Feed) bool { return true },
	)
}

// owner is a digest of what was asked for what f has.
func (f *feed) owner() string {
	if f.known.OfPredecessor() {
		return f.predecessor
	}
	return digest(f.Identity)
}

// digest returns a short name for a key that may hold anything.
func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}
