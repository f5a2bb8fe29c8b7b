package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// Phases of a backend.
const (
	phaseWaiting  = "waiting"  // nothing is known: nothing is touched
	phaseRestored = "restored" // the set of the state directory is in force
	phaseLive     = "live"     // a source has spoken
)

const (
	// maxListed bounds what is remembered of a source: the addresses that it
	// once listed.
	maxListed = 4 * discovery.MaxEndpoints
	// roundBurst and roundRate bound the tables a backend gets: after a burst,
	// at most so many a second.
	roundBurst, roundRate = 50, 20
	// restoreAge is how old a stored set may be and still fill empty slots.
	restoreAge = 24 * time.Hour
)

// A leaving endpoint is drained until then, and out of service afterwards.
type leaving struct {
	Endpoint discovery.Endpoint `json:"endpoint"`
	Until    time.Time          `json:"until"`
}

// backend is what the loop knows about one backend.
type backend struct {
	Backend
	guard guarded
	phase string
	// listed are the addresses that the source ever named, with when last. Only
	// they may be removed.
	listed map[netip.AddrPort]time.Time
	// prefer is where endpoints sat when the state was stored.
	prefer   map[netip.AddrPort]string
	storedAt time.Time
	// leaving are endpoints that drain before they go; see Backend.Leave.
	leaving map[netip.AddrPort]leaving
	table   slots.Table
	adopted bool
	surplus []discovery.Endpoint
	short   time.Time // since when there is a surplus
	trend   trend     // of the endpoints that want a slot
	// taken are the slots that hold a stranger at some instance.
	taken map[string]netip.AddrPort
	// gen is the generation in which the targets last changed, due whether they
	// have to be made anew when the pace allows it.
	gen    uint64
	sent   []slots.Target // with gen; never written to
	due    bool
	news   time.Time // when the source said what is due
	pace   *rate.Limiter
	source sourceState
	// heard: the source that is configured now has given an answer to go by.
	heard bool
	// confirming: a confirmation is under way.
	confirming bool
	watch      watch
}

// sourceState is how the source of a backend is doing.
type sourceState struct {
	answered time.Time // zero: never
	reading  discovery.Reading
	failing  error // nil: it answers
}

func newBackend(b Backend) *backend {
	b = withDefaults(b)
	return &backend{
		Backend: b,
		guard:   guarded{rules: b.Guard},
		phase:   phaseWaiting,
		listed:  map[netip.AddrPort]time.Time{},
		leaving: map[netip.AddrPort]leaving{},
		pace:    rate.NewLimiter(roundRate, roundBurst),
	}
}

func withDefaults(b Backend) Backend {
	b.Guard = b.Guard.withDefaults()
	b.Drain = cmp.Or(b.Drain, DefaultDrain)
	b.MaxSlots = cmp.Or(b.MaxSlots, DefaultMaxSlots)
	b.Feeds = slices.Clone(b.Feeds)
	for i, f := range b.Feeds {
		b.Feeds[i].Identity = cmp.Or(f.Identity, f.Key)
	}
	return b
}

// renounce forgets what the source said that is no longer asked. What is
// published stays, until the next one has spoken.
func (b *backend) renounce() {
	b.heard, b.listed, b.source = false, map[netip.AddrPort]time.Time{}, sourceState{}
}

// seen reports whether the source ever named an endpoint.
func (b *backend) seen() bool { return len(b.listed) > 0 }

// learn takes one answer of the source and returns whether the targets have to
// be made anew. Two answers are no ground to touch anything: an empty one of a
// source that never named an endpoint, which may be misspelt; and a weak one
// before any strong one.
func (b *backend) learn(r discovery.Reading, confirm bool, now time.Time) bool {
	b.source.answered, b.source.reading, b.source.failing = now, r, nil
	b.remember(r.Endpoints, now)
	first := !b.heard
	if !b.seen() || (first && r.Weak) {
		return false
	}
	b.phase, b.heard = phaseLive, true
	before := b.guard.published
	changed := b.guard.reading(r, confirm, now)
	if changed {
		b.part(before, b.guard.published, now)
	}
	return changed || first
}

// failed notes why the source does not answer. Nothing else changes.
func (b *backend) failed(err error, now time.Time) {
	b.source.failing = err
	b.guard.failed(now)
}

// remember notes what the source named, and forgets what it named longest ago
// when that becomes too much.
func (b *backend) remember(eps []discovery.Endpoint, now time.Time) {
	for _, e := range eps {
		b.listed[e.Addr] = now
	}
	if len(b.listed) <= maxListed {
		return
	}
	old := slices.SortedFunc(maps.Keys(b.listed), func(x, y netip.AddrPort) int {
		return b.listed[x].Compare(b.listed[y])
	})
	for _, a := range old[:len(old)-maxListed] {
		delete(b.listed, a)
	}
}

// part starts the drain of endpoints that stopped being ready, where the
// backend is configured so.
func (b *backend) part(before, after []discovery.Endpoint, now time.Time) {
	next := byAddr(after)
	for a, e := range next {
		if e.State != discovery.Down {
			delete(b.leaving, a)
		}
	}
	if b.Leave != slots.Drain {
		return
	}
	for _, e := range before {
		left, still := next[e.Addr]
		if e.State != discovery.Down && (!still || left.State == discovery.Down) {
			b.leaving[e.Addr] = leaving{e, now.Add(b.Drain)}
		}
	}
}

// departed returns the addresses that drain although no source lists them any
// more.
func (b *backend) departed() map[netip.AddrPort]bool {
	there := byAddr(b.guard.published)
	out := map[netip.AddrPort]bool{}
	for a := range b.leaving {
		if _, ok := there[a]; !ok {
			out[a] = true
		}
	}
	return out
}

// dropReclaimed ends the drains of those that have no slot any more.
func (b *backend) dropReclaimed() {
	holds := map[netip.AddrPort]bool{}
	for _, s := range b.table {
		holds[s.Endpoint.Addr] = true
	}
	maps.DeleteFunc(b.leaving, func(a netip.AddrPort, _ leaving) bool { return !holds[a] && b.departed()[a] })
}

// settle ends the drains that are over and returns whether any was.
func (b *backend) settle(now time.Time) bool {
	before := len(b.leaving)
	maps.DeleteFunc(b.leaving, func(_ netip.AddrPort, l leaving) bool { return !now.Before(l.Until) })
	return len(b.leaving) != before
}

// wanted returns the endpoints that should have a slot now.
func (b *backend) wanted() []discovery.Endpoint {
	if len(b.leaving) == 0 {
		return b.guard.published
	}
	out := make([]discovery.Endpoint, 0, len(b.guard.published)+len(b.leaving))
	there := byAddr(b.guard.published)
	for _, e := range b.guard.published {
		if _, ok := b.leaving[e.Addr]; ok {
			e.State, e.Reason = discovery.Drain, "leaving"
		}
		out = append(out, e)
	}
	for a, l := range b.leaving {
		if _, ok := there[a]; !ok {
			e := l.Endpoint
			e.State, e.Reason = discovery.Drain, "leaving"
			out = append(out, e)
		}
	}
	return discovery.Normalize(out)
}

// next is when something has to be done for the backend; zero for never.
func (b *backend) next(now time.Time) time.Time {
	due := b.guard.confirmAt(now)
	for _, l := range b.leaving {
		due = earlier(due, l.Until)
	}
	return due
}

// earlier returns the earlier of two times, of which zero stands for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// targets returns what every slot should be, on all instances.
func (b *backend) targets() []slots.Target {
	return b.table.Targets(slots.Scale(b.guard.published))
}
