package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/discovery"
)

// An AcceptBody names by its id what is accepted to go: a hold, what is kept, or a
// takeover. An answer of 409 names the ids that there are.
type AcceptBody struct {
	ID string `json:"id"`
	By string `json:"by,omitempty"`
}

// A WhoBody says for how long something holds, why, and whose wish it is.
type WhoBody struct {
	// For is a duration as in "10m"; "" for no end (of a pause: an hour).
	For    string `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
	// By is a note beside the name by which the agent knows who asks.
	By string `json:"by,omitempty"`
	// Keep: also when its endpoint has not been listed for 24 hours.
	Keep bool `json:"keep,omitempty"`
}

// Who returns b: of the bodies that have it, too.
func (b WhoBody) Who() WhoBody { return b }

// A StateBody is what an endpoint is to be: "ready", "drain" or "maint".
type StateBody struct {
	State string `json:"state"`
	WhoBody
}

// A WeightBody is the weight of an endpoint: a number, a text as in "58" or "20%", or ""
// for what its source says.
type WeightBody struct {
	Weight Weight `json:"weight"`
	WhoBody
}

// A Weight may be written as a number or as a text.
type Weight string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *Weight) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		*w = Weight(text)
		return nil
	}
	var n int
	if err := json.Unmarshal(raw, &n); err != nil {
		return errors.New(`weight is a number, or a text as in "20%"`)
	}
	*w = Weight(strconv.Itoa(n))
	return nil
}

// A ServerBody is an endpoint to be added.
type ServerBody struct {
	Address string `json:"address"` // ip:port
	Name    string `json:"name,omitempty"`
	Weight  Weight `json:"weight,omitempty"`
	WhoBody
}

// A PauseBody is a pause to begin or to end; without a backend it is for all.
type PauseBody struct {
	Backend string `json:"backend,omitempty"`
	// Hard: not even an instance that is restarted is filled.
	Hard bool `json:"hard,omitempty"`
	WhoBody
}

// A ReloadBody is what a reload may be asked for with.
type ReloadBody struct {
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	// Force overwrites a file that was changed by hand.
	Force bool `json:"force,omitempty"`
}

// A RawBody is a line of commands for HAProxy.
type RawBody struct {
	Command string `json:"command"`
	By      string `json:"by,omitempty"`
}

// maxNote bounds what is noted, in runes.
const maxNote = 200

// Sanitize returns what somebody wrote as it goes into the history and the log.
func Sanitize(text string) string { return discovery.Printable(strings.TrimSpace(text), maxNote) }
