package sources

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A PartState is one part, as it is stored.
type PartState struct {
	Name      string               `json:"name"`
	Parent    string               `json:"parent,omitempty"`
	Endpoints []discovery.Endpoint `json:"endpoints"` // in its last answer, or kept
	// Kept are those that its last answer did not list, and since when they are kept.
	Kept []ListedState `json:"kept,omitempty"`
}

// A ListedState is an address, and when it was listed last, or is kept since.
type ListedState struct {
	Addr netip.AddrPort `json:"addr"`
	Last time.Time      `json:"last"`
	Part string         `json:"part,omitempty"` // that listed it
}

// State returns the parts, and what was ever listed, sorted.
func (k *Known) State() (parts []PartState, listed []ListedState) {
	for _, name := range slices.Sorted(maps.Keys(k.parts)) {
		p := k.parts[name]
		s := PartState{Name: partName(name), Parent: p.parent}
		for _, e := range p.endpoints {
			s.Endpoints = append(s.Endpoints, e)
		}
		for a, e := range p.kept {
			s.Endpoints = append(s.Endpoints, e.endpoint)
			s.Kept = append(s.Kept, ListedState{Addr: a, Last: e.since})
		}
		s.Endpoints = discovery.Normalize(s.Endpoints)
		sortListed(s.Kept)
		if name == stored { // as a state without parts has it
			continue
		}
		parts = append(parts, s)
	}
	for a, l := range k.listed {
		listed = append(listed, ListedState{a, l.at, partName(l.part)})
	}
	sortListed(listed)
	return parts, listed
}

func sortListed(l []ListedState) {
	slices.SortFunc(l, func(x, y ListedState) int { return x.Addr.Compare(y.Addr) })
}

// Restore takes what was stored: the parts, all endpoints (of which those that no part
// has are kept until the source has said everything), and what was ever listed.
// ofPredecessor: they are another source's.
func (k *Known) Restore(parts []PartState, all []discovery.Endpoint, listed []ListedState, ofPredecessor bool, at time.Time) {
	k.ofPredecessor = ofPredecessor
	for _, l := range listed {
		k.listed[l.Addr] = listing{l.Last, l.Part}
	}
	has := map[netip.AddrPort]bool{}
	for _, s := range parts {
		if ofPredecessor || s.Name == stored {
			continue
		}
		p := &part{parent: s.Parent, state: discovery.Unknown, reason: "not answered since the start", kept: map[netip.AddrPort]keeping{}}
		for _, e := range s.Endpoints {
			p.kept[e.Addr] = keeping{e, at}
			has[e.Addr] = true
		}
		for _, l := range s.Kept {
			if e, ok := p.kept[l.Addr]; ok {
				p.kept[l.Addr] = keeping{e.endpoint, l.Last}
			}
		}
		k.parts[s.Name] = p
	}
	rest := &part{state: discovery.Unknown, reason: "not answered since the start", kept: map[netip.AddrPort]keeping{}}
	for _, e := range all {
		if !has[e.Addr] {
			rest.kept[e.Addr] = keeping{e, at}
		}
	}
	if len(rest.kept) > 0 || ofPredecessor {
		k.parts[stored] = rest
	}
	k.recompute(at)
}
