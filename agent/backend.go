package agent

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// Phases of a backend.
const (
	phaseWaiting  = api.PhaseWaiting
	phaseRestored = api.PhaseRestored
	phaseLive     = api.PhaseLive
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
	served         []*instance // those that serve it, in configured order; see [core.of]
	feeds          []*feed     // in the order of the configuration
	at             sources.Position
	nextTransition time.Time // when that becomes another one by itself; zero for never
	guard          *guard.Guard
	// kept are the endpoints that no source lists and none may remove.
	kept map[netip.AddrPort]sources.Kept
	// keptTold are those of kept that were said to be.
	keptTold map[netip.AddrPort]bool
	// shownKept are the addresses that an id of what is kept stood for.
	shownKept map[string][]netip.AddrPort
	// shownTakeover are the addresses that an id of a takeover stood for.
	shownTakeover guard.IDs
	// misfit: the sources may be those of another service; see [placement.IsMisfit].
	misfit bool
	phase  string
	// snapshotStale: what was stored is too old to be filled from.
	snapshotStale bool
	storedAt      time.Time
	// expired are the endpoints that were forgotten for that, until they are listed again or
	// every source has answered: before that nobody knows whether they left.
	expired map[netip.AddrPort]bool
	// leaving are endpoints that drain before they go; see Backend.Leave.
	leaving map[netip.AddrPort]leaving
	// sessionEnds are when the sessions of endpoints that left are to be ended; see
	// Backend.Shutdown. It is kept while a slot has the address.
	sessionEnds map[netip.AddrPort]time.Time
	// placement is which of its endpoints are in which slots.
	placement *placement.Placement
	// unmanaged are the slots that hold an address at some instance that no source has ever
	// listed.
	unmanaged placement.Unmanaged
	// takeoverSize is how many addresses waited to be taken over when that was recorded last.
	takeoverSize int
	// gen is the generation in which the targets last changed. due: they have to be made
	// anew, when the pace allows it.
	gen  uint64
	sent []slots.Target // with gen; never written to
	due  bool
	news time.Time // when a feed said what is due
	pace *rate.Limiter
	// answered: a feed that is in use has answered in this process.
	answered bool
	// confirming: a confirmation is under way.
	confirming bool
	// overrides are what operators want of it.
	overrides override.Set
	// added are the endpoints that operators added and do not want any more, with
	// since when: they may be removed wherever they are found.
	added map[netip.AddrPort]time.Time
	// started is when operators gave back endpoints whose slots somebody else had taken.
	started map[netip.AddrPort]time.Time
	// weights are those of the slots in HAProxy's configuration; see [backend.templateWeights].
	weights placement.Weights
	// operated are the endpoints that an override is or was about while nothing but what
	// was stored is known: their slots alone are written to where others serve already.
	operated map[netip.AddrPort]bool
	// resumed is when an operator ended the conflicts over slots.
	resumed time.Time
}

func newBackend(b Backend) *backend {
	b = withDefaults(b)
	nb := &backend{
		Backend:     b,
		guard:       guard.New(b.Guard),
		placement:   placement.New(),
		shownKept:   map[string][]netip.AddrPort{},
		phase:       phaseWaiting,
		leaving:     map[netip.AddrPort]leaving{},
		sessionEnds: map[netip.AddrPort]time.Time{},
		added:       map[netip.AddrPort]time.Time{},
		started:     map[netip.AddrPort]time.Time{},
		pace:        rate.NewLimiter(roundRate, roundBurst),
	}
	for _, f := range b.Feeds {
		nb.feeds = append(nb.feeds, newFeed(f, b.Policy))
	}
	return nb
}

func withDefaults(b Backend) Backend {
	b.Guard = b.Guard.WithDefaults()
	b.Failover = b.Failover.WithDefaults()
	b.Drain = cmp.Or(b.Drain, DefaultDrain)
	b.MaxSlots = cmp.Or(b.MaxSlots, DefaultMaxSlots)
	b.Feeds = slices.Clone(b.Feeds)
	for i, f := range b.Feeds {
		b.Feeds[i].Identity = cmp.Or(f.Identity, f.Key)
	}
	return b
}

// unanswered returns the sources that have not answered since the agent started.
func (b *backend) unanswered() (out []string) {
	for _, f := range b.feeds {
		if f.answered.IsZero() {
			out = append(out, f.Source.String())
		}
	}
	return out
}

// mayRemove reports whether a is any feed's to remove.
func (b *backend) mayRemove(a netip.AddrPort) bool {
	return slices.ContainsFunc(b.feeds, func(f *feed) bool { return f.mayRemove(a) })
}

// affected returns the feeds whose word counts for what is held: those in use that once
// listed any of it, or all in use if none did. What a feed lists that stands by is not in
// force.
func (b *backend) affected() []*feed {
	gone := b.guard.WouldRemove()
	inUse := slices.DeleteFunc(slices.Clone(b.feeds), func(f *feed) bool { return !f.used })
	out := slices.DeleteFunc(slices.Clone(inUse), func(f *feed) bool { return !slices.ContainsFunc(gone, f.known.Listed) })
	if len(out) == 0 {
		return inUse
	}
	return out
}

// silent reports whether a feed in use that listed a does not answer now, or not of the part
// that did.
func (b *backend) silent(a netip.AddrPort) bool {
	return slices.ContainsFunc(b.feeds, func(f *feed) bool { return f.used && f.known.Listed(a) && (f.silent() || f.known.Silent(a)) })
}

// next is when something has to be done for the backend; zero for never.
func (b *backend) next(now time.Time) time.Time {
	due := b.nextTransition
	if t, ok := b.guard.Turnover(); ok {
		due = reconciler.Earlier(due, t.EndsAt)
	}
	if !b.confirming {
		due = reconciler.Earlier(due, b.guard.ConfirmAt(now))
	}
	for _, l := range b.leaving {
		due = reconciler.Earlier(due, l.Until)
	}
	return due
}

// targets returns what every slot should be, on all instances.
func (b *backend) targets() []slots.Target {
	targets := b.placement.Table().Targets(slots.Scale(b.guard.Published()))
	b.overrides.Reweigh(b.Name, targets, b.weights.Of)
	return targets
}

// views returns the slots of b that can be filled, at every instance that has shown them.
func (b *backend) views() [][]slots.Server {
	var out [][]slots.Server
	for _, in := range b.served {
		if at := in.at(b.Name); at.Own != nil && at.Problem == "" {
			out = append(out, at.Usable)
		}
	}
	return out
}

// checks reports whether HAProxy checks the slots of b at any instance.
func (b *backend) checks() bool {
	return slices.ContainsFunc(b.views(), func(own []slots.Server) bool {
		return slices.ContainsFunc(own, func(s slots.Server) bool { return s.Checked })
	})
}

// owns reports whether a is a feed's to remove, or an operator's who adds it or did.
func (b *backend) owns(a netip.AddrPort) bool {
	_, added := b.added[a]
	return added || b.mayRemove(a) || b.overrides.Find(b.Name, a, api.OverrideServer) != nil
}

// listedBy names the sources that list an endpoint now, or listed it last and keep it.
func (b *backend) listedBy(addr netip.AddrPort) []string {
	var names []string
	for _, f := range b.feeds {
		if f.known.Has(addr) {
			names = append(names, f.Name)
		}
	}
	return names
}

func (b *backend) feed(name string) *feed {
	return first(b.feeds, func(f *feed) bool { return f.Name == name })
}

// hasConflict reports whether a conflict keeps the agent from writing to a slot of b
// somewhere.
func (b *backend) hasConflict(now time.Time) bool {
	return slices.ContainsFunc(b.served, func(in *instance) bool {
		for _, until := range in.at(b.Name).Conflicts {
			if until.After(now) {
				return true
			}
		}
		return false
	})
}

// searchAgain has unmanaged addresses looked for again: what may be removed has changed.
func (b *backend) searchAgain() {
	for _, in := range b.served {
		in.at(b.Name).searched = false
	}
}
