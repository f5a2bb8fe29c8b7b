package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// status is one reload at this moment.
func (r *reloading) status(now time.Time) api.ReloadStatus {
	s := api.ReloadStatus{
		Name: r.Name, Instances: append([]string{}, r.Instances...), Renders: r.Transaction.Renders(),
		OldWorkers: append([]api.OldWorker{}, r.old...), OldWorkersKnown: r.OldWorkers != nil,
		ChangedByHand: r.files.ByHand, Running: r.running,
	}
	inHour, next := r.policy.Budget(now)
	if s.InHour = inHour; next.After(now) {
		s.NextAfter = &next
	}
	if r.last == nil {
		return s
	}
	at := r.lastAt // a status shares nothing that is written to later
	s.Last, s.Reason, s.Version, s.Step = &at, r.last.Reason, r.last.Version, string(r.last.Step)
	if r.lastErr != nil {
		s.Error = r.lastErr.Error()
	}
	return s
}

// needsReload reports whether b lacks slots, on all instances or on some that a
// reload gives more.
func (a *Agent) needsReload(b *backend) bool {
	if b.placement.Short() {
		return true
	}
	for _, r := range a.reloads {
		if _, ok := r.policy.Need(b.Name); ok {
			return true
		}
	}
	return false
}

// raiseSlots is what ends a lack of slots where no reload of slotsync's can.
const raiseSlots = "raise the number in server-template and reload HAProxy, or set reload.template"

// renders reports whether a reload can give b more slots anywhere.
func (a *Agent) renders(b *backend) bool {
	return slices.ContainsFunc(a.reloads, func(r *reloading) bool { return r.Transaction.Renders() && r.serves(b.served) })
}

// reloadNeed says what b lacks that a reload could give; nil if nothing.
func (a *Agent) reloadNeed(b *backend) *api.NeedReload {
	if !a.needsReload(b) {
		return nil
	}
	n := &api.NeedReload{Slots: b.placement.Templated(), Wanted: b.placement.Needed(), Since: b.placement.ShortSince(), Why: raiseSlots}
	for _, r := range a.reloads {
		if !r.serves(b.served) || !r.Transaction.Renders() {
			continue
		}
		need, open := r.policy.Need(b.Name)
		if n.Why = "max_slots is reached"; !open {
			continue
		}
		n.Slots, n.Since = need.Slots, need.Since
		n.Why = "HAProxy is going to be reloaded"
		if !a.up(r) {
			n.Why = "HAProxy is going to be reloaded when " + strings.Join(r.Instances, " and ") + " answer"
		}
		if tried := r.policy.Attempted(b.Name, r.files.Tag); tried != nil {
			n.Latched, n.Why = true, cmp.Or(tried.Why, "a reload has brought no more slots: does the template use them?")
			n.Why += "; it is tried again when the file, the template or the number of slots changes, or by `slotsync haproxy reload`"
		}
		return n
	}
	return n
}

// forecast says how long the free slots last.
func (b *backend) forecast() api.Forecast {
	free, perHour, fullIn := b.placement.Forecast()
	return api.Forecast{Free: free, PerHour: perHour, FullInSeconds: fullIn.Seconds()}
}
