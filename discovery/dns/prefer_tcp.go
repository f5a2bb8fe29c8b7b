package dns

import (
	"sync"
	"time"
)

const (
	junkTime     = time.Minute      // over TCP after a flood of false replies
	cutTime      = 10 * time.Minute // over TCP after a truncated answer
	maxPreferTCP = 1024
)

// preferTCP has the names that are asked for over TCP for a while. The zero value is
// empty.
type preferTCP struct {
	mu sync.Mutex // guards following
	by map[string]tcpReason
}

// A tcpReason says why a name is asked for over TCP, and until when.
type tcpReason struct {
	why   string
	until time.Time
}

// set has name asked for over TCP from now on. The number of names is bounded, since SRV
// records can name any number of targets: beyond it a name is asked for over UDP first.
func (d *preferTCP) set(name, why string, lasting time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if len(d.by) >= maxPreferTCP {
		for n, other := range d.by {
			if !now.Before(other.until) {
				delete(d.by, n)
			}
		}
	}
	if d.by == nil {
		d.by = map[string]tcpReason{}
	}
	if len(d.by) < maxPreferTCP {
		d.by[name] = tcpReason{why, now.Add(lasting)}
	}
}

func (d *preferTCP) end(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.by, name)
}

// of reports whether name is asked for over TCP now, and why.
func (d *preferTCP) of(name string) (tcpReason, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.by[name]
	return t, ok && time.Now().Before(t.until)
}
