package api

import "time"

// A Pause stops the writing to the slots of a backend, or of all.
type Pause struct {
	// Backend is ours; "" for all.
	Backend string    `json:"backend"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	// Hard: not even an instance that was restarted is filled.
	Hard bool `json:"hard,omitempty"`
}

// Words says what p is, as in "nothing is written until 2026-11-21T17:00:00Z, by ann: storage moves".
func (p Pause) Words() string {
	words := "nothing is written until " + p.Until.UTC().Format(time.RFC3339)
	if p.By != "" {
		words += ", by " + p.By
	}
	if p.Reason != "" {
		words += ": " + p.Reason
	}
	return words
}

// DefaultPause is how long a pause lasts if nobody says.
const DefaultPause = time.Hour
