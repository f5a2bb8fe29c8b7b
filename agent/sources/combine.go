package sources

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Failover has a backend use one of its sources while that has enough endpoints, and
// the others else. The zero value is none: all are used.
type Failover struct {
	// Primary is the name of the source that is used first.
	Primary string
	// Min is how many ready endpoints it must have. 0: DefaultFailoverMin.
	Min int
	// After is how long it must have fewer before the others stand in, Back how long it
	// must have enough again. 0: the defaults.
	After, Back time.Duration
}

// The defaults of [Failover].
const (
	DefaultFailoverMin   = 1
	DefaultFailoverAfter = 10 * time.Second
	DefaultFailoverBack  = time.Minute
)

// WithDefaults returns f with the default in each field that is zero.
func (f Failover) WithDefaults() Failover {
	f.Min = cmp.Or(f.Min, DefaultFailoverMin)
	f.After = cmp.Or(f.After, DefaultFailoverAfter)
	f.Back = cmp.Or(f.Back, DefaultFailoverBack)
	return f
}

// A Contribution is what one source adds.
type Contribution struct {
	Name    string
	Set     Set
	Failing bool // it does not answer
}

// A Position says which sources of a failover are in use.
type Position struct {
	FailedOver bool      // the others stand in for the primary
	Since      time.Time // since when that should be otherwise; zero: it should not
}

// A Combination is what all sources say together.
type Combination struct {
	Set  Set    // without what is refused
	Used []bool // by contribution: it is in the set
	At   Position
	Due  time.Time // when it becomes another one by itself; zero for never
}

// Combine returns what a backend has of its sources: the union of those that are in
// use. An endpoint is kept if none of them lists it and one keeps it.
//
//	no failover                        all
//	the primary has enough             the primary
//	it lacks for After, others do not  the others
//	it has enough again for Back       the primary
//	the others have nothing            the primary with them, whatever it has
//
// A source that fails is its last set, which is neither a lack nor, after a lack,
// enough. What is kept counts.
func Combine(list []Contribution, f Failover, at Position, now time.Time) Combination {
	c := Combination{Used: make([]bool, len(list))}
	var primary *Contribution
	standIn := 0 // what the others have
	for i := range list {
		if f.Primary != "" && list[i].Name == f.Primary {
			primary = &list[i]
		} else {
			standIn += discovery.CountReady(list[i].Set.Endpoints)
		}
	}
	if primary != nil {
		c.At, c.Due = f.next(primary, standIn, at, now)
	}
	for i := range list {
		p := &list[i]
		c.Used[i] = primary == nil || (p == primary) != c.At.FailedOver || c.At.FailedOver && standIn == 0
	}
	c.Set = union(list, c.Used)
	return c
}

// union puts together the sets of those that are used. What one lists wins over what
// another one keeps.
func union(list []Contribution, used []bool) Set {
	var all []discovery.Endpoint
	listed := map[netip.AddrPort]bool{}
	for i, c := range list {
		for _, e := range c.Set.Endpoints {
			if _, kept := c.Set.Kept[e.Addr]; used[i] && !kept {
				all = append(all, e)
				listed[e.Addr] = true
			}
		}
	}
	kept := map[netip.AddrPort]Kept{}
	for i, c := range list {
		for _, e := range c.Set.Endpoints {
			k, ok := c.Set.Kept[e.Addr]
			if !used[i] || !ok || listed[e.Addr] {
				continue
			}
			all = append(all, e)
			k.Source = c.Name
			kept[e.Addr] = k
		}
	}
	return Set{Endpoints: discovery.Normalize(all), Kept: kept}
}

// next returns the next position, and when there is another one at the latest.
func (f Failover) next(primary *Contribution, standIn int, at Position, now time.Time) (next Position, due time.Time) {
	lacks := discovery.CountReady(primary.Set.Endpoints) < f.Min
	if lacks == at.FailedOver || at.FailedOver && primary.Failing {
		return Position{FailedOver: at.FailedOver}, due
	}
	if at.Since.IsZero() {
		at.Since = now
	}
	wait := f.After
	if at.FailedOver {
		wait = f.Back
	}
	switch due = at.Since.Add(wait); {
	case now.Before(due):
		return at, due
	case !at.FailedOver && standIn == 0:
		return at, time.Time{}
	}
	return Position{FailedOver: !at.FailedOver}, time.Time{}
}
