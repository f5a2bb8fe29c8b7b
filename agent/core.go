package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/slots"
)

// instance is what the loop knows about one HAProxy.
type instance struct {
	Instance
	last reconciler.Report // but for its backends
	// met: it answered at least once, and its slots are known. continued: that process
	// had answered when the state was stored.
	met, continued bool
	// failedAt is when it stopped to answer, if it does not.
	failedAt time.Time
	// backends is what is known of its backends, by our name; see [instance.at].
	backends map[string]*backendAt
	// pending are the generations that were sent and not read back, oldest
	// first.
	pending  []pendingGeneration
	applied  uint64
	restarts int
	// commandLog has the last commands to its slots.
	commandLog commandLog
	// inStep is whether it was in step when that was recorded last, behind for how many
	// ticks in a row it has not been.
	inStep bool
	behind int
	// reconciler writes to it; cancel ends that. outdated: it has to be set anew.
	reconciler *reconciler.Reconciler
	cancel     context.CancelFunc
	outdated   bool
}

// A backendAt is what the loop knows about one backend at one instance.
type backendAt struct {
	// BackendReport is what was reported last, or before that what was stored; known says
	// that there is either.
	reconciler.BackendReport
	known bool
	// seenOnce: its slots were seen. full: some of them were ready then.
	seenOnce, full bool
	// unmanaged are the live addresses, by slot, that no source has ever listed: they are
	// left alone until somebody accepts that they go. searched: they were looked for.
	unmanaged placement.Unmanaged
	searched  bool
	// unmanagedThen are those of when the state was stored. corrected: what somebody took since
	// then in the same process was left out of unmanaged; later searches keep what they find.
	unmanagedThen placement.Unmanaged
	corrected     bool
	// had is how many slots its configuration had when it showed some last, which may have been
	// to an earlier process of slotsync; 0: it never did.
	had int
}

// at returns what is known of a backend there, which may be nothing.
func (in *instance) at(backend string) *backendAt {
	at := in.backends[backend]
	if at == nil {
		at = &backendAt{}
		in.backends[backend] = at
	}
	return at
}

// A pendingGeneration is when a generation of a backend was made, and when its source answered.
type pendingGeneration struct {
	backend  string
	gen      uint64
	at, news time.Time
}

// maxPending bounds the pending generations of an instance that is away: the oldest and the
// newest are kept.
const maxPending = 64

// core is what the agent knows and decides. It starts nothing and waits for nothing; the time
// is a parameter.
type core struct {
	gen       uint64
	timing    reconciler.Timing
	backends  []*backend
	instances []*instance
	// barrierOpen: enough instances answered, or enough time has passed, to decide
	// which slot holds what.
	barrierOpen bool
	// overrides and pauses are what operators asked for.
	overrides   override.Set
	pauses      override.Pauses
	operatorsAt time.Time // when either last changed
	// storeBy is when the state must say that slots were emptied; zero where it does.
	storeBy time.Time
	// next is what comes after, while slots that it does not serve are emptied;
	// nil at all other times.
	next *Options
}

func (c *core) backend(name string) *backend {
	return first(c.backends, func(b *backend) bool { return b.Name == name })
}

func (c *core) instance(name string) *instance {
	return first(c.instances, func(in *instance) bool { return in.Name == name })
}

// first returns the first of list that is what is looked for, else the zero value.
func first[T any](list []T, is func(T) bool) (none T) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return none
}

// of returns the instances that serve b, in configured order.
func (c *core) of(b *backend) []*instance {
	var out []*instance
	for _, in := range c.instances {
		if len(b.Instances) == 0 || slices.Contains(b.Instances, in.Name) {
			out = append(out, in)
		}
	}
	return out
}

// views returns the slots of b that can be filled, at every instance that has shown them.
func (c *core) views(b *backend) [][]slots.Server {
	var out [][]slots.Server
	for _, in := range c.of(b) {
		if at := in.at(b.Name); at.Own != nil && at.Problem == "" {
			out = append(out, at.Usable)
		}
	}
	return out
}

// decidable reports whether there are an answer and slots to decide b about.
func (c *core) decidable(b *backend) bool {
	return b.phase != phaseWaiting && c.barrierOpen && len(c.views(b)) > 0
}

// recompute decides anew which endpoint is in which slot of b, and reports whether that has to
// be published. It does nothing before there are an answer and slots to decide about, and not
// more often than the pace allows.
func (c *core) recompute(b *backend, now time.Time) bool {
	if !c.decidable(b) {
		return false
	}
	if b.due && !b.pace.AllowN(now, 1) {
		return false
	}
	if b.snapshotStale {
		b.expireSnapshot(c.live(b), now)
	}
	b.weights = c.templateWeights(b)
	fresh, misfit := b.due || b.gen == 0, b.misfit
	if b.placement.Adopted() {
		b.placement.Observe(c.views(b), now)
	} else {
		b.placement.Adopt(c.viewsToAdopt(b), b.wanted(), now)
	}
	var changed bool
	b.unmanaged, changed = c.findUnmanaged(b)
	c.noteTakeover(b)
	b.misfit = c.misfits(b)
	b.placement.Reserve(b.reserved(c.of(b)))
	c.allocateSlots(b, now)
	c.dropReused(b)
	b.due = false
	return fresh || misfit != b.misfit || !slices.Equal(b.sent, b.targets()) || changed
}

// templateWeights returns the weights that the slots of b have in the configuration, if any
// override may ask for a share of them.
func (c *core) templateWeights(b *backend) placement.Weights {
	if len(b.overrides) == 0 {
		return nil
	}
	return placement.TemplateWeights(c.views(b))
}

// allocateSlots gives every endpoint a slot, as far as slots can be had without a
// reload: free ones, then those of endpoints that are leaving and have no
// sessions any more, those of kept ones that are down, added ones, those
// of kept ones that are up, and at last those of some that are on their way out besides what
// comes in their place. A kept endpoint that lost its slot gets a free or an added one.
func (c *core) allocateSlots(b *backend, now time.Time) {
	most := 0 // slots, of which some may be added
	if dynamic := b.Dynamic && !c.addUnsupported(b); dynamic {
		most = b.MaxSlots
	} else {
		b.placement.DropGhosts(c.views(b))
	}
	b.assign(now)
	if b.placement.Short() && len(b.kept) > 0 && b.placement.Yield(b.keptSince, placement.Down(c.views(b))) {
		b.assign(now)
	}
	b.placement.Grow(most)
	if b.placement.Short() && len(b.kept) > 0 && b.placement.Yield(b.keptSince, nil) {
		b.assign(now)
	}
	for b.placement.Short() && b.giveWay(now) {
		b.assign(now)
	}
	if b.placement.TakeBack(b.keptSince, most) {
		b.assign(now)
	}
	b.placement.GrowKept(most)
	b.placement.Settle(now)
}

// assign gives free slots, and those of endpoints that drain without sessions, to
// endpoints that have none.
func (b *backend) assign(now time.Time) {
	b.placement.Assign(b.wanted(), now)
	if b.placement.Short() && len(b.leaving) > 0 {
		b.placement.Reclaim(b.removed())
		b.dropReclaimed()
	}
	if len(b.kept) > 0 {
		b.placement.DropKept(b.keptSince)
	}
}

// addUnsupported reports whether no instance takes dynamic servers in b.
func (c *core) addUnsupported(b *backend) bool {
	return !slices.ContainsFunc(c.of(b), func(in *instance) bool { return in.at(b.Name).AddUnsupported == "" })
}

// publish makes a new generation of b, for news that came then; zero for none.
// The instances get it with the next [core.broadcast].
func (c *core) publish(b *backend, news, now time.Time) {
	c.gen++
	before := b.sent
	b.gen, b.sent = c.gen, b.targets()
	if slots.TakesOut(before, b.sent) {
		c.storeSoon(now)
	}
	for _, in := range c.of(b) {
		in.pending = append(in.pending, pendingGeneration{b.Name, c.gen, now, news})
		if len(in.pending) > maxPending {
			in.pending = slices.Delete(in.pending, 1, 2)
		}
		in.outdated = true
	}
}

// storeSoon has the state stored in a moment, and not within a second like anything else: after a
// kill, a slot that was emptied would be taken for somebody else's doing.
func (c *core) storeSoon(now time.Time) {
	c.storeBy = reconciler.Earlier(c.storeBy, now.Add(storeDelay))
}

// broadcast gives each outdated instance its complete spec once, whatever was published since.
func (c *core) broadcast(now time.Time) {
	for _, in := range c.instances {
		if in.outdated {
			in.outdated = false
			in.reconciler.Set(c.spec(in, now))
		}
	}
}

// broadcastAll is [core.broadcast] for every instance, whether anything was published or not.
func (c *core) broadcastAll(now time.Time) {
	for _, in := range c.instances {
		in.outdated = true
	}
	c.broadcast(now)
}

// spec returns everything that in should be.
func (c *core) spec(in *instance, now time.Time) reconciler.Spec {
	out := reconciler.Spec{Generation: c.gen, Timing: c.timing, Backends: map[string]reconciler.BackendSpec{}}
	for _, b := range c.backends {
		if !slices.Contains(c.of(b), in) {
			continue
		}
		s := reconciler.BackendSpec{
			Generation: b.gen, Proxy: b.Proxy, Prefix: b.Prefix, Resumed: b.resumed, Repair: b.RepairExternal, Dynamic: b.Dynamic, DynamicOptions: b.DynamicOptions,
			Watched: b.watchesNewcomers(now), Started: maps.Clone(b.started), SessionEnds: b.ending(),
		}
		if p := c.pauses.Of(b.Name, now); p != nil {
			s.Paused, s.Strict = true, p.Hard
		}
		// Before its slots were seen and searched, nobody knows which of them to leave alone.
		at := in.at(b.Name)
		adopted := b.phase == phaseRestored && at.full // what is in service stays as it is
		if s.ObserveOnly = b.gen == 0 || !at.seenOnce || b.answered && !at.searched || b.misfit || adopted && len(b.operated)+len(b.started) == 0; !s.ObserveOnly {
			s.Targets = b.sent
			if len(b.unmanaged) > 0 || len(at.unmanaged) > 0 || len(b.expired) > 0 {
				s.Targets = placement.Around(s.Targets, b.leftAlone(at), at.searched)
			}
			if adopted {
				s.Targets = placement.OnlyOperated(s.Targets, at.Own, b.operated, b.started)
			}
			if c.next != nil && !c.next.serves(b.Name, in.Name) {
				s.Targets = placement.Emptied(s.Targets)
			}
		}
		out.Backends[b.Name] = s
	}
	return out
}
