package api

import "github.com/slotsync/slotsync/slots"

// A PlannedChange is one change that a round would make.
type PlannedChange struct {
	Backend string     `json:"backend"`
	Slot    string     `json:"slot"`
	Kind    slots.Kind `json:"kind"`
	// From and To are what is and what would be, as in "10.0.0.1:80 ready".
	From string `json:"from"`
	To   string `json:"to"`
	// Waiting: not yet, because sessions have to end or a slot to be filled or
	// emptied first.
	Waiting bool `json:"waiting,omitempty"`
}

// An InstancePlan is what a round would do to one instance.
type InstancePlan struct {
	Instance string          `json:"instance"`
	Error    string          `json:"error,omitempty"`
	Changes  []PlannedChange `json:"changes"`
}

// A Plan is what a round would do.
type Plan struct {
	Instances []InstancePlan  `json:"instances"`
	Backends  []BackendStatus `json:"backends"`
	// Problems are sources and backends that could not be judged.
	Problems []string `json:"problems,omitempty"`
}
