package slots

import (
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Slot is one server of a server-template and the endpoint that it holds. Its name
// is each instance's own: the prefix there and Number.
type Slot struct {
	Number int
	// Endpoint is the one that the slot holds; its zero Addr stands for free.
	Endpoint discovery.Endpoint
	// Last is the address that a free slot still carries in HAProxy.
	Last netip.AddrPort
	// Freed is when the slot became free; zero if it was never used.
	Freed time.Time
	// Busy: some instance still has sessions there; of a slot whose endpoint is
	// not ready also where they are not known. Ready ones are never Busy.
	Busy bool
	// Before is the endpoint that had the slot when it was there last; it gets it
	// back. Zero if there is none, or while Endpoint is set.
	Before netip.AddrPort
	// Lacking: some instance has no such slot. Used after all others of the
	// template.
	Lacking bool
	// Dynamic: the slot is in no template. It is added at run time where it is
	// missing, and removed when it is free.
	Dynamic bool
	// Reserved: the slot is somebody else's; never used.
	Reserved bool
}

// Free reports whether s holds no endpoint.
func (s Slot) Free() bool { return !s.Endpoint.Addr.IsValid() }

// A Table is the slots of one backend, by number. It is the same for all
// instances.
type Table []Slot

// A Target is what one slot should be on one instance.
type Target struct {
	Number int
	// Addr is the wanted address; zero if it does not matter (a free slot).
	Addr netip.AddrPort
	// Class is the wanted one; Maint for a free slot.
	Class Class
	// Weight is the wanted one, 1..256; 0 stands for the one of the
	// configuration ([Server].Initial).
	Weight int
	// Leave: the slot is not to be touched, whatever it is.
	Leave bool
	// External: somebody else took the slot out of service, its agent-check perhaps, and
	// may bring it back.
	External bool
	// Dynamic: the server is to be added where it is missing or, without Addr,
	// removed where it was added.
	Dynamic bool
}

// Kind says what a change does, for people and metrics.
type Kind string

// The kinds of change.
const (
	Fill       Kind = "fill"   // gets an address and takes traffic
	Enable     Kind = "enable" // has its address already, and takes traffic again
	Weigh      Kind = "weight" // only the weight changes
	StartDrain Kind = "drain"  // keeps its sessions only
	Empty      Kind = "empty"  // goes to maintenance
	Park       Kind = "park"   // gets an address and stays in maintenance
	Add        Kind = "add"    // comes to be, with an address
	Remove     Kind = "remove" // goes; only ever one that was added
	// Shut ends the sessions of a slot in maintenance, and changes nothing else.
	// [Diff] never asks for it.
	Shut Kind = "shut"
)

// Kinds lists every kind that [Diff] has, for metrics that start at 0.
var Kinds = [...]Kind{Fill, Enable, Weigh, StartDrain, Empty, Park, Add, Remove}

// A Change is what one slot of one instance has to go through, in this order:
// address (only ever in maintenance, and proved before anything else happens to
// the slot), weight, class. A server that is added comes with address and weight.
type Change struct {
	Backend string
	// Slot is the name of the server, Number the one of the slot.
	Slot   string
	Number int
	Kind   Kind
	// Addr is set if it is valid.
	Addr netip.AddrPort
	// Weight is set if it is not 0; 1..256.
	Weight int
	// Class is set if SetClass.
	Class    Class
	SetClass bool
	// Options are further keywords of a server that is added, as in "check inter
	// 1s" ("default-server" is ignored for those). [Diff] leaves them empty.
	Options string
	// From is what the instance showed before; zero for a server that is added.
	From Server
}

// A Plan is what has to happen next at one backend of one instance.
type Plan struct {
	// Changes can be made now, in this order: what gains capacity comes first.
	Changes []Change
	// Waiting are changes that must wait: for the sessions of a slot to end,
	// for a slot to be emptied or filled first. Changes that make room for them
	// are in Changes.
	Waiting []Change
}

// TakesOut reports whether a slot that is wanted in service in before is not, or with another
// address, in after.
func TakesOut(before, after []Target) bool {
	later := FindTarget(after)
	return slices.ContainsFunc(before, func(t Target) bool {
		now := later(t.Number)
		return t.Class == Ready && !t.Leave && (now == nil || now.Class != Ready || now.Addr != t.Addr)
	})
}
