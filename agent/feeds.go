package agent

import (
	"cmp"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// This file puts together what the feeds of one backend say. It is pure.

// A part is what one feed contributes.
type part struct {
	name string
	// endpoints are its last set, also while it fails.
	endpoints []discovery.Endpoint
	// known: it once said all of them. Else there may be more.
	known   bool
	failing bool
}

// A position says which feeds of a failover are in use.
type position struct {
	away  bool      // the others stand in for the primary
	since time.Time // since when that should be otherwise; zero: it should not
}

// A combination is what all feeds say together.
type combination struct {
	reading discovery.Reading
	used    []bool // by part: it is in the reading
	at      position
	due     time.Time // when it becomes another one by itself; zero for never
}

func (f Failover) withDefaults() Failover {
	f.Min = cmp.Or(f.Min, DefaultFailoverMin)
	f.After = cmp.Or(f.After, DefaultFailoverAfter)
	f.Back = cmp.Or(f.Back, DefaultFailoverBack)
	return f
}

// combine returns what a backend has of its parts: the union of those that are in
// use, weak while one of them may have more.
//
//	no failover                        all
//	the primary has enough             the primary
//	it lacks for After, others do not  the others
//	it has enough again for Back       the primary
//	the others have nothing            the primary with them, whatever it has
//
// A part that fails is its last set, which is neither a lack nor, after a lack,
// enough.
func combine(parts []part, f Failover, at position, now time.Time) combination {
	c := combination{used: make([]bool, len(parts)), at: position{}}
	var primary *part
	spare := 0 // what the others have
	for i := range parts {
		if f.Primary != "" && parts[i].name == f.Primary {
			primary = &parts[i]
		} else {
			spare += readyIn(parts[i].endpoints)
		}
	}
	if primary != nil {
		c.at, c.due = f.steer(primary, spare, at, now)
	}
	for i := range parts {
		p := &parts[i]
		c.used[i] = primary == nil || (p == primary) != c.at.away || c.at.away && spare == 0
		if c.used[i] {
			c.reading.Endpoints = append(c.reading.Endpoints, p.endpoints...)
			c.reading.Weak = c.reading.Weak || !p.known
		}
	}
	c.reading.Endpoints = discovery.Normalize(c.reading.Endpoints)
	return c
}

// steer returns the next position, and when there is another one at the latest.
func (f Failover) steer(primary *part, spare int, at position, now time.Time) (next position, due time.Time) {
	lacks := readyIn(primary.endpoints) < f.Min
	if lacks == at.away || at.away && primary.failing {
		return position{away: at.away}, due
	}
	if at.since.IsZero() {
		at.since = now
	}
	wait := f.After
	if at.away {
		wait = f.Back
	}
	switch due = at.since.Add(wait); {
	case now.Before(due):
		return at, due
	case !at.away && spare == 0:
		return at, time.Time{}
	}
	return position{away: !at.away}, time.Time{}
}

// readyIn returns how many of eps take traffic.
func readyIn(eps []discovery.Endpoint) int {
	n := 0
	for _, e := range eps {
		if e.State == discovery.Ready {
			n++
		}
	}
	return n
}
