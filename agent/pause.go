package agent

import (
	"maps"
	"time"
)

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

// DefaultPause is how long a pause lasts if nobody says.
const DefaultPause = time.Hour

// pauses are by backend, "" for all.
type pauses map[string]Pause

// of returns the pause that holds for a backend at that time, the harder one if
// there are two; nil for none.
func (p pauses) of(backend string, now time.Time) *Pause {
	var found *Pause
	for _, name := range []string{"", backend} {
		if x, ok := p[name]; ok && now.Before(x.Until) && (found == nil || x.Hard) {
			found = &x
		}
	}
	return found
}

// expire drops the pauses that are over, and reports whether there were any.
func (p pauses) expire(now time.Time) bool {
	before := len(p)
	maps.DeleteFunc(p, func(_ string, x Pause) bool { return !now.Before(x.Until) })
	return len(p) != before
}
