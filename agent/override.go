package agent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
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
	// Listed is when its endpoint was listed last.
	Listed time.Time `json:"listed"`
}

// concerns reports whether o is about the endpoint of that backend.
func (o *Override) concerns(backend string, a netip.AddrPort) bool {
	if o.Backend == "" {
		return o.Address == a.Addr().String()
	}
	return o.Backend == backend && o.Address == a.String()
}

// same reports whether o takes the place of other.
func (o *Override) same(other *Override) bool {
	return o.Backend == other.Backend && o.Address == other.Address && o.Kind == other.Kind
}

// over reports whether o has ended by itself.
func (o *Override) over(now time.Time) bool {
	if o.Until != nil && !now.Before(*o.Until) {
		return true
	}
	return !o.Keep && o.Kind != OverrideServer && now.Sub(o.Listed) >= overrideLinger
}

// why says what o is, for a slot that it holds.
func (o *Override) why() string {
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

// An overrides list is in no particular order, without two for the same.
type overrides []Override

// put adds o, in place of one for the same.
func (l overrides) put(o Override) overrides {
	return append(slices.DeleteFunc(slices.Clone(l), func(x Override) bool { return x.same(&o) }), o)
}

// drop returns the list without those of that kind for the endpoint or address,
// and whether there were any.
func (l overrides) drop(backend, address, kind string) (overrides, bool) {
	gone := Override{Backend: backend, Address: address, Kind: kind}
	left := slices.DeleteFunc(slices.Clone(l), func(x Override) bool { return x.same(&gone) })
	return left, len(left) != len(l)
}

// find returns the override of that kind for an endpoint, the one of its backend
// before the one for its address; nil for none.
func (l overrides) find(backend string, a netip.AddrPort, kind string) *Override {
	if len(l) == 0 {
		return nil
	}
	var found *Override
	whole, alone := a.String(), a.Addr().String() // once: there may be many of both
	for i := range l {
		o := &l[i]
		is := o.Backend == backend && o.Address == whole || o.Backend == "" && o.Address == alone
		if is && o.Kind == kind && (found == nil || o.Backend != "") {
			found = o
		}
	}
	return found
}

// expire returns the list without those that are over; listed are the endpoints of
// every backend, which the others are known to be listed with.
func (l overrides) expire(listed map[string][]discovery.Endpoint, now time.Time) (left, gone overrides) {
	for _, o := range l {
		for backend, eps := range listed {
			if slices.ContainsFunc(eps, func(e discovery.Endpoint) bool { return o.concerns(backend, e.Addr) }) {
				o.Listed = now
			}
		}
		if o.over(now) {
			gone = append(gone, o)
		} else {
			left = append(left, o)
		}
	}
	return left, gone
}

// sorted returns the list in an order for people.
func (l overrides) sorted() []Override {
	out := append([]Override{}, l...)
	slices.SortFunc(out, func(a, b Override) int {
		return cmp.Or(strings.Compare(a.Backend, b.Backend), strings.Compare(a.Address, b.Address), strings.Compare(a.Kind, b.Kind))
	})
	return out
}

// apply returns eps as operators want them: with the endpoints that they added, in
// the states that they asked for. What a source takes out of service they cannot
// put back.
func (l overrides) apply(backend string, eps []discovery.Endpoint) []discovery.Endpoint {
	if len(l) == 0 {
		return eps
	}
	out := slices.Clone(eps)
	there := byAddr(eps)
	for _, o := range l {
		if o.Kind != OverrideServer || o.Backend != backend {
			continue
		}
		a, err := netip.ParseAddrPort(o.Address)
		if _, listed := there[a]; err == nil && !listed {
			out = append(out, discovery.Endpoint{Addr: a, Name: o.Name})
		}
	}
	for i, e := range out {
		out[i] = l.applyTo(backend, e)
	}
	return discovery.Normalize(out)
}

func (l overrides) applyTo(backend string, e discovery.Endpoint) discovery.Endpoint {
	switch o := l.find(backend, e.Addr, OverrideState); {
	case o == nil:
	case o.State == StateMaint:
		e.State, e.Reason = discovery.Down, "stopped by an operator"
	case e.State == discovery.Ready:
		e.State, e.Reason = discovery.Drain, "drained by an operator"
	}
	if o := l.weighs(backend, e.Addr); o != nil && isZero(o.Weight) && e.State == discovery.Ready {
		e.State, e.Reason = discovery.Drain, "weight 0 by an operator"
	}
	return e
}

// reweigh changes the weights of targets as operators want them. initial are the
// weights of the template, by slot.
func (l overrides) reweigh(backend string, targets []slots.Target, initial func(slot string) int) {
	if len(l) == 0 {
		return
	}
	for i, t := range targets {
		if !t.Addr.IsValid() {
			continue
		}
		o := l.weighs(backend, t.Addr)
		if o == nil {
			continue
		}
		if w := weightOf(o.Weight, initial(t.Slot)); w > 0 {
			targets[i].Weight = w
		}
	}
}

// weighs returns the override that gives an endpoint its weight; nil for none.
func (l overrides) weighs(backend string, a netip.AddrPort) *Override {
	if o := l.find(backend, a, OverrideWeight); o != nil {
		return o
	}
	if o := l.find(backend, a, OverrideServer); o != nil && o.Weight != "" {
		return o
	}
	return nil
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
