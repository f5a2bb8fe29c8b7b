package reconciler

import (
	"context"
	"slices"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file looks ahead, in place of Run.

// Read reads the instance and reports it, without writing anything.
func (r *Reconciler) Read(ctx context.Context) {
	r.takeWaiting()
	brief, cancel := context.WithTimeout(ctx, r.spec.Timing.Timeout)
	defer cancel()
	report := Report{Compared: true, At: time.Now()}
	report.Err = r.read(brief, r.names(), true, &report)
	r.send(report)
}

// A Planned is a change that a round would make, or that waits for the end of sessions.
type Planned struct {
	Backend string // our name
	Change  slots.Change
	Target  slots.Target // what the slot is to be
	Waiting bool
}

// Preview returns what a round would do, after Read.
func (r *Reconciler) Preview() []Planned {
	r.takeWaiting()
	var out []Planned
	for _, name := range r.names() {
		b := r.backends[name]
		if b.idle() || b.own == nil {
			continue
		}
		r.judge(name)
		wanted := map[int]slots.Target{}
		for _, t := range b.effective() {
			wanted[t.Number] = t
		}
		plan := b.plan()
		for i, c := range slices.Concat(plan.Changes, plan.Waiting) {
			out = append(out, Planned{name, c, wanted[c.Number], i >= len(plan.Changes)})
		}
	}
	return out
}
