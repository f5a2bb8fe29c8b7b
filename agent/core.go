package agent

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

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

// of returns the instances that serve b, in configured order: for [backend.served], whenever
// either has changed.
func (c *core) of(b *backend) []*instance {
	var out []*instance
	for _, in := range c.instances {
		if len(b.Instances) == 0 || slices.Contains(b.Instances, in.Name) {
			out = append(out, in)
		}
	}
	return out
}

// decidable reports whether there are an answer and slots to decide b about.
func (c *core) decidable(b *backend) bool {
	return b.phase != phaseWaiting && c.barrierOpen && len(b.views()) > 0
}

// recompute decides anew which endpoint is in which slot of b, which is [core.decidable], and
// reports whether that has to be published: not more often than the pace allows.
func (b *backend) recompute(now time.Time) bool {
	if b.due && !b.pace.AllowN(now, 1) {
		return false
	}
	if b.snapshotStale {
		b.expireSnapshot(b.live(), now)
	}
	b.weights = b.templateWeights()
	fresh, misfit := b.due || b.gen == 0, b.misfit
	if b.placement.Adopted() {
		b.placement.Observe(b.views(), now)
	} else {
		b.placement.Adopt(b.viewsToAdopt(), b.wanted(), now)
	}
	var changed bool
	b.unmanaged, changed = b.findUnmanaged()
	b.noteTakeover()
	b.misfit = b.misfits()
	b.placement.Reserve(b.reserved())
	b.allocateSlots(now)
	b.dropReused()
	b.due = false
	return fresh || misfit != b.misfit || !slices.Equal(b.sent, b.targets()) || changed
}

// templateWeights returns the weights that the slots of b have in the configuration, if any
// override may ask for a share of them.
func (b *backend) templateWeights() placement.Weights {
	if len(b.overrides) == 0 {
		return nil
	}
	return placement.TemplateWeights(b.views())
}

// allocateSlots gives every endpoint a slot, as far as slots can be had without a
// reload: free ones, then those of endpoints that are leaving and have no
// sessions any more, those of kept ones that are down, added ones, those
// of kept ones that are up, and at last those of some that are on their way out besides what
// comes in their place. A kept endpoint that lost its slot gets a free or an added one.
func (b *backend) allocateSlots(now time.Time) {
	most := 0 // slots, of which some may be added
	if dynamic := b.Dynamic && !b.addUnsupported(); dynamic {
		most = b.MaxSlots
	} else {
		b.placement.DropGhosts(b.views())
	}
	b.assign(now)
	if b.placement.Short() && len(b.kept) > 0 && b.placement.Yield(b.keptSince, placement.Down(b.views())) {
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
func (b *backend) addUnsupported() bool {
	return !slices.ContainsFunc(b.served, func(in *instance) bool { return in.at(b.Name).AddUnsupported == "" })
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
	for _, in := range b.served {
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
		if !slices.Contains(b.served, in) {
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
			if s.OperatedOnly = adopted; adopted {
				s.Targets = placement.OnlyOperated(s.Targets, at.Own, b.operated, b.started)
			}
			if c.givesUp(c.next, b.Name, in) {
				s.Targets = placement.Emptied(s.Targets)
			}
		}
		out.Backends[b.Name] = s
	}
	return out
}

// noBackend says that no backend has this name, and which may be meant.
func (c *core) noBackend(name string) error {
	var names []string
	for _, b := range c.backends {
		names = append(names, b.Name)
	}
	return fmt.Errorf("%w: %q%s", api.ErrNoBackend, discovery.Printable(name, 60), discovery.DidYouMean(name, names))
}

// inSync reports whether in is as the table wants it, and can be. Nothing is wanted before
// the barrier opens.
func (c *core) inSync(in *instance) bool { return c.barrierOpen && in.inSync() && !c.unfilled(in) }

// unfilled reports whether in lacks a backend or its slots, of which any endpoint is
// wanted or may be, or has slots that cannot be used while endpoints have none.
func (c *core) unfilled(in *instance) bool {
	return slices.ContainsFunc(c.backends, func(b *backend) bool {
		r := in.at(b.Name)
		switch {
		case !slices.Contains(b.served, in):
			return false
		case len(r.Usable) < len(r.Own):
			return b.placement.Short() || r.Overflow > 0
		}
		return (r.Missing || r.Problem != "") && (!b.answered || len(b.wanted()) > 0)
	})
}
