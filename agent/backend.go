package agent

import (
	"cmp"
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
	feeds []*feed // in the order of the configuration
	at    position
	shift time.Time // when that becomes another one by itself; zero for never
	guard guarded
	phase string
	// stale: what was stored is too old to be filled from.
	stale bool
	// prefer is where endpoints sat when the state was stored.
	prefer   map[netip.AddrPort]string
	storedAt time.Time
	// leaving are endpoints that drain before they go; see Backend.Leave.
	leaving map[netip.AddrPort]leaving
	// ends are when the sessions of endpoints that left are to be ended; see
	// Backend.Shutdown. It is kept while a slot has the address.
	ends    map[netip.AddrPort]time.Time
	table   slots.Table
	adopted bool
	surplus []discovery.Endpoint
	short   time.Time // since when there is a surplus
	trend   trend     // of the endpoints that want a slot
	// taken are the slots that hold a stranger at some instance.
	taken map[string]netip.AddrPort
	// gen is the generation in which the targets last changed, due whether they
	// have to be made anew when the pace allows it.
	gen  uint64
	sent []slots.Target // with gen; never written to
	due  bool
	news time.Time // when a feed said what is due
	pace *rate.Limiter
	// heard: a feed that is in use has given an answer to go by.
	heard bool
	// confirming: a confirmation is under way.
	confirming bool
	// overrides are what operators want of it. started are the slots that
	// an operator gave back, with when. initial are the weights of the template,
	// see core.initial.
	overrides overrides
	// added are the endpoints that operators added and do not want any more, with
	// since when: they may be removed wherever they are found.
	added   map[netip.AddrPort]time.Time
	started map[string]time.Time
	initial map[string]int
	// needy: it was said to need a reload; needTold: that or the contrary was said.
	needy, needTold bool
}

func newBackend(b Backend) *backend {
	b = withDefaults(b)
	nb := &backend{
		Backend: b,
		guard:   guarded{rules: b.Guard},
		phase:   phaseWaiting,
		leaving: map[netip.AddrPort]leaving{},
		ends:    map[netip.AddrPort]time.Time{},
		added:   map[netip.AddrPort]time.Time{},
		started: map[string]time.Time{},
		pace:    rate.NewLimiter(roundRate, roundBurst),
	}
	for _, f := range b.Feeds {
		nb.feeds = append(nb.feeds, newFeed(f))
	}
	return nb
}

func withDefaults(b Backend) Backend {
	b.Guard = b.Guard.withDefaults()
	b.Failover = b.Failover.withDefaults()
	b.Drain = cmp.Or(b.Drain, DefaultDrain)
	b.MaxSlots = cmp.Or(b.MaxSlots, DefaultMaxSlots)
	b.Feeds = slices.Clone(b.Feeds)
	for i, f := range b.Feeds {
		b.Feeds[i].Identity = cmp.Or(f.Identity, f.Key)
	}
	return b
}

// seen reports whether any feed ever named an endpoint.
func (b *backend) seen() bool { return slices.ContainsFunc(b.feeds, (*feed).seen) }

// disposes reports whether a is any feed's to remove.
func (b *backend) disposes(a netip.AddrPort) bool {
	return slices.ContainsFunc(b.feeds, func(f *feed) bool { return f.disposes(a) })
}

// rethink puts together what the feeds say now, has the guard judge it, and
// returns whether the targets have to be made anew. weak: what was heard may only
// add; confirm: it was asked for because something is held. checked: HAProxy
// checks the slots.
//
// Two answers are no ground to touch anything: an empty one where no feed ever
// named an endpoint, for the name may be misspelt; and a weak one before any
// strong one.
func (b *backend) rethink(weak, confirm, checked bool, now time.Time) bool {
	c := combine(b.parts(), b.Failover, b.at, now)
	turned := b.at.away != c.at.away
	b.at, b.shift = c.at, c.due
	if turned && weak { // what was heard must not weaken what it brought about
		b.shift = now
	}
	spoken := false
	for i, f := range b.feeds {
		f.used = c.used[i]
		spoken = spoken || f.used && f.spoke
	}
	first := !b.heard
	if !b.seen() || first && !spoken {
		return false
	}
	b.phase, b.heard = phaseLive, true
	g := &b.guard
	g.keeps = b.OnAllUnhealthy == KeepUnhealthy || b.OnAllUnhealthy == "" && checked
	g.answers(b.evident(), now)
	before := g.published
	c.reading.Weak = c.reading.Weak || weak
	changed := g.reading(c.reading, confirm, now)
	if changed {
		b.part(before, g.published, now)
	}
	g.answers(b.evident(), now)
	return changed || first
}

func (b *backend) parts() []part {
	out := make([]part, len(b.feeds))
	for i, f := range b.feeds {
		out[i] = part{f.Name, f.endpoints, f.known, f.failing != nil}
	}
	return out
}

// concerned returns the feeds whose endpoints are held: those that once listed
// any of them, or all if none did.
func (b *backend) concerned() []*feed {
	gone := b.guard.wouldRemove()
	out := slices.DeleteFunc(slices.Clone(b.feeds), func(f *feed) bool {
		return !slices.ContainsFunc(gone, func(a netip.AddrPort) bool { _, ok := f.listed[a]; return ok })
	})
	if len(out) == 0 {
		return slices.Clone(b.feeds)
	}
	return out
}

// evident reports whether every feed answers whose endpoints are held.
func (b *backend) evident() bool {
	return b.guard.hold == nil || !slices.ContainsFunc(b.concerned(), (*feed).silent)
}

// next is when something has to be done for the backend; zero for never.
func (b *backend) next(now time.Time) time.Time {
	due := earlier(b.shift, b.guard.turnsAt())
	if !b.confirming {
		due = earlier(due, b.guard.confirmAt(now))
	}
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
	targets := b.table.Targets(slots.Scale(b.guard.published))
	b.overrides.reweigh(b.Name, targets, func(slot string) int {
		if w, ok := b.initial[slot]; ok {
			return w
		}
		return b.initial[""]
	})
	return targets
}
