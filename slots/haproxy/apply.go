package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// Apply makes the changes, in their order, in the process that was seen, and
// reads back what became of them. A slot appears in one change at most, and one
// that gets an address was shown in maintenance. A server that is to be removed
// was Dynamic there, and in maintenance too.
//
// First all addresses are set and servers added; an address counts only when it reads back, since
// from HAProxy 2.9 on the reply means no more than "queued". Then the slots
// whose address is proved get their weight and state, and added ones the checks
// that their options ask for; removals come last. Sessions that are ended are gone a
// little after. What does not read back
// as it should is a [slots.Refusal], never an error; errors are about the
// instance, and leave the changes that were made.
//
// If another process answers than the one that was seen, or an old worker,
// Apply stops at once with [slots.Restarted]. If somebody else has the lock meanwhile
// (see [Client.Guard]), nothing is sent, and the error is [slots.Denied]. If every command was refused for
// want of a level, the error is [slots.Denied], besides the refusals. Each line
// of commands has the client's timeout.
func (c *Client) Apply(ctx context.Context, seen slots.Process, changes []slots.Change) (slots.Outcome, error) {
	r := newRound(c, seen, changes)
	r.admit()
	err := c.holds(seen)
	if err == nil {
		err = r.run(ctx)
	}
	r.refuse(err != nil)
	if err == nil {
		err = r.denied()
	}
	return r.outcome, err
}

// A step is one command for one change.
type step struct {
	kind   kind
	change int
	class  slots.Class // of a state command
	check  string      // "health" or "agent": it is enabled; "": the server is added
}

// A changeState is what is known of one change.
type changeState struct {
	rejected error // it was never sent
	proved   bool  // the address reads back
	// Of the first reply that was a refusal; "": there was none.
	cause slots.Cause
	reply string
}

// A round is one call of Apply.
type round struct {
	c        *Client
	seen     slots.Process
	queues   bool // addresses are applied after the reply
	changes  []slots.Change
	fates    []changeState
	backends []string // that are touched, in the order of the changes
	wrote    bool     // something was sent that changes something
	counts   [kinds][results]int
	outcome  slots.Outcome
}

func newRound(c *Client, seen slots.Process, changes []slots.Change) *round {
	return &round{
		c: c, seen: seen, queues: queues(seen.Version),
		changes: changes, fates: make([]changeState, len(changes)),
		outcome: slots.Outcome{View: slots.View{Process: seen, Servers: make(map[string][]slots.Server)}},
	}
}

// admit decides which changes may be sent at all.
func (r *round) admit() {
	type slot struct{ backend, name string }
	taken := make(map[slot]bool, len(r.changes))
	for i, ch := range r.changes {
		key := slot{ch.Backend, ch.Slot}
		err := admissible(ch)
		if err == nil && taken[key] {
			err = errors.New("a second change of the same slot")
		}
		r.fates[i].rejected = err
		// one of which nothing is sent is read back nevertheless
		if slots.CheckName(ch.Backend) == nil && !slices.Contains(r.backends, ch.Backend) {
			r.backends = append(r.backends, ch.Backend)
		}
		taken[key] = taken[key] || err == nil
	}
}

func admissible(ch slots.Change) error {
	if err := errors.Join(slots.CheckName(ch.Backend), slots.CheckName(ch.Slot)); err != nil {
		return err
	}
	if err := admissibleChange(ch); err != nil {
		return err
	}
	addr := ch.From.Addr
	if ch.Addr.IsValid() {
		if ch.From.Class != slots.Maint {
			return fmt.Errorf("the slot is %s: only one in maint gets an address", ch.From.Class)
		}
		addr = ch.Addr
		if err := checkAddr(addr); err != nil {
			return err
		}
	}
	if err := checkWeight(ch.Weight); err != nil {
		return err
	}
	if ch.SetClass && ch.Class > slots.Ready {
		return fmt.Errorf("no state %s", ch.Class)
	}
	if ch.SetClass && ch.Class == slots.Ready && checkAddr(addr) != nil {
		return errors.New("the slot has no address to send traffic to")
	}
	return nil
}

// run goes through the stages. Each leaves every slot in a safe state.
func (r *round) run(ctx context.Context) error {
	if len(r.backends) == 0 {
		return nil
	}
	if len(r.unproved()) == 0 {
		return r.send(ctx, r.finalSteps(), r.backends, false)
	}
	if err := r.refuseDisabled(ctx); err != nil {
		return err
	}
	if err := r.address(ctx); err != nil {
		return err
	}
	// what is filled gets its traffic before it is read back
	if err := r.send(ctx, r.finalSteps(), nil, true); err != nil {
		return err
	}
	return r.send(ctx, nil, r.backends, false)
}

// address sets the addresses and proves them. Those that do not read back are
// set a second time, and only those.
func (r *round) address(ctx context.Context) error {
	for range 2 {
		steps := r.unproved()
		if len(steps) == 0 {
			return nil
		}
		if err := r.send(ctx, steps, r.backendsOf(steps), true); err != nil {
			return err
		}
		if err := r.awaitAddresses(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rereadAfter is how long to wait before each reading of an address that HAProxy has
// queued: it takes 0.15 ms as a rule, and 23 ms at worst on a busy machine.
var rereadAfter = [...]time.Duration{
	0, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond,
}

// awaitAddresses reads until every address that HAProxy accepted is there, or for a
// quarter of a second. The answer has shown them already where nothing is
// queued, and mostly elsewhere too.
func (r *round) awaitAddresses(ctx context.Context) error {
	if r.prove(); !r.queues {
		return nil
	}
	for _, pause := range rereadAfter {
		if len(r.unproved()) == 0 {
			return nil
		}
		if discovery.Sleep(ctx, pause); ctx.Err() != nil {
			return fault(slots.Hung, "%s: %w", r.c.at, ctx.Err())
		}
		if err := r.send(ctx, nil, r.backendsOf(r.unproved()), true); err != nil {
			return err
		}
		r.prove()
	}
	return nil
}

// unproved lists the addresses that are still to be seen.
func (r *round) unproved() []step {
	var steps []step
	for i, ch := range r.changes {
		if f := &r.fates[i]; ch.Addr.IsValid() && f.rejected == nil && !f.proved && f.cause == "" {
			k := addrKind
			if ch.Kind == slots.Add {
				k = addKind
			}
			steps = append(steps, step{kind: k, change: i})
		}
	}
	return steps
}

// prove notes which addresses the last look showed: one that was there may have been changed by
// somebody since.
func (r *round) prove() {
	find := r.finder()
	for i, ch := range r.changes {
		if f := &r.fates[i]; ch.Addr.IsValid() && f.rejected == nil {
			s, ok := find(ch)
			f.proved = ok && sameAddr(s.Addr, ch.Addr)
		}
	}
}

func sameAddr(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}

// finalSteps lists weight and state of every slot whose address is as it should
// be. Up to 2.8 an address that a server cannot take makes it ready without
// one; such a server goes back to maintenance. Deletions come last: up to 2.8
// their answers have no end that tells them from an empty one.
func (r *round) finalSteps() []step {
	steps := make([]step, 0, 2*len(r.changes))
	var last []step
	find := r.finder()
	for i, ch := range r.changes {
		f := &r.fates[i]
		switch {
		case f.rejected != nil:
		case ch.Addr.IsValid() && !f.proved:
			if s, ok := find(ch); ok && s.Class != slots.Maint && !s.Addr.IsValid() {
				steps = append(steps, step{kind: stateKind, change: i, class: slots.Maint})
			}
		case ch.Kind == slots.Remove:
			last = append(last, step{kind: delKind, change: i})
		case ch.Kind == slots.Shut:
			steps = append(steps, step{kind: shutKind, change: i})
		default:
			steps = r.appendFinal(steps, i)
		}
	}
	return append(steps, last...)
}

// appendFinal appends what comes after the address of change i. The checks of a
// server that was added are enabled here: health checks before it is ready, so
// that it starts up, and the agent's after, since it would be down otherwise
// until its agent has answered. Of a slot with an agent-check that is disabled before
// the slot leaves its traffic, and enabled before it gets it.
func (r *round) appendFinal(steps []step, i int) []step {
	ch := r.changes[i]
	added := ch.Kind == slots.Add
	if added && asks(ch.Options, "check") {
		steps = append(steps, step{kind: addKind, change: i, check: "health"})
	}
	if !added && ch.Weight != 0 {
		steps = append(steps, step{kind: weightKind, change: i})
	}
	if ch.SetClass {
		if ch.From.Agent { // which would bring back who left
			steps = append(steps, step{kind: agentKind, change: i, class: ch.Class})
		}
		steps = append(steps, step{kind: stateKind, change: i, class: ch.Class})
	}
	if added && asks(ch.Options, "agent-check") {
		steps = append(steps, step{kind: addKind, change: i, check: "agent"})
	}
	return steps
}
