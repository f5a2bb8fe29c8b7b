// Package discovery says where the endpoints of a service are.
//
// It holds the contract between the systems that know (the packages below it)
// and the agent: a [Source] answers with a [Reading], which says part by part what is
// there and what that proves, or with an [Error], which says nothing about endpoints at
// all. An error is never an empty set, neither of a source nor of a part.
//
// [Watch] calls a source for as long as it is wanted, at a pace that neither the source
// nor the agent suffers from. [Policy] says which addresses a backend takes. What else a
// source can do is an interface of its own: go on soon after trouble ([Recoverer]), say
// what it does ([Active]), remember over restarts ([Rememberer]), be told that what it
// lacks is gone ([Acceptor]), look for what is wrong with it ([Diagnoser]).
//
// The package itself asks nobody: it opens no file and no connection.
package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
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

var states = [...]string{Ready: "ready", Drain: "drain", Down: "down"}

// String returns "ready", "drain" or "down".
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what MarshalText returns.
func (s *State) UnmarshalText(b []byte) error {
	i := slices.Index(states[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown endpoint state %q", b)
	}
	*s = State(i)
	return nil
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

// A Completeness says what it proves that an endpoint is not in a [Part].
type Completeness uint8

const (
	// Whole parts have all of their endpoints, possibly none: what is missing is gone.
	// It is the zero value.
	Whole Completeness = iota
	// Partial parts prove who is there and not who is gone: the answer may be old, cut,
	// filtered, or a "none" of a server that is not known to have had the name.
	Partial
	// Unknown parts could not be read.
	Unknown
)

// String returns "whole", "partial" or "unknown".
func (c Completeness) String() string {
	words := [...]string{Whole: "whole", Partial: "partial", Unknown: "unknown"}
	if int(c) < len(words) {
		return words[c]
	}
	return fmt.Sprintf("Completeness(%d)", uint8(c))
}

// A Part is a piece of what a source knows that is answered, or fails, by itself: a
// list of Consul, one name and address family in DNS, the addresses of one SRV target,
// one file. Nothing is removed because a part is not whole, and no part waits for
// another.
type Part struct {
	// Name tells the part from the others of its source, in one reading and from
	// reading to reading, and tells people what it is, as in "AAAA of web.example.org".
	// It is printable, and not empty where a source has several.
	Name string
	// Parent is the name of the part that says which parts there are, "" for none: the
	// SRV records are the parent of their targets, a folder is that of its files. A part
	// that a reading does not have has ended if its parent is whole there, or if it has
	// no parent; else it is unknown, like its parent.
	Parent string
	// State says what Endpoints prove.
	State Completeness
	// Endpoints are those that were named. Unknown parts have none.
	Endpoints []Endpoint
	// Err is why the part is unknown: an [Error]. It is nil for other parts.
	Err error
	// Why says in a few words why the part is partial, for people.
	Why string
}

// Reason says why p is not whole, for people; "" if it is.
func (p Part) Reason() string {
	switch {
	case p.State == Whole:
		return ""
	case p.Err != nil:
		return p.Err.Error()
	}
	return p.Why
}

// NoneYet begins the Why of a part that was said to have nothing, where nobody is known
// to have ever shown anything of it.
const NoneYet = "none yet: "

// NoneYet reports whether p was said to have nothing, and is not known to have ever had
// anything. That proves nothing, and nothing is amiss: a name without IPv6 is like that.
func (p Part) NoneYet() bool {
	return p.State == Partial && len(p.Endpoints) == 0 && strings.HasPrefix(p.Why, NoneYet)
}

// A Reading is one answer of a source: what each of its parts says.
type Reading struct {
	// Parts are sorted by name after [Reading.Normalized]. At least one of them is not
	// unknown: where nothing answered there is an error instead of a reading.
	Parts []Part
	// Rejected lists what was named and refused.
	Rejected []Rejection
	// Note says in a few words what the reading rests on, as in "index 42" or
	// "NXDOMAIN from 2 servers", for people.
	Note string
}

// Complete returns the reading of a source that has one part, and knows all of it.
func Complete(eps ...Endpoint) Reading { return Reading{Parts: []Part{{Endpoints: eps}}} }

// Endpoints returns what any part names, normalized: see [Normalize].
func (r Reading) Endpoints() []Endpoint {
	if len(r.Parts) == 1 {
		return Normalize(r.Parts[0].Endpoints)
	}
	var all []Endpoint
	for _, p := range r.Parts {
		all = append(all, p.Endpoints...)
	}
	return Normalize(all)
}

// Whole reports whether every part is.
func (r Reading) Whole() bool {
	return !slices.ContainsFunc(r.Parts, func(p Part) bool { return p.State != Whole })
}

// Partly returns r with every part that is whole made partial, for this reason.
func (r Reading) Partly(why string) Reading {
	r.Parts = slices.Clone(r.Parts)
	for i := range r.Parts {
		if p := &r.Parts[i]; p.State == Whole {
			p.State, p.Why = Partial, why
		}
	}
	return r
}

// Settled reports whether nothing that was ever there may be missing from r: every part
// is whole, or has none yet.
func (r Reading) Settled() bool {
	return !slices.ContainsFunc(r.Parts, func(p Part) bool { return p.State != Whole && !p.NoneYet() })
}

// Gaps lists the parts that are not whole, as in "AAAA of web.example.org: server:
// SERVFAIL from 10.0.0.1".
func (r Reading) Gaps() []string {
	var out []string
	for _, p := range r.Parts {
		switch {
		case p.State == Whole:
		case p.Name == "":
			out = append(out, p.Reason())
		default:
			out = append(out, p.Name+": "+p.Reason())
		}
	}
	return out
}

// Normalized returns r with everything in an order that does not depend on the
// source's, and with the endpoints of each part normalized.
func (r Reading) Normalized() Reading {
	r.Parts = slices.Clone(r.Parts)
	for i := range r.Parts {
		r.Parts[i].Endpoints = Normalize(r.Parts[i].Endpoints)
	}
	slices.SortStableFunc(r.Parts, func(a, b Part) int { return cmp.Compare(a.Name, b.Name) })
	r.Rejected = slices.SortedFunc(slices.Values(r.Rejected), func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Reason, b.Reason))
	})
	return r
}

// Equal reports whether two normalized readings say the same of who is there and of
// what is refused. Why something is not known, and the note, are not part of it: they
// name an index, a server or a time.
func (r Reading) Equal(other Reading) bool {
	return slices.EqualFunc(r.Parts, other.Parts, func(a, b Part) bool {
		return a.Name == b.Name && a.Parent == b.Parent && a.State == b.State && slices.Equal(a.Endpoints, b.Endpoints)
	}) && slices.Equal(r.Rejected, other.Rejected)
}

// A Source knows one service in one discovery system. Its methods may be called
// from different goroutines, but Next is not called again before it returned.
type Source interface {
	// Next blocks until there may be news; its first call returns as soon as
	// anything is known, and so does the call after an error, which proves that
	// the source answers again. Every error is an [Error], except ctx's own. A
	// source that is asked in vain does not wait before it returns an error:
	// [Watch] does that. There is an error only if no part answered.
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

// CountReady returns how many of eps are [Ready]: those that take traffic.
func CountReady(eps []Endpoint) int {
	n := 0
	for _, e := range eps {
		if e.State == Ready {
			n++
		}
	}
	return n
}

// ByAddr returns eps by their address.
func ByAddr(eps []Endpoint) map[netip.AddrPort]Endpoint {
	m := make(map[netip.AddrPort]Endpoint, len(eps))
	for _, e := range eps {
		m[e.Addr] = e
	}
	return m
}
