package agent

import (
	"context"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/placement"
)

// decommissionPace is how often it is looked whether slots that are given up are out
// of service.
const decommissionPace = 20 * time.Millisecond

// givesUp reports whether next, if there is one, does not serve the backend of this name on the
// instance, whatever that is called then.
func (c *core) givesUp(next *Options, backend string, in *instance) bool {
	if next == nil {
		return false
	}
	called := nameIn(next.Instances, in, c.instances)
	return called == "" || !slices.ContainsFunc(next.Backends, func(b Backend) bool {
		return b.Name == backend && (len(b.Instances) == 0 || slices.Contains(b.Instances, called))
	})
}

// decommission takes out of service what next does not serve any more. It returns
// when that was read back from every instance that answers, or after the time
// for one round: what is left by then stays.
func (a *Agent) decommission(ctx context.Context, next Options) error {
	var limit time.Duration
	if err := a.ask(ctx, func(context.Context) {
		a.next = &next
		for _, b := range a.decommissioned(a.next) {
			a.publish(b, time.Time{}, time.Now())
			a.storeSoon(time.Now())
		}
		limit = a.timing.Timeout
	}); err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(decommissionPace)
	defer ticker.Stop()
	for {
		busy := false
		err := a.ask(brief, func(context.Context) { busy = a.decommissioning() })
		switch {
		case brief.Err() != nil:
			return ctx.Err()
		case err != nil || !busy:
			return err
		}
		select {
		case <-brief.Done():
		case <-ticker.C:
		}
	}
}

// recommission goes on with what was to be given up and was not.
func (a *Agent) recommission() {
	next := a.next
	a.next = nil
	for _, b := range a.decommissioned(next) {
		a.publish(b, time.Time{}, time.Now())
	}
}

// decommissioned returns the backends that have slots at an instance where next, if
// there is one, does not serve them. Slots that nothing was decided about yet
// are nobody's to empty.
func (c *core) decommissioned(next *Options) []*backend {
	var out []*backend
	for _, b := range c.backends {
		if b.gen > 0 && slices.ContainsFunc(b.served, func(in *instance) bool { return c.givesUp(next, b.Name, in) }) {
			out = append(out, b)
		}
	}
	return out
}

// decommissioning reports whether a slot that is given up is in service at an instance
// that answers. Unmanaged addresses are not ours to empty.
func (c *core) decommissioning() bool {
	for _, b := range c.decommissioned(c.next) {
		for _, in := range b.served {
			if !c.givesUp(c.next, b.Name, in) || !in.up() {
				continue
			}
			at := in.at(b.Name)
			for slot := range placement.InService(at.Own) {
				if _, unmanaged := at.unmanaged[slot]; !unmanaged {
					return true
				}
			}
		}
	}
	return false
}
