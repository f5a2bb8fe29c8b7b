package discoverytest

import (
	"maps"
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// A Keeper keeps of readings what [discovery.Part] says: it has what each part listed last
// and, where that is not whole, what it listed before.
type Keeper map[string]discovery.Part

// Take follows a reading and returns the addresses that are there then, listed or kept, as
// texts in the order of addresses. An error keeps everything: it is not to be taken.
func (k Keeper) Take(r discovery.Reading) []string {
	states := map[string]discovery.Completeness{}
	for _, p := range r.Parts {
		if p.State != discovery.Whole {
			p.Endpoints = besides(p.Endpoints, k[p.Name].Endpoints)
		}
		k[p.Name], states[p.Name] = p, p.State
	}
	maps.DeleteFunc(k, func(name string, p discovery.Part) bool { return k.ended(p, states) })
	var out []string
	for _, e := range k.Endpoints() {
		out = append(out, e.Addr.String())
	}
	return out
}

// ended reports whether p has after a reading of parts in these states: it is not there, and
// neither is its parent, or that is whole.
func (k Keeper) ended(p discovery.Part, states map[string]discovery.Completeness) bool {
	if _, there := states[p.Name]; there {
		return false
	}
	parent, known := k[p.Parent]
	if p.Parent == "" || !known {
		return true
	}
	if state, there := states[p.Parent]; there {
		return state == discovery.Whole
	}
	return k.ended(parent, states)
}

// besides returns what is listed, and of what was before that which is not.
func besides(listed, before []discovery.Endpoint) []discovery.Endpoint {
	all := discovery.ByAddr(before)
	maps.Copy(all, discovery.ByAddr(listed))
	return slices.SortedFunc(maps.Values(all), func(a, b discovery.Endpoint) int { return a.Addr.Compare(b.Addr) })
}

// Endpoints are those that are there, normalized.
func (k Keeper) Endpoints() []discovery.Endpoint {
	return discovery.Reading{Parts: slices.Collect(maps.Values(k))}.Endpoints()
}
