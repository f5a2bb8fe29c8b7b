package agent

import (
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// This file has the names that the types of [api] go by here.

// What the agent answers.
type (
	Status         = api.Status
	BackendStatus  = api.BackendStatus
	SlotStatus     = api.SlotStatus
	InstanceSlot   = api.InstanceSlot
	InstanceStatus = api.InstanceStatus
	SourceStatus   = api.SourceStatus
	PartStatus     = api.PartStatus
	ReloadStatus   = api.ReloadStatus
	OldWorker      = api.OldWorker
	NeedReload     = api.NeedReload
	Forecast       = api.Forecast
	Turnover       = api.Turnover
	Hold           = api.Hold
	KeptSet        = api.KeptSet
	Acceptable     = api.Acceptable
	Accepted       = api.Accepted
	Plan           = api.Plan
	InstancePlan   = api.InstancePlan
	PlannedChange  = api.PlannedChange
	ConfigVersion  = api.ConfigVersion
	ConfigSection  = api.ConfigSection

	Explanation         = api.Explanation
	SourceExplanation   = api.SourceExplanation
	GuardExplanation    = api.GuardExplanation
	AddressExplanation  = api.AddressExplanation
	InstanceExplanation = api.InstanceExplanation
	KeptAddress         = api.KeptAddress
	Saying              = api.Saying
	Exchange            = api.Exchange

	Event = api.Event
)

// What operators ask for.
type (
	Override      = api.Override
	Pause         = api.Pause
	Who           = api.Who
	ServerRef     = api.ServerRef
	ReloadRequest = api.ReloadRequest
	SectionEdit   = api.SectionEdit
)

// Words of these types.
const (
	Schema         = api.Schema
	Kept           = api.Kept
	SlotUnusable   = api.SlotUnusable
	DefaultPause   = api.DefaultPause
	OverrideState  = api.OverrideState
	OverrideWeight = api.OverrideWeight
	OverrideServer = api.OverrideServer
	StateReady     = api.StateReady
	StateDrain     = api.StateDrain
	StateMaint     = api.StateMaint
	SaysReady      = api.SaysReady
	SaysDrain      = api.SaysDrain
	SaysDown       = api.SaysDown
	SaysRefused    = api.SaysRefused
	SaysUnlisted   = api.SaysUnlisted
	SaysNothing    = api.SaysNothing

	EventGap               = api.EventGap
	EventSourceFailing     = api.EventSourceFailing
	EventSourceAnswering   = api.EventSourceAnswering
	EventFailover          = api.EventFailover
	EventFailback          = api.EventFailback
	EventHoldBegun         = api.EventHoldBegun
	EventHoldEnded         = api.EventHoldEnded
	EventKeptBegun         = api.EventKeptBegun
	EventKeptEnded         = api.EventKeptEnded
	EventAccepted          = api.EventAccepted
	EventEmptied           = api.EventEmptied
	EventOverflow          = api.EventOverflow
	EventOverflowEnded     = api.EventOverflowEnded
	EventInstanceUp        = api.EventInstanceUp
	EventInstanceDown      = api.EventInstanceDown
	EventInstanceRestarted = api.EventInstanceRestarted
	EventInstanceBehind    = api.EventInstanceBehind
	EventInstanceInStep    = api.EventInstanceInStep
	EventSlotsChanged      = api.EventSlotsChanged
	EventDrift             = api.EventDrift
	EventExternalTaken     = api.EventExternalTaken
	EventExternalGiven     = api.EventExternalGiven
	EventNote              = api.EventNote
	EventOverrideSet       = api.EventOverrideSet
	EventOverrideEnded     = api.EventOverrideEnded
	EventOverrideOver      = api.EventOverrideOver
	EventPaused            = api.EventPaused
	EventResumed           = api.EventResumed
	EventPauseOver         = api.EventPauseOver
	EventReloadBegun       = api.EventReloadBegun
	EventReloadEnded       = api.EventReloadEnded
	EventReloadFailed      = api.EventReloadFailed
)

// OverrideKinds lists the kinds of override, for metrics.
var OverrideKinds = api.OverrideKinds

// What a request can fail with.
var (
	ErrNoBackend   = api.ErrNoBackend
	ErrNoSubject   = api.ErrNoSubject
	ErrNoInstance  = api.ErrNoInstance
	ErrNoServer    = api.ErrNoServer
	ErrDiscovered  = api.ErrDiscovered
	ErrOverruled   = api.ErrOverruled
	ErrNotPaused   = api.ErrNotPaused
	ErrBadRequest  = api.ErrBadRequest
	ErrNothingHeld = api.ErrNothingHeld
	ErrNoSuchID    = api.ErrNoSuchID
	ErrNoReload    = api.ErrNoReload
	ErrReloading   = api.ErrReloading
	ErrNoVersion   = api.ErrNoVersion
	ErrChanged     = api.ErrChanged
	ErrNoSection   = api.ErrNoSection
	ErrBadSection  = api.ErrBadSection
	ErrNotStored   = api.ErrNotStored
	ErrManyReaders = api.ErrManyReaders
)

// EventKinds lists what [Event.Kind] can be.
func EventKinds() []string { return api.EventKinds() }

// Silent is [api.Silent].
func Silent(instances []InstanceStatus) []string { return api.Silent(instances) }

// CheckWeight is [api.CheckWeight].
func CheckWeight(text string) error { return api.CheckWeight(text) }

// ParseDuration is [api.ParseDuration].
func ParseDuration(text string) (time.Duration, error) { return api.ParseDuration(text) }
