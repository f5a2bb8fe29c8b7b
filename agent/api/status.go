// Package api has the types of the HTTP API: what the agent answers, what it can be asked
// for, and what it can fail with. A type may put itself into words or be asked what
// follows from its own fields; nothing here does anything.
package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// Schema is the version of [Status] as JSON. Fields may be added within one.
const Schema = 1

// A Status is what the agent knows and does, at one moment. It is the answer of
// GET /v1/status, and never written to once it is published.
type Status struct {
	Schema   int       `json:"schema"`
	Version  string    `json:"version,omitempty"` // of slotsync
	At       time.Time `json:"at"`
	Started  time.Time `json:"started"`
	Ready    bool      `json:"ready"`
	NotReady []string  `json:"not_ready,omitempty"` // why not
	// ConfigRefused is why the configuration that was read last is not in force, absent if
	// it is: the one before it goes on.
	ConfigRefused string `json:"config_refused,omitempty"`

	Backends  []BackendStatus  `json:"backends"`
	Instances []InstanceStatus `json:"instances"`
	Sources   []SourceStatus   `json:"sources"`
	Reloads   []ReloadStatus   `json:"reloads"`
	// Overrides are what operators asked of endpoints, Pauses where nothing is
	// written.
	Overrides []Override `json:"overrides"`
	Pauses    []Pause    `json:"pauses"`
	// Unanswered is why nothing is known: the agent has begun and does not answer, or stops. Who asks over HTTP gets 503 then.
	Unanswered string `json:"-"`
}

// A ReloadStatus is one way to reload HAProxy, and what came of it last.
type ReloadStatus struct {
	Name      string   `json:"name"`
	Instances []string `json:"instances"`
	// Renders: the agent makes the file, so that a reload can give more slots.
	Renders bool `json:"renders"`
	Running bool `json:"running"`
	// Last is when it was reloaded last, absent for never in this process.
	Last    *time.Time `json:"last,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Version string     `json:"version,omitempty"` // of the file
	Step    string     `json:"step,omitempty"`    // the last one reached
	Error   string     `json:"error,omitempty"`
	// ChangedByHand: the file is not what was put in place last, and is not overwritten
	// unless somebody insists.
	ChangedByHand bool `json:"changed_by_hand,omitempty"`
	// InHour are the reloads of the last hour; NextAfter is before when none is
	// done unasked, absent for at once.
	InHour    int        `json:"in_last_hour"`
	NextAfter *time.Time `json:"next_after,omitempty"`
	// OldWorkers still serve what they knew before a reload. OldWorkersKnown: there is a
	// master that tells them.
	OldWorkers      []OldWorker `json:"old_workers"`
	OldWorkersKnown bool        `json:"old_workers_known,omitempty"`
}

// A NeedReload says that a backend lacks slots, and what is done about it.
type NeedReload struct {
	Slots  int       `json:"slots"`
	Wanted int       `json:"wanted"`
	Since  time.Time `json:"since"`
	// Latched: a reload was done for it, or failed, and is not tried again until
	// the file, its template or the number of slots changes, or somebody asks.
	Latched bool   `json:"latched"`
	Why     string `json:"why"`
}

// A Forecast says how long the free slots of a backend last.
type Forecast struct {
	Free    int `json:"free"`
	PerHour int `json:"growth_per_hour"` // endpoints, in the last hour
	// FullInSeconds is when no slot is left at this pace; absent if it does not
	// grow.
	FullInSeconds float64 `json:"full_in_seconds,omitempty"`
}

// Phases of a backend.
const (
	PhaseWaiting  = "waiting"  // nothing is known: nothing is touched
	PhaseRestored = "restored" // the set of the state directory is in force
	PhaseLive     = "live"     // a source has answered
)

// A BackendStatus is one backend over all instances.
type BackendStatus struct {
	Name    string `json:"name"`
	Backend string `json:"backend"` // HAProxy's name of it
	// Phase: waiting (nothing known yet), restored (from the state directory),
	// live (a source has said it).
	Phase     string               `json:"phase"`
	Slots     []SlotStatus         `json:"slots"`
	Endpoints []discovery.Endpoint `json:"endpoints"` // as published to the instances
	Hold      *Hold                `json:"hold"`      // null: nothing is held
	// Takeover is the hold of live addresses that no source has ever listed, absent if
	// there are none. Hold is the same where nothing else is held.
	Takeover *Hold `json:"takeover,omitempty"`
	// Kept are endpoints that no source lists now, and that stay because what listed
	// them is not known to be without them. Nothing is held for them.
	Kept []KeptSet `json:"kept"`
	// Turnover is absent but while one whole set makes way for another.
	Turnover *Turnover `json:"turnover,omitempty"`
	// Serving is how many endpoints take traffic at each instance, the fewest if those
	// differ: ready in HAProxy, and not down by its check.
	Serving int `json:"serving"`
	// Overflow are endpoints for which no slot is left.
	Overflow []discovery.Endpoint `json:"overflow"`
	// NeedReload is null if the slots suffice.
	NeedReload *NeedReload `json:"need_reload"`
	Forecast   Forecast    `json:"forecast"`
	// Paused is until when nothing is written, since an operator wants it so; absent
	// otherwise. PausedBy says who.
	PausedBy string     `json:"paused_by,omitempty"`
	Paused   *time.Time `json:"paused_until,omitempty"`
	// Problem says in words what keeps the backend from being filled.
	Problem string `json:"problem,omitempty"`
}

// PhaseWords says what a phase means; see [BackendStatus].
func PhaseWords(phase string) string {
	switch phase {
	case "waiting":
		return "waits: no source has answered yet"
	case "restored":
		return "from the state directory: no source has answered yet"
	}
	return phase
}

// SlotUnusable is the state of a slot that no instance can use: HAProxy does not let its
// address be set, and another slot holds what it would.
const SlotUnusable = "unusable"

// A SlotStatus is one slot over all instances.
type SlotStatus struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"` // "" if free
	// State is "free", "ready", "drain", "down" (critical at the source), "takeover" or
	// "unusable": HAProxy does not let its address be set, and another slot holds what it
	// would.
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	Title string    `json:"title,omitempty"` // what people call the endpoint
	// From are the names of the sources that list the endpoint now: empty for one that
	// is held, leaves, or was added by an operator.
	From []string `json:"from,omitempty"`
	// Override is what an operator asked of the endpoint, in words.
	Override  string         `json:"override,omitempty"`
	Instances []InstanceSlot `json:"instances"`
}

// An InstanceSlot is one slot as one instance showed it last.
type InstanceSlot struct {
	Instance string `json:"instance"`
	// Name is what the instance calls the slot, absent where it is the slot's own.
	Name    string      `json:"name,omitempty"`
	Address string      `json:"address"` // "" if HAProxy shows none
	State   slots.Class `json:"state"`
	Weight  int         `json:"weight"`
	// AgentCheck: HAProxy has an agent-check there, whose weight it is.
	AgentCheck bool   `json:"agent_check,omitempty"`
	Check      string `json:"check"`    // "up", "down", "" without checks
	Sessions   int    `json:"sessions"` // -1: not read
	// HeldBy: "operator" (an override keeps it from its traffic), "external" (somebody took it out behind the agent's back),
	// "takeover" (an address that no source has ever listed), or "".
	HeldBy string `json:"held_by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// LastReply is HAProxy's last refusal of this slot, "" if there is none.
	LastReply string `json:"last_reply,omitempty"`
	// PausedUntil is until when nothing is written to the slot, which somebody else keeps
	// changing; absent if there is no such fight.
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	// Lacking: the instance has no such slot.
	Lacking bool `json:"lacking,omitempty"`
}

// A Turnover is a set of endpoints that stays, ready, besides the one that
// replaces it, until an endpoint of that is up.
type Turnover struct {
	Since time.Time `json:"since"`
	// EndsAt is when it ends whatever the new ones do.
	EndsAt  time.Time `json:"ends_at"`
	Leaving []string  `json:"leaving"`
}

// A Hold is an update that the guard keeps back, or live addresses that no
// source has ever listed.
type Hold struct {
	// ID is what `slotsync accept` takes: it stands for WouldRemove as it is here.
	ID string `json:"id"`
	// Kind is "empty", "removal", "unhealthy" (all that is registered, which is
	// why what served last goes on) or "takeover".
	Kind  string    `json:"kind"`
	Since time.Time `json:"since"`
	// ReleasesAt is when it ends if every confirmation agrees and no error
	// comes; zero for never.
	ReleasesAt    time.Time `json:"releases_at,omitzero"`
	Confirmations int       `json:"confirmations"`
	WouldRemove   []string  `json:"would_remove"`
	// BlocksWriting: a takeover of which the sources list nothing that takes traffic.
	// They may be another service's: nothing is written until it is accepted.
	BlocksWriting bool `json:"blocks_writing,omitempty"`
}

// A KeptSet is what is kept of one part of one source, for one reason.
type KeptSet struct {
	// ID is what `slotsync accept` takes: it stands for Endpoints as they are here.
	ID     string `json:"id"`
	Source string `json:"source"`
	// Part is the piece of the source that is not known, as in "AAAA of web.example.org";
	// "" for all of it.
	Part   string `json:"part,omitempty"`
	Reason string `json:"reason"`
	// Since is since when the first of them is kept.
	Since     time.Time `json:"since"`
	Endpoints []string  `json:"endpoints"`
	// Yielded are those of Endpoints that gave their slot to one that is listed.
	Yielded []string `json:"yielded,omitempty"`
}

// A PartStatus is a part of a source that is not whole.
type PartStatus struct {
	Name string `json:"name,omitempty"`
	// State is "partial" (it proves who is there and not who is gone) or "unknown".
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// Words names the part and says why it is not whole.
func (p PartStatus) Words() string {
	words := p.State + ": " + p.Reason
	if p.Name == "" {
		return words
	}
	return p.Name + " " + words
}

// An InstanceStatus is how one HAProxy is doing.
type InstanceStatus struct {
	Name    string `json:"name"`
	Socket  string `json:"socket"`
	Up      bool   `json:"up"`
	Version string `json:"version,omitempty"`
	Pid     int    `json:"pid,omitempty"`
	// InSync: everything that was read back is as the table wants it now.
	InSync bool `json:"in_sync"`
	// Desired and Applied are generations.
	Desired uint64 `json:"desired"`
	Applied uint64 `json:"applied"`
	// LagSeconds is the age of the oldest generation that is not read back.
	LagSeconds float64 `json:"lag_seconds"`
	Restarts   int     `json:"restarts"`
	LastError  string  `json:"last_error,omitempty"`
	// Fault is the kind of LastError, as in "denied".
	Fault string `json:"fault,omitempty"`
	// Waiting are changes that wait for sessions to end; External and Overflow
	// count slots. They do not break InSync, except Waiting.
	Waiting  int `json:"waiting"`
	External int `json:"external"`
	Overflow int `json:"overflow"`
	// Unloaded are the backends that came up without what the state file says.
	Unloaded []string `json:"state_file_not_loaded,omitempty"`
}

// Silent names those of instances that do not answer now: what they have shown is from
// before. It is empty if all do. One that shows itself and refuses every change does.
func Silent(instances []InstanceStatus) []string {
	var names []string
	for _, in := range instances {
		if !in.Up && (in.Fault != string(slots.Denied) || in.Pid == 0) {
			names = append(names, in.Name)
		}
	}
	return names
}

// MayServe reports whether an instance has, or may have, slots of a backend of ours: which
// backends one has that has never shown itself is not known.
func (s Status) MayServe(instance, backend string) bool {
	shown := false
	for _, b := range s.Backends {
		for _, slot := range b.Slots {
			if slices.ContainsFunc(slot.Instances, func(at InstanceSlot) bool { return at.Instance == instance }) {
				if shown = true; b.Name == backend {
					return true
				}
			}
		}
	}
	return !shown && slices.ContainsFunc(s.Instances, func(in InstanceStatus) bool { return in.Name == instance && in.Pid == 0 })
}

// A SourceStatus is how one source of one backend is doing.
type SourceStatus struct {
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Asks    string `json:"asks"` // as in "consul service web"
	// State is "unknown" (nothing heard yet), "ok", "none yet" (it answers, and never
	// listed anything) or "failing".
	State string `json:"state"`
	// InUse: what it lists is in force; else another one stands in for it.
	InUse bool `json:"in_use"`
	// Next is when it is asked again, absent if it is being asked. Activity is
	// what it does, as far as it tells.
	Next     time.Time          `json:"next,omitzero"`
	Activity discovery.Activity `json:"activity,omitzero"`
	// AgeSeconds is how long ago it last answered; -1 for never.
	AgeSeconds float64 `json:"age_seconds"`
	Endpoints  int     `json:"endpoints"` // in its last answer
	Note       string  `json:"note,omitempty"`
	LastError  string  `json:"last_error,omitempty"`
	// Parts are those that are not whole, the first 20 of them, by name; PartsMore counts
	// the others. Kept counts endpoints that stay because of them, or because it fails.
	Parts     []PartStatus          `json:"parts,omitempty"`
	PartsMore int                   `json:"parts_more,omitempty"`
	Kept      int                   `json:"kept,omitempty"`
	Rejected  []discovery.Rejection `json:"rejected,omitempty"`
}

// StateWords says how a source is doing, in a few words.
func (s SourceStatus) StateWords() string {
	if s.State == "unknown" {
		return "nothing heard yet"
	}
	return s.State
}

// RejectedWords says how many of what a source names is no endpoint, and why the first of it is
// none; "" for nothing.
func (s SourceStatus) RejectedWords() string {
	if len(s.Rejected) == 0 {
		return ""
	}
	x := s.Rejected[0]
	return fmt.Sprintf("%d rejected (%s: %s)", len(s.Rejected), discovery.Printable(strings.TrimSpace(x.Name+" "+x.Value), 60), discovery.WhyRefused(x.Reason))
}
