// Package discovery says where the endpoints of a service are.
//
// It holds the contract between the systems that know (the packages below it)
// and the agent: a [Source] answers with a [Reading], which is a complete set,
// or with an [Error], which says nothing about endpoints at all. An error is
// never an empty set.
//
// It also holds what several of those packages need to ask their systems: over HTTP
// ([API], [Location], [Trust]), by blocking queries ([Setbacks], [Collapsed]), again
// after trouble ([Gate], [Hopes]), and for those who want to know ([Diary]).
package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// MaxEndpoints bounds the endpoints of one service. A source that hears of more
// answers with an error of class [Protocol].
const MaxEndpoints = 10_000

// State says what an endpoint may be used for.
type State uint8

const (
	// Ready endpoints take traffic. It is the zero value.
	Ready State = iota
	// Drain endpoints keep the sessions they have: maintenance at the source,
	// or weight 0.
	Drain
	// Down endpoints are registered and known to be unhealthy.
	Down
)

// String returns "ready", "drain" or "down".
func (s State) String() string {
	switch s {
	case Ready:
		return "ready"
	case Drain:
		return "drain"
	case Down:
		return "down"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what MarshalText returns.
func (s *State) UnmarshalText(b []byte) error {
	for _, known := range []State{Ready, Drain, Down} {
		if string(b) == known.String() {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("unknown endpoint state %q", b)
}

// An Endpoint is one address at which a service can be reached.
type Endpoint struct {
	// Addr is the identity of the endpoint. It passes [Check].
	Addr netip.AddrPort `json:"addr"`
	// Weight is the source's own, unscaled. 0 stands for "the source names
	// none"; a source that says weight 0 says State Drain.
	Weight int `json:"weight,omitempty"`
	// State is what the endpoint may be used for.
	State State `json:"state,omitempty"`
	// Name is what people call the endpoint (a service ID, a DNS target). It is
	// shown, never interpreted, and holds printable characters only.
	Name string `json:"name,omitempty"`
	// Reason says in a word or two why the endpoint is not ready.
	Reason string `json:"reason,omitempty"`
}

// String returns the address, and the state where it is not ready.
func (e Endpoint) String() string {
	if e.State == Ready {
		return e.Addr.String()
	}
	return e.Addr.String() + " (" + e.State.String() + ")"
}

// A Rejection is something a source named that cannot be an endpoint.
type Rejection struct {
	// Reason is one of a small, fixed set of words; see [Check].
	Reason string `json:"reason"`
	// Name says which instance it was, and Value what was wrong with it; both
	// are cut to 100 printable characters.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Reading is one complete answer: these endpoints and no others.
type Reading struct {
	// Endpoints are sorted by address, without duplicates: see [Normalize].
	Endpoints []Endpoint
	// Weak readings may add endpoints and never remove any: the answer may be
	// old, partial, or of one server that could not be asked twice.
	Weak bool
	// Rejected lists what was named and refused.
	Rejected []Rejection
	// Note says in a few words what the reading rests on, as in "index 42" or
	// "NXDOMAIN from 2 servers", for people.
	Note string
}

// A Source knows one service in one discovery system. Its methods may be called
// from different goroutines, but Next is not called again before it returned.
type Source interface {
	// Next blocks until there may be news; its first call returns as soon as
	// anything is known, and so does the call after an error, which proves that
	// the source answers again. Every error is an [Error], except ctx's own. A
	// source that is asked in vain does not wait before it returns an error:
	// [Watch] does that.
	Next(ctx context.Context) (Reading, error)

	// Confirm asks in the strongest way there is, now, also while Next blocks.
	Confirm(ctx context.Context) (Reading, error)

	// String names the source for people, as in "consul service web".
	fmt.Stringer
}

// Normalize returns eps sorted by address, with the endpoints of one address
// merged: the best state, then the largest weight, then the smallest name.
// Equal sets have equal results, whatever their order was.
func Normalize(eps []Endpoint) []Endpoint {
	eps = slices.Clone(eps)
	slices.SortFunc(eps, func(a, b Endpoint) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.State, b.State),
			cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.CompactFunc(eps, func(a, b Endpoint) bool { return a.Addr == b.Addr })
}
