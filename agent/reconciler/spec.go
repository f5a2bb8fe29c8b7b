package reconciler

import (
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// A Spec is everything that one instance should be.
type Spec struct {
	// Generation counts the changes of what is wanted, over all backends.
	Generation uint64
	Timing     Timing
	Backends   map[string]BackendSpec // by our name
}

// Timing says how long a round may take and how often an instance is looked at.
type Timing struct {
	Timeout time.Duration // of one round of commands
	Poll    time.Duration // between two looks at who answers
	Resync  time.Duration // between two comparisons of all slots
}

// A BackendSpec is what one backend of one instance should be.
type BackendSpec struct {
	Generation    uint64 // in which it last changed
	Proxy, Prefix string // HAProxy's name, and that of its slots; prefix "" if it is to be found
	Targets       []slots.Target
	// Dynamic: servers may be added, with the keywords of DynamicOptions.
	Dynamic        bool
	DynamicOptions string
	// ObserveOnly: nothing is written, since nothing is known.
	ObserveOnly bool
	// OperatedOnly: as no source has spoken, only what operators ask for is decided; a free slot is
	// not wanted to be free.
	OperatedOnly bool
	// Repair: what somebody else did to a slot is undone.
	Repair bool
	// Watched: it is reported at each look which servers are up.
	Watched bool
	// Paused: nothing is written, but to a process that is new; Strict: not even there.
	Paused, Strict bool
	// Started are the endpoints whose slots an operator gave back, with when.
	Started map[netip.AddrPort]time.Time
	// Resumed is when an operator ended the conflicts over slots.
	Resumed time.Time
	// SessionEnds are when the sessions of endpoints that left are to be ended.
	SessionEnds map[netip.AddrPort]time.Time
}
