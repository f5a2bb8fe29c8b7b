package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Kinds of override.
const (
	OverrideState  = "state"  // drain or maint
	OverrideWeight = "weight" // another weight
	OverrideServer = "server" // an endpoint that no source lists
)

// OverrideKinds lists them, for metrics.
var OverrideKinds = [...]string{OverrideState, OverrideWeight, OverrideServer}

// States that an operator may ask for.
const (
	StateReady = "ready" // what the sources say, again
	StateDrain = "drain"
	StateMaint = "maint"
)

const (
	// overrideLinger is how long an override outlives its endpoint.
	overrideLinger = 24 * time.Hour
	// maxOverrides bounds what operators can ask for at a time.
	maxOverrides = 1000
	// maxLimited bounds what those can ask for besides who have not full rights.
	maxLimited = 50
)

// An Override is what an operator asked of an endpoint. It holds on all instances,
// over restarts of everything, until it is released, its time is over, or its
// endpoint has not been listed for 24 hours.
type Override struct {
	// Backend is ours; "" for the address on all backends.
	Backend string `json:"backend"`
	// Address is "ip:port", or the address alone on all backends.
	Address string `json:"address"`
	// Kind is [OverrideState], [OverrideWeight] or [OverrideServer].
	Kind string `json:"kind"`
	// State is "drain" or "maint", with kind state.
	State string `json:"state,omitempty"`
	// Weight is as in "58", 0 to 256, or as in "20%" of the template's, with kind
	// weight; also with kind server, "" for the template's.
	Weight string `json:"weight,omitempty"`
	// Name is what people call the endpoint, with kind server.
	Name   string    `json:"name,omitempty"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends by itself, absent for never.
	Until *time.Time `json:"until,omitempty"`
	// Keep: it stays however long its endpoint is not listed.
	Keep bool `json:"keep,omitempty"`
	// Limited: it was asked for without full rights.
	Limited bool `json:"limited,omitempty"`
	// Listed is when its endpoint was listed last.
	Listed time.Time `json:"listed"`
}

// A subject is what an override is about, and how: there is one for each.
type subject struct {
	backend string         // "" for all
	addr    netip.AddrPort // without a port for all of an address; not valid for none
	kind    string
}

func (o *Override) subject() subject {
	addr, err := netip.ParseAddrPort(o.Address)
	if o.Backend == "" {
		var ip netip.Addr
		ip, err = netip.ParseAddr(o.Address)
		addr = netip.AddrPortFrom(ip, 0)
	}
	if err != nil {
		addr = netip.AddrPort{}
	}
	return subject{o.Backend, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), o.Kind}
}

// concerns reports whether s is about the endpoint of that backend.
func (s subject) concerns(backend string, a netip.AddrPort) bool {
	if s.backend == "" {
		return s.addr.Addr() == a.Addr()
	}
	return s.backend == backend && s.addr == a
}

// isIn reports whether any of eps, which are sorted, is what s is about.
func (s subject) isIn(eps []discovery.Endpoint) bool {
	i, found := slices.BinarySearchFunc(eps, s.addr, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	return found || s.backend == "" && i < len(eps) && eps[i].Addr.Addr() == s.addr.Addr()
}

// over reports whether o has ended by itself.
func (o *Override) over(now time.Time) bool {
	if o.Until != nil && !now.Before(*o.Until) {
		return true
	}
	return !o.Keep && o.Kind != OverrideServer && now.Sub(o.Listed) >= overrideLinger
}

// says reports whether o makes its endpoint what a source may say that it is.
func (o *Override) says(word string) bool {
	if word == SaysDrain {
		return o.State == StateDrain || isZero(o.Weight)
	}
	return word == SaysDown && o.State == StateMaint
}

// Words says what o is, as in "drain by ann: new kernel, until 2026-11-21T17:00:00Z".
func (o *Override) Words() string {
	words := o.State
	switch o.Kind {
	case OverrideWeight:
		words = "weight " + o.Weight
	case OverrideServer:
		words = "added"
	}
	if o.By != "" {
		words += " by " + o.By
	}
	if o.Reason != "" {
		words += ": " + o.Reason
	}
	if o.Until != nil {
		words += ", until " + o.Until.UTC().Format(time.RFC3339)
	}
	return words
}

// weightOf returns the weight that text stands for: HAProxy's own, or a share of
// the template's, at least 1. 0 is for what is no weight, or drains.
func weightOf(text string, initial int) int {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.Atoi(share)
		if err != nil || n <= 0 {
			return 0
		}
		return min(max(1, initial*n/100), 256)
	}
	n, _ := strconv.Atoi(text) // 0 then
	return min(max(n, 0), 256)
}

func isZero(weight string) bool { return strings.Trim(weight, "0%") == "" && weight != "" }

// CheckWeight returns why text is not a weight for a server: 0 to 256, or a share of
// the template's, of which no more than 256 comes.
func CheckWeight(text string) error {
	share, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(share)
	switch {
	case err != nil || strings.TrimLeft(share, "0123456789") != "":
		return fmt.Errorf("%q is no weight: want 0 to 256, or a share of the configured weight as in 20%%", discovery.Printable(text, 40))
	case percent && n > 25_600:
		return fmt.Errorf("%s is more than any weight: HAProxy knows 0 to 256", text)
	case !percent && n > 256:
		return fmt.Errorf("weight %d is not within 0 and 256", n)
	}
	return nil
}
