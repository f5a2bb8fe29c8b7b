package dns

import (
	"sync"
	"time"
)

const (
	junkTime   = time.Minute      // over TCP after a flood of false replies
	cutTime    = 10 * time.Minute // over TCP after a truncated answer
	maxDetours = 1024
)

// Detours are names that are asked for over TCP for a while. The zero value is
// empty.
type detours struct {
	mu sync.Mutex // guards following
	by map[string]detour
}

// A detour says why, and until when.
type detour struct {
	why   string
	until time.Time
}

// set begins a detour. There is a bound to how many there are, for targets have
// whatever names they are given: beyond it a name just takes UDP first.
func (d *detours) set(name, why string, lasting time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if len(d.by) >= maxDetours {
		for n, other := range d.by {
			if !now.Before(other.until) {
				delete(d.by, n)
			}
		}
	}
	if d.by == nil {
		d.by = map[string]detour{}
	}
	if len(d.by) < maxDetours {
		d.by[name] = detour{why, now.Add(lasting)}
	}
}

func (d *detours) end(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.by, name)
}

// of returns the detour that is in force for name, if there is one.
func (d *detours) of(name string) (detour, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.by[name]
	return t, ok && time.Now().Before(t.until)
}
