package api

import "time"

// What an [Event] is about.
const (
	// EventGap comes first to a reader who asked for events that are not kept any
	// more, or are of another process.
	EventGap = "gap"

	EventSourceFailing   = "source_failing"
	EventSourceAnswering = "source_answering"
	EventFailover        = "failover"     // other sources stand in for the primary one
	EventFailback        = "failback"     // and do so no more
	EventHoldBegun       = "hold_begun"   // the guard keeps an update back, or a takeover waits
	EventHoldEnded       = "hold_ended"   //
	EventKeptBegun       = "kept_begun"   // endpoints stay that no source lists now
	EventKeptEnded       = "kept_ended"   //
	EventAccepted        = "accepted"     // an operator had something go
	EventEmptied         = "emptied"      // the sources leave nothing that serves
	EventOverflow        = "overflow"     // the endpoints without a slot are more, or fewer
	EventOverflowEnded   = "overflow_end" // none is left

	EventInstanceUp        = "instance_up"
	EventInstanceDown      = "instance_down"
	EventInstanceRestarted = "instance_restarted" // a new process answers
	EventInstanceBehind    = "instance_behind"    // not in step, for longer than a moment
	EventInstanceInStep    = "instance_in_step"
	EventSlotsChanged      = "slots_changed"  // by the agent
	EventDrift             = "drift"          // of those changes, what nobody asked to be otherwise
	EventExternalTaken     = "external_taken" // somebody else took a slot out of service
	EventExternalGiven     = "external_given" // and gave it back
	EventNote              = "note"           // something else at an instance

	EventOverrideSet   = "override_set"
	EventOverrideEnded = "override_ended" // by somebody
	EventOverrideOver  = "override_over"  // by itself
	EventPaused        = "paused"
	EventResumed       = "resumed"
	EventPauseOver     = "pause_over" // by itself
	EventReloadBegun   = "reload_begun"
	EventReloadEnded   = "reload_ended"
	EventReloadFailed  = "reload_failed"
)

// EventKinds lists what [Event.Kind] can be.
func EventKinds() []string {
	return []string{
		EventGap, EventSourceFailing, EventSourceAnswering, EventFailover, EventFailback, EventHoldBegun, EventHoldEnded,
		EventKeptBegun, EventKeptEnded, EventAccepted, EventEmptied,
		EventOverflow, EventOverflowEnded, EventInstanceUp, EventInstanceDown, EventInstanceRestarted, EventInstanceBehind,
		EventInstanceInStep, EventSlotsChanged, EventDrift, EventExternalTaken, EventExternalGiven, EventNote, EventOverrideSet,
		EventOverrideEnded, EventOverrideOver, EventPaused, EventResumed, EventPauseOver, EventReloadBegun, EventReloadEnded,
		EventReloadFailed,
	}
}

// An Event is one change of what the agent knows or does.
type Event struct {
	// ID grows with each event of a process, and begins at another value in each.
	// As JSON it is a text: it has more bits than a number there.
	ID   uint64    `json:"id,string"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // one of [EventKinds]
	// What it is about, where it is about that. Backend is ours.
	Backend  string `json:"backend,omitempty"`
	Instance string `json:"instance,omitempty"`
	Slot     string `json:"slot,omitempty"`
	Source   string `json:"source,omitempty"`
	// Text says it in words.
	Text string `json:"text"`
	// Changes counts changes of slots by kind, and Slots are those slots, the first
	// 50 of them.
	Changes map[string]int `json:"changes,omitempty"`
	Slots   []string       `json:"slots,omitempty"`
	// Fields say the rest, by name.
	Fields map[string]string `json:"fields,omitempty"`
}
