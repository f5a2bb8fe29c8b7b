package api

import (
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// An Explanation says why a backend, or an address in it, is as it is: what was
// asked and what came back, what is held and why, and what HAProxy was told. It is
// the answer of GET /v1/backends/{backend}/explain/{address}.
type Explanation struct {
	Schema int       `json:"schema"` // [Schema]
	At     time.Time `json:"at"`
	// Name is ours, Backend HAProxy's name of it.
	Name    string `json:"name"`
	Backend string `json:"backend"`
	// About is what was asked about; absent for the backend as a whole.
	About string `json:"about,omitempty"`
	// Verdict is in a sentence or two what one has to know first.
	Verdict string              `json:"verdict"`
	Phase   string              `json:"phase"` // see [BackendStatus]
	Sources []SourceExplanation `json:"sources"`
	Guard   GuardExplanation    `json:"guard"`
	// Slots counts the slots of the backend, and Free those that hold nothing.
	Slots int `json:"slots"`
	Free  int `json:"free"`
	// Addresses are those that were asked about: all ports of an IP address, but no
	// more than 50. More counts the others.
	Addresses []AddressExplanation `json:"addresses"`
	More      int                  `json:"more,omitempty"`
}

// A SourceExplanation is what one source was asked, said, and will be asked. Of
// what it rejected, there are 20 at most.
type SourceExplanation struct {
	SourceStatus
	// Answered is when it answered last, absent for never in this process.
	Answered time.Time `json:"answered,omitzero"`
	// Ready, Drain and Down count the endpoints of that answer.
	Ready int `json:"ready"`
	Drain int `json:"drain"`
	Down  int `json:"down"`
	// RejectedTotal counts what it rejected.
	RejectedTotal int `json:"rejected_total"`
	// FailingSince is since when it does not answer; absent while it does.
	FailingSince time.Time `json:"failing_since,omitzero"`
}

// A GuardExplanation is what the guard makes of what the sources say.
type GuardExplanation struct {
	// State is "waiting" (nothing is known), "restored", "published", "turnover"
	// (one set makes way for another) or "held".
	State string `json:"state"`
	// Why says it in a sentence.
	Why string `json:"why"`
	// InForce counts the endpoints that the instances are told of.
	InForce int `json:"in_force"`
	// Hold is null if nothing is held; ConfirmationsNeeded end it.
	Hold                *Hold `json:"hold"`
	ConfirmationsNeeded int   `json:"confirmations_needed,omitempty"`
}

// An AddressExplanation is all about one address.
type AddressExplanation struct {
	// Address is ip:port, or an IP address alone of which no port is known; "" of a
	// slot that holds none.
	Address string `json:"address"`
	Name    string `json:"name,omitempty"` // what people call it
	Verdict string `json:"verdict"`
	// Said is what each source says of it, in the order of the sources.
	Said []SourceView `json:"said"`
	// InForce is what the instances are told it is; null: they are told nothing.
	InForce *discovery.Endpoint `json:"in_force"`
	// Held: it is in force only because of the guard, or of a turnover.
	Held bool `json:"held,omitempty"`
	// Kept says why it is in force although no source lists it now; absent if one does.
	Kept *KeptAddress `json:"kept,omitempty"`
	// Overrides are what operators asked of it.
	Overrides []Override `json:"overrides,omitempty"`
	// LeavesAt is when an endpoint that is gone has drained.
	LeavesAt time.Time `json:"leaves_at,omitzero"`
	// Slot holds it; "" if none does, and then NoSlot says why: "overflow" (all are
	// taken), "unseen" (no instance has shown its slots), "takeover" (it sits where
	// it was found) or "unwanted" (it is not in force).
	Slot   string `json:"slot,omitempty"`
	NoSlot string `json:"no_slot,omitempty"`
	// Since is since when the slot has been as it is, as far as HAProxy tells.
	Since time.Time `json:"since,omitzero"`
	// Instances are those that serve the backend: with the slot, and with any other
	// in which the address is live.
	Instances []InstanceExplanation `json:"instances"`
}

// A KeptAddress says of what part of which source an endpoint is kept, why, since when,
// and by which id that is accepted to be gone.
type KeptAddress struct {
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Part   string    `json:"part,omitempty"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Yielded: it gave its slot to an endpoint that is listed.
	Yielded bool `json:"yielded,omitempty"`
}

// What a source says of an address.
const (
	SaysReady    = "ready"
	SaysDrain    = "drain"
	SaysDown     = "down"
	SaysRefused  = "refused"    // it is named, and must not be used
	SaysUnlisted = "not listed" // it answered, without it
	SaysNothing  = "nothing"    // it has not answered yet
)

// A SourceView is what one source says of one address.
type SourceView struct {
	Source string `json:"source"`
	// Says is one of the words above. A source that fails says what it said last.
	Says   string `json:"says"`
	Weight int    `json:"weight,omitempty"`
	Name   string `json:"name,omitempty"`
	// Reason is the source's own, or why the address is refused, as in "link_local".
	Reason string `json:"reason,omitempty"`
	// LastListed is when it was listed last, absent for never.
	LastListed time.Time `json:"last_listed,omitzero"`
}

// An InstanceExplanation is one slot of one instance, and what was said to it.
type InstanceExplanation struct {
	InstanceSlot
	Slot string `json:"slot"`
	// Up: the instance answers. Else Error says why not, and the rest is what it
	// showed last.
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"`
	// Seen is when the slot was looked at last, Since when its state last changed.
	Seen  time.Time `json:"seen,omitzero"`
	Since time.Time `json:"since,omitzero"`
	// HeldSince is since when somebody else holds it.
	HeldSince time.Time `json:"held_since,omitzero"`
	// PausedUntil: until then nothing is written, as PausedBy wants it; a fight over
	// the slots does if that is absent.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	PausedBy    string    `json:"paused_by,omitempty"`
	// Waiting: changes wait for sessions to end at this instance.
	Waiting bool `json:"waiting,omitempty"`
	// Problem says in words why the backend cannot be filled there.
	Problem string `json:"problem,omitempty"`
	// Traffic: the instance answers, and the slot has the address and takes traffic.
	// Why says why not, as far as it should.
	Traffic bool   `json:"traffic"`
	Why     string `json:"why,omitempty"`
	// Said are the last commands about the slot and the replies, oldest first; none
	// if the agent has sent none since it started.
	Said []Exchange `json:"said"`
}

// An Exchange is one command and what HAProxy said to it, both printable and cut
// to 200 characters.
type Exchange struct {
	Command string `json:"command"`
	// Reply is mostly "": HAProxy says nothing to what it has no objection to.
	Reply string `json:"reply"`
	// Answered: a reply came.
	Answered bool      `json:"answered"`
	At       time.Time `json:"at"`
}
