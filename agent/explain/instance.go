package explain

import (
	"cmp"
	"fmt"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// An Instance is an [api.InstanceExplanation] that is being put into words.
type Instance api.InstanceExplanation

// Serves reports whether the slot has the address and takes traffic.
func (i *Instance) Serves(address string) bool {
	return !i.Lacking && i.Address == address && i.State == slots.Ready && i.Check != "down"
}

// Reason says what keeps a slot from being what is wanted of it; "" if nothing does.
// want is what the address should be there, nil if it is not wanted.
//
//	the first that fits
//	the instance does not answer
//	it lacks the backend, or the slot
//	somebody else took the slot out, or had it before
//	HAProxy refuses
//	it is as wanted, and the check fails
//	writing is paused
//	sessions have to end
//	it is not written yet
func (i *Instance) Reason(address string, want *discovery.Endpoint, now time.Time) string {
	switch {
	case !i.Up:
		return i.unreachable(now)
	case i.Problem != "":
		return i.Problem
	case i.Lacking:
		return "it has no slot " + i.Slot
	case i.HeldBy == "external":
		when := ""
		if !i.HeldSince.IsZero() {
			when = ago(now, i.HeldSince) + " ago, "
		}
		return fmt.Sprintf("%ssomebody set it to %s; setting it ready, or slotsync server start, ends that", when, i.State)
	case i.HeldBy == api.HoldTakeover:
		return fmt.Sprintf("the slot holds %s, which no source has ever listed", i.Address)
	case i.LastReply != "":
		return "HAProxy refuses: " + i.LastReply
	case i.as(address, want):
		if want != nil && want.State == discovery.Ready && i.Check == "down" {
			return "HAProxy's check fails there"
		}
		return ""
	case i.PausedUntil.After(now) && i.PausedBy != "":
		return fmt.Sprintf("writing is paused for another %s by %s", ago(i.PausedUntil, now), i.PausedBy)
	case i.PausedUntil.After(now):
		return fmt.Sprintf("somebody else keeps changing its slots: nothing is written for another %s", ago(i.PausedUntil, now))
	case i.Waiting && i.Sessions != 0:
		return "the slot waits for the sessions of " + cmp.Or(i.Address, "its last address") + " to end"
	}
	return fmt.Sprintf("it is still %s at %s", i.State, cmp.Or(i.Address, "no address"))
}

// as reports whether the slot is what is wanted.
func (i *Instance) as(address string, want *discovery.Endpoint) bool {
	switch {
	case want == nil:
		return i.Address != address || i.State == slots.Maint
	case want.State == discovery.Down:
		return i.State == slots.Maint
	case want.State == discovery.Drain:
		return i.Address == address && i.State == slots.Drain
	}
	return i.Address == address && i.State == slots.Ready
}

// unreachable says what is known of an instance that does not answer.
func (i *Instance) unreachable(now time.Time) string {
	words := "it does not answer"
	if i.Error != "" {
		words += " (" + i.Error + ")"
	}
	if i.Seen.IsZero() {
		return words
	}
	return words + fmt.Sprintf("; %s ago it was %s at %s", ago(now, i.Seen), i.State, cmp.Or(i.Address, "no address"))
}
