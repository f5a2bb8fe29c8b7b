package agent

import (
	"maps"
	"slices"
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
	if len(p) == 0 { // as nearly always, and this is asked often
		return nil
	}
	var found *Pause
	for _, name := range []string{"", backend} {
		if x, ok := p[name]; ok && now.Before(x.Until) && (found == nil || x.Hard) {
			found = &x
		}
	}
	return found
}

// expire drops the pauses that are over, and returns them.
func (p pauses) expire(now time.Time) []Pause {
	return p.dropWhere(func(x Pause) bool { return !now.Before(x.Until) })
}

// end drops the pause of a backend, all of them for "", and returns what it dropped.
func (p pauses) end(backend string) []Pause {
	return p.dropWhere(func(x Pause) bool { return backend == "" || x.Backend == backend })
}

func (p pauses) dropWhere(drop func(Pause) bool) (dropped []Pause) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if x := p[name]; drop(x) {
			dropped = append(dropped, x)
			delete(p, name)
		}
	}
	return dropped
}
