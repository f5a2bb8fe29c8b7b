package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/slots"
)

// Reconfigure goes on with other options. Reconcilers and watches whose key is the
// same go on; so does what was published for a backend whose source changed,
// until the new source has answered, and then the guard and the takeover rule
// apply. What is gone is left as it is, or with opts.DrainRemoved taken out of
// service at each instance that answers within the time for one round; a warning
// names what stays in service. The state directory, the log and the metrics stay
// the ones of [New]. An error changes nothing, except that slots that were being
// emptied may have been out of service for a moment.
func (a *Agent) Reconfigure(ctx context.Context, opts Options) error {
	if err := opts.check(); err != nil {
		return err
	}
	if err := a.askOr(ctx, func(context.Context) error { return a.refuse(opts) }); err != nil {
		return err
	}
	// From here on the loop must not be left half way, whatever comes of ctx.
	whole := context.WithoutCancel(ctx)
	if opts.DrainRemoved {
		defer func() { _ = a.ask(whole, func(context.Context) { a.recommission() }) }()
		if err := a.decommission(ctx, opts); err != nil {
			return err
		}
	}
	return a.askOr(whole, func(loop context.Context) error {
		if err := a.refuse(opts); err != nil {
			return err
		}
		a.change(loop, opts)
		return nil
	})
}

// refuse returns why opts cannot be gone on with: slots that are in use cannot
// be given up for others unseen.
func (c *core) refuse(opts Options) error {
	var errs []error
	for _, next := range opts.Backends {
		b := c.backend(next.Name)
		if b == nil || b.sameSlots(next) {
			continue
		}
		if live := ready(b.views()); len(live) > 0 {
			errs = append(errs, fmt.Errorf("backend %q: the slots cannot be changed from %s/%s to %s/%s while they serve %s",
				b.Name, b.Proxy, b.Prefix, next.Proxy, next.Prefix, strings.Join(live, " ")))
		}
	}
	return errors.Join(errs...)
}

// sameSlots reports whether next has the slots that b has: also if it names the prefix
// that was found, or leaves the one that is in use to be found, where it would be.
func (b *backend) sameSlots(next Backend) bool {
	if b.Proxy != next.Proxy || b.Prefix == next.Prefix {
		return b.Proxy == next.Proxy
	}
	found := false
	for _, in := range b.served {
		switch at := in.at(b.Name); {
		case at.Prefix == "":
		case next.Prefix == at.Prefix, next.Prefix == "" && at.PrefixIsFound:
			found = true
		default:
			return false
		}
	}
	return found
}

// liveAt returns the addresses that are in service in all slots of an instance.
func liveAt(in *instance) []string {
	var views [][]slots.Server
	for _, at := range in.backends {
		views = append(views, at.Own)
	}
	return ready(views)
}

// ready returns the addresses of the slots that are ready, sorted.
func ready(views [][]slots.Server) []string {
	var out []string
	for _, own := range views {
		for _, s := range own {
			if s.Class == slots.Ready {
				out = append(out, s.Addr.String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// change makes opts the ones in force.
func (a *Agent) change(ctx context.Context, opts Options) {
	a.timing = opts.timing()
	before := a.stored
	a.stored = a.snapshot(time.Now())
	a.stored.addFormer(before)
	was := survey(a.backends, opts)
	start := a.changeInstances(opts)
	a.changeBackends(ctx, opts, was)
	a.changeReloads(ctx, opts.Reloads)
	for _, in := range start {
		a.startReconciler(ctx, in)
	}
	a.broadcastAll(time.Now())
	a.opts.Metrics.Track(a.gauges(time.Now()))
	a.dirty, a.slotMap.stale = true, true
}

// standing is what the instances show of a backend before they are changed.
type standing struct {
	slots string   // for people
	live  []string // addresses that are in service
	same  bool     // it goes on with the slots that it has
}

// survey looks at every backend, by its name, before opts are in force.
func survey(backends []*backend, opts Options) map[string]standing {
	out := map[string]standing{}
	for _, b := range backends {
		same := slices.ContainsFunc(opts.Backends, func(n Backend) bool { return n.Name == b.Name && b.sameSlots(n) })
		out[b.Name] = standing{b.Proxy + "/" + b.prefix(), ready(b.views()), same}
	}
	return out
}

// changeInstances returns those that need a reconciler.
func (a *Agent) changeInstances(opts Options) (start []*instance) {
	next, kept := opts.Instances, []*instance(nil)
	for i, from := range pairInstances(a.instances, next) {
		n := next[i]
		in := a.instance(n.Name)
		if in == nil || in.Key != n.Key {
			var before *instance
			var known storedInstance
			if from >= 0 { // what it is now, and not what was at the socket once
				before = a.instances[from]
				known = a.stored.instance(before.Name)
			} else {
				known = a.stored.known(n, next, true)
			}
			in = a.newInstance(n, known, opts.Backends)
			for _, at := range in.backends {
				at.corrected = before == nil // what is there by now, somebody may have put there
			}
			if socket := n.socket(); before != nil && (a.writers[socket] == nil || a.writers[socket].Ended()) {
				a.writers[socket] = before.reconciler // of the same HAProxy at another socket
			}
			start = append(start, in)
		}
		kept = append(kept, in)
	}
	for _, in := range a.instances {
		if slices.Contains(kept, in) {
			continue
		}
		in.cancel()
		switch name := nameIn(next, in, a.instances); name {
		case in.Name:
		case "":
			live := liveAt(in)
			a.record(happening{level: slog.LevelWarn, line: "instance is no longer configured; " + left("its slots", "", opts.DrainRemoved, live),
				attrs: []any{"in_service", strings.Join(live, " ")}, event: api.Event{Kind: api.EventNote, Instance: in.Name}})
		default:
			a.record(happening{level: slog.LevelInfo, line: "instance has another name now", attrs: []any{"name", name},
				event: api.Event{Kind: api.EventNote, Instance: in.Name}})
		}
	}
	a.instances = kept
	for _, b := range a.backends {
		b.served = a.of(b)
	}
	maps.DeleteFunc(a.writers, func(socket string, r *reconciler.Reconciler) bool {
		return r.Ended() && !slices.ContainsFunc(next, isAt(socket))
	})
	return start
}

// pairInstances returns for each of next the index of the instance that it goes on from, -1 for none:
// the one with its socket, whatever that is called so far, else the one with its name.
func pairInstances(before []*instance, next []Instance) []int {
	return pair(before, next,
		func(in *instance, n Instance) bool { return in.socket() == n.socket() },
		func(in *instance, n Instance) bool { return in.Name == n.Name },
	)
}

// isAt reports of an instance whether it is reached at a socket.
func isAt(socket string) func(Instance) bool {
	return func(in Instance) bool { return in.socket() == socket }
}

// nameIn is the name of the one of next that goes on from in, one of before; "" if none does.
func nameIn(next []Instance, in *instance, before []*instance) string {
	for i, from := range pairInstances(before, next) {
		if from >= 0 && before[from] == in {
			return next[i].Name
		}
	}
	return ""
}

// left says what became of slots that are given up, some of which are live.
func left(slots, before string, drained bool, live []string) string {
	switch {
	case !drained:
		return slots + before + " stay as they are"
	case len(live) == 0:
		return slots + before + " were taken out of service first"
	}
	return "not all of " + slots + before + " could be taken out of service first"
}

func (a *Agent) changeBackends(ctx context.Context, opts Options, was map[string]standing) {
	next, kept := opts.Backends, []*backend(nil)
	for _, n := range next {
		b := a.backend(n.Name)
		if !was[n.Name].same {
			b = a.newBackend(n, time.Now())
			for _, in := range a.instances {
				delete(in.backends, b.Name)
				delete(in.had, b.Name)
			}
			for _, f := range b.feeds {
				a.startWatch(ctx, b, f)
			}
		} else {
			a.changeBackend(ctx, b, n)
		}
		kept = append(kept, b)
	}
	for _, b := range a.backends {
		if slices.Contains(kept, b) {
			continue
		}
		for _, f := range b.feeds {
			f.cancel()
		}
		slotsOf, live := was[b.Name].slots, was[b.Name].live
		said := "backend is no longer configured; " + left("its slots", "", opts.DrainRemoved, live)
		if slices.ContainsFunc(next, func(n Backend) bool { return n.Name == b.Name }) {
			said = "backend has other slots now; " + left("those", " from before", false, live)
		}
		a.record(happening{level: slog.LevelWarn, line: said, attrs: []any{"slots", slotsOf, "in_service", strings.Join(live, " ")},
			event: api.Event{Kind: api.EventNote, Backend: b.Name}})
	}
	a.backends = kept
	for _, in := range a.instances {
		maps.DeleteFunc(in.had, func(name string, _ int) bool { return a.backend(name) == nil })
	}
	for _, b := range kept {
		for _, in := range a.instances {
			if !slices.Contains(b.served, in) {
				delete(in.backends, b.Name) // what it has by the time that it serves it again is looked for anew
			}
		}
	}
}

// changeBackend goes on with b under other rules, or with other feeds.
func (a *Agent) changeBackend(ctx context.Context, b *backend, next Backend) {
	before := b.feeds
	if next.Failover.Primary != b.Failover.Primary {
		b.at = sources.Position{} // it is of the feeds that stood in for another one
	}
	b.setRules(withDefaults(next), time.Now())
	b.served, b.due = a.of(b), true
	b.feeds = nil
	kept := make([]bool, len(before))
	for i, k := range pairFeeds(feedsOf(before), b.Backend.Feeds) {
		f := newFeed(b.Backend.Feeds[i], b.Policy)
		if k >= 0 && before[k].Key == f.Key && before[k].Identity == f.Identity {
			kept[k] = true
			f.Source = before[k].Source
			before[k].Feed = f.Feed
			b.feeds = append(b.feeds, before[k])
			continue
		}
		if k >= 0 {
			f.inheritFrom(before[k], time.Now())
		}
		b.feeds = append(b.feeds, f)
		a.startWatch(ctx, b, f)
	}
	for k, f := range before {
		if kept[k] {
			continue
		}
		f.cancel()
		if len(before) > len(b.feeds) { // nobody goes on from it
			b.searchAgain()
		}
	}
	a.reevaluate(b, nil, time.Now(), time.Now())
}

func feedsOf(feeds []*feed) []Feed {
	out := make([]Feed, len(feeds))
	for i, f := range feeds {
		out[i] = f.Feed
	}
	return out
}
