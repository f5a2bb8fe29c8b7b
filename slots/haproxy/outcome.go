package haproxy

import (
	"fmt"

	"github.com/slotsync/slotsync/slots"
)

// refuse fills in the outcome. What was read back decides whether a change succeeded; the
// replies only explain failures. After an error nothing was read back, and only what was
// never sent or clearly refused is known.
func (r *round) refuse(failed bool) {
	find := r.finder()
	for i, ch := range r.changes {
		f := &r.fates[i]
		switch s, ok := find(ch); {
		case f.rejected != nil:
			r.add(slots.Refusal{Change: ch, Cause: slots.OtherCause, Reply: "not sent: " + printable(f.rejected.Error())})
		case failed:
			if f.cause != "" {
				r.add(r.refusal(i, s, ok))
			}
		case ch.Kind == slots.Remove:
			if ok {
				r.add(r.refusal(i, s, ok))
			}
		case !ok || difference(ch, s) != "" || ch.Kind == slots.Shut && f.cause != "":
			r.add(r.refusal(i, s, ok))
		}
	}
	if failed {
		r.outcome.View = slots.View{}
	}
	r.count()
}

func (r *round) add(refusal slots.Refusal) {
	r.outcome.Refusals = append(r.outcome.Refusals, refusal)
}

func (r *round) refusal(i int, s slots.Server, exists bool) slots.Refusal {
	ch, f := r.changes[i], &r.fates[i]
	if f.cause != "" {
		return slots.Refusal{Change: ch, Cause: f.cause, Reply: printable(f.reply)}
	}
	refusal := slots.Refusal{Change: ch, Cause: slots.Unproved, Reply: "reads back with " + difference(ch, s)}
	if !exists {
		refusal.Cause, refusal.Reply = r.missing(ch)
	}
	return refusal
}

// missing says what a slot that is not read back lacks.
func (r *round) missing(ch slots.Change) (slots.Cause, string) {
	if _, ok := r.outcome.View.Servers[ch.Backend]; !ok {
		return slots.NoBackend, "reads back without the backend"
	}
	return slots.NoServer, "reads back without the server"
}

// difference says in which way s is not what ch makes of it; "" if it is.
func difference(ch slots.Change, s slots.Server) string {
	switch {
	case ch.Addr.IsValid() && !sameAddr(s.Addr, ch.Addr):
		return fmt.Sprintf("address %s", s.Addr)
	case ch.Weight != 0 && s.Weight != ch.Weight && !s.AgentOn:
		return fmt.Sprintf("weight %d", s.Weight)
	case ch.SetClass && s.Class != ch.Class:
		return fmt.Sprintf("state %s", s.Class)
	case ch.SetClass && ch.Class == slots.Ready && !s.Addr.IsValid():
		// as the servers of a disabled backend look
		return "no address"
	case ch.Kind == slots.Add && !s.Checked && asks(ch.Options, "check"):
		return "no health checks"
	case ch.Kind == slots.Remove:
		return "the server"
	}
	return ""
}

func (r *round) count() {
	for k := range kind(kinds) {
		for res := range result(results) {
			if n := r.counts[k][res]; n > 0 {
				r.outcome.Commands = append(r.outcome.Commands, slots.Count{Command: k.String(), Result: res.String(), N: n})
			}
		}
	}
}

// denied returns an error if not one change was made because the level of the
// socket is too low.
func (r *round) denied() error {
	asked := 0
	for _, f := range r.fates {
		if f.rejected != nil {
			continue
		}
		if f.cause != slots.Level {
			return nil
		}
		asked++
	}
	if asked == 0 {
		return nil
	}
	return fault(slots.Denied, "%s may not change servers: it needs level admin (`stats socket … level admin`)", r.c.at)
}
