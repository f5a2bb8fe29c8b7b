package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Kinds of override.
const (
	OverrideState  = "state"  // drain or maint
	OverrideWeight = "weight" // another weight
	OverrideServer = "server" // an endpoint that no source lists
)

// OverrideKinds lists them, for metrics.
var OverrideKinds = [...]string{OverrideState, OverrideWeight, OverrideServer}

// States that an operator may ask for.
const (
	StateReady = "ready" // what the sources say, again
	StateDrain = "drain"
	StateMaint = "maint"
)

// An Override is what an operator asked of an endpoint. It holds on all instances,
// over restarts of everything, until it is released, its time is over, or its
// endpoint has not been listed for 24 hours.
type Override struct {
	// Backend is ours; "" for the address on all backends.
	Backend string `json:"backend"`
	// Address is "ip:port", or the address alone on all backends.
	Address string `json:"address"`
	// Kind is [OverrideState], [OverrideWeight] or [OverrideServer].
	Kind string `json:"kind"`
	// State is "drain" or "maint", with kind state.
	State string `json:"state,omitempty"`
	// Weight is as in "58", 0 to 256, or as in "20%" of the template's, with kind
	// weight; also with kind server, "" for the template's.
	Weight string `json:"weight,omitempty"`
	// Name is what people call the endpoint, with kind server.
	Name   string    `json:"name,omitempty"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends by itself, absent for never.
	Until *time.Time `json:"until,omitempty"`
	// Keep: it stays however long its endpoint is not listed.
	Keep bool `json:"keep,omitempty"`
	// Limited: it was asked for without full rights.
	Limited bool `json:"limited,omitempty"`
	// Listed is when its endpoint was listed last.
	Listed time.Time `json:"listed"`
}

// Words says what o is, as in "drain by ann: new kernel, until 2026-11-21T17:00:00Z".
func (o *Override) Words() string {
	words := o.State
	switch o.Kind {
	case OverrideWeight:
		words = "weight " + o.Weight
	case OverrideServer:
		words = "added"
	}
	if o.By != "" {
		words += " by " + o.By
	}
	if o.Reason != "" {
		words += ": " + o.Reason
	}
	if o.Until != nil {
		words += ", until " + o.Until.UTC().Format(time.RFC3339)
	}
	return words
}

// CheckWeight returns why text is not a weight for a server: 0 to 256, or a share of
// the template's, of which no more than 256 comes.
func CheckWeight(text string) error {
	share, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(share)
	switch {
	case err != nil || strings.TrimLeft(share, "0123456789") != "":
		return fmt.Errorf("%q is no weight: want 0 to 256, or a share of the configured weight as in 20%%", discovery.Printable(text, 40))
	case percent && n > 25_600:
		return fmt.Errorf("%s is more than any weight: HAProxy knows 0 to 256", text)
	case !percent && n > 256:
		return fmt.Errorf("weight %d is not within 0 and 256", n)
	}
	return nil
}
