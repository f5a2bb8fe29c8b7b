package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/slotsync/slotsync/agent"
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

// A StateBody is what an endpoint is to be: "ready", "drain" or "maint".
type StateBody struct {
	State string `json:"state"`
	WhoBody
}

// A WeightBody is the weight of an endpoint: a number, a text as in "58" or "20%",
// or "" for what its source says.
type WeightBody struct {
	Weight Weight `json:"weight"`
	WhoBody
}

// A weightWish is a [WeightBody] as it came: to say no weight is not to say "".
type weightWish struct {
	Weight *Weight `json:"weight"`
	WhoBody
}

func errNoWeight() error {
	return fmt.Errorf(`%w: weight is missing: a number, a text as in "20%%", or "" for what its source says`, agent.ErrBadRequest)
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

// who reads a WhoBody that c sends.
func (b WhoBody) who(c caller) (agent.Who, error) {
	w := agent.Who{By: c.by(b.By), Reason: noted(b.Reason), Keep: b.Keep, MaxFor: c.maxFor}
	if b.For == "" {
		return w, nil
	}
	d, err := agent.ParseDuration(b.For)
	if err != nil || d <= 0 {
		return w, fmt.Errorf("for: %q is no duration, as in 10m, 24h or 7d", noted(b.For))
	}
	w.For = d
	return w, nil
}

// badAddress says what an address of an endpoint looks like.
func badAddress(text string) error {
	return fmt.Errorf("%w: %q is not ip:port, as in 10.0.0.1:80 or [fd00::1]:80", agent.ErrBadRequest, noted(text))
}
