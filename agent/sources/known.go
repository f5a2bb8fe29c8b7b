// Package sources puts together what the sources of one backend say: part by part, and
// all of them, as a union or with a failover.
//
// It is pure: what a source answered and the time are parameters, and it starts nothing.
package sources

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// maxListed bounds what is remembered of one source: the addresses that it once listed.
const maxListed = 4 * discovery.MaxEndpoints

// stored is the name of the part that holds what is known from elsewhere than the
// source's own parts: from a state without parts, or from the source that was here
// before. No part of a source has such a name, which is not printable.
const stored = "\x00"

// accepted is the name of no part: what it listed, as operators say, has none that could list it.
const accepted = stored + "accepted"

// Known is what one source is known to have listed, part by part. It is made by
// [NewKnown].
type Known struct {
	parts map[string]*part
	// ofPredecessor: everything is in the part that is stored, and is another source's.
	ofPredecessor bool
	listed        map[netip.AddrPort]listing
	policy        discovery.Policy
	set           Set
}

// A listing is when an address was listed last, and by which part.
type listing struct {
	at   time.Time
	part string
}

// A part is one part, as it was answered last.
type part struct {
	parent    string
	proven    bool // it was whole once in this process
	state     discovery.Completeness
	reason    string                                // why it is not whole
	endpoints map[netip.AddrPort]discovery.Endpoint // in its last answer
	kept      map[netip.AddrPort]keeping            // in none since it was last whole
}

// A keeping is an endpoint that a part keeps.
type keeping struct {
	endpoint discovery.Endpoint
	since    time.Time
}

// A Set is what a source lists and what is kept of it, after the policy.
type Set struct {
	// Endpoints are all of them, normalized.
	Endpoints []discovery.Endpoint
	// Kept are those that nothing lists now, by address.
	Kept map[netip.AddrPort]Kept
	// Refused are those that the policy does not let pass.
	Refused []discovery.Rejection
}

// Listed returns those of s that are not only kept.
func (s Set) Listed() []discovery.Endpoint {
	if len(s.Kept) == 0 {
		return s.Endpoints
	}
	return slices.DeleteFunc(slices.Clone(s.Endpoints), func(e discovery.Endpoint) bool { _, kept := s.Kept[e.Addr]; return kept })
}

// Kept says why an endpoint is there although nothing lists it now.
type Kept struct {
	Source string // set by [Combine]
	Part   string // "" for all of the source
	Reason string
	Since  time.Time
}

// NewKnown returns what is known of a source that has not answered yet: nothing.
func NewKnown(policy discovery.Policy) *Known {
	k := &Known{parts: map[string]*part{}, listed: map[netip.AddrPort]listing{}, policy: policy}
	k.recompute(time.Time{})
	return k
}

// Clone returns a copy that shares nothing with k that either changes.
func (k *Known) Clone() *Known {
	c := *k
	c.parts = make(map[string]*part, len(k.parts))
	for name, p := range k.parts {
		q := *p
		q.kept = maps.Clone(p.kept) // endpoints are replaced, never written to
		c.parts[name] = &q
	}
	c.listed = maps.Clone(k.listed)
	return &c
}

// Set returns what the source lists and what is kept of it. It is not written to.
func (k *Known) Set() Set { return k.set }

// SetPolicy puts another policy in force.
func (k *Known) SetPolicy(p discovery.Policy, now time.Time) {
	k.policy = p
	k.recompute(now)
}

// OfPredecessor reports whether what is known is another source's.
func (k *Known) OfPredecessor() bool { return k.ofPredecessor }

// Answer takes what the source says. Parts that r does not have end, unless their
// parent is not whole; what parts that are not whole listed before is kept. replaced
// says that what was another source's is gone with it: not by an empty answer, for the
// name may be misspelt.
func (k *Known) Answer(r discovery.Reading, now time.Time) (replaced bool) {
	there := map[string]bool{}
	for _, p := range r.Parts {
		there[p.Name] = true
		k.answer(p, now)
	}
	for _, name := range slices.Sorted(maps.Keys(k.parts)) {
		if !there[name] && name != stored {
			k.orphan(name, there, now)
		}
	}
	if replaced = k.endStored(r, now); replaced {
		k.listed = map[netip.AddrPort]listing{}
	}
	for _, p := range r.Parts {
		for _, e := range p.Endpoints {
			k.listed[e.Addr] = listing{now, p.Name}
		}
	}
	k.forgetListed()
	k.recompute(now)
	return replaced
}

// answer takes what one part says.
func (k *Known) answer(p discovery.Part, now time.Time) {
	was := k.parts[p.Name]
	next := &part{parent: p.Parent, state: p.State, reason: p.Reason(), endpoints: discovery.ByAddr(p.Endpoints)}
	next.proven = p.State == discovery.Whole || was != nil && was.proven
	if was != nil && p.State != discovery.Whole {
		next.keep(was, now)
	}
	k.parts[p.Name] = next
}

// keep keeps what was known before and is not listed.
func (p *part) keep(was *part, now time.Time) {
	p.kept = map[netip.AddrPort]keeping{}
	for a, e := range was.endpoints {
		p.kept[a] = keeping{e, now}
	}
	maps.Copy(p.kept, was.kept)
	for a := range p.endpoints {
		delete(p.kept, a)
	}
}

// orphan ends a part that the source does not name any more, with its parent too, or keeps
// it while the part that would name it is there and not whole.
func (k *Known) orphan(name string, there map[string]bool, now time.Time) {
	p := k.parts[name]
	parent := k.parts[p.parent]
	if p.parent == "" || parent == nil || there[p.parent] && parent.state == discovery.Whole || !there[p.parent] && parent.parent == "" {
		delete(k.parts, name)
		return
	}
	k.lose(name, parent.reason, now)
}

// lose notes why a part is not known, and keeps what it had.
func (k *Known) lose(name, reason string, now time.Time) {
	p := k.parts[name]
	next := &part{parent: p.parent, proven: p.proven, state: discovery.Unknown, reason: reason}
	next.keep(p, now)
	k.parts[name] = next
}

// endStored drops what is known from elsewhere once the source has said everything, and
// reports whether it was another source's.
func (k *Known) endStored(r discovery.Reading, now time.Time) (ofPredecessor bool) {
	if k.parts[stored] == nil {
		return false
	}
	if r.Settled() && (!k.ofPredecessor || len(r.Endpoints()) > 0) {
		delete(k.parts, stored)
		ofPredecessor, k.ofPredecessor = k.ofPredecessor, false
		return ofPredecessor
	}
	reason := "not all of it was read since"
	if gaps := r.Gaps(); len(gaps) > 0 {
		reason = gaps[0]
	} else if k.ofPredecessor {
		reason = "of the source before; this one lists nothing yet"
	}
	k.lose(stored, reason, now)
	return false
}

// Fail notes that the source did not answer at all: everything is kept.
func (k *Known) Fail(reason string, now time.Time) {
	for name := range k.parts {
		k.lose(name, reason, now)
	}
	k.recompute(now)
}

// Accept ends what is kept of these addresses, and returns those that were. They count as gone
// wherever they are found, whatever becomes of the part that listed them.
func (k *Known) Accept(addrs []netip.AddrPort, now time.Time) []netip.AddrPort {
	var gone []netip.AddrPort
	for _, a := range addrs {
		if _, ok := k.set.Kept[a]; !ok {
			continue
		}
		for _, p := range k.parts {
			delete(p.kept, a)
		}
		k.listed[a] = listing{k.listed[a].at, accepted}
		gone = append(gone, a)
	}
	k.set.Endpoints = slices.DeleteFunc(slices.Clone(k.set.Endpoints), func(e discovery.Endpoint) bool { return slices.Contains(gone, e.Addr) })
	k.recompute(now)
	return gone
}

// recompute puts the parts together.
func (k *Known) recompute(now time.Time) {
	var all []discovery.Endpoint
	listed := map[netip.AddrPort]bool{}
	kept := map[netip.AddrPort]Kept{}
	for _, name := range slices.Sorted(maps.Keys(k.parts)) {
		for a, e := range k.parts[name].endpoints {
			all = append(all, e)
			listed[a] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.parts)) {
		p := k.parts[name]
		for a, e := range p.kept {
			if _, ok := kept[a]; ok || listed[a] {
				continue
			}
			all = append(all, e.endpoint)
			kept[a] = Kept{Part: partName(name), Reason: p.reason, Since: e.since}
		}
	}
	all = discovery.Normalize(all)
	if len(all) > 2*discovery.MaxEndpoints {
		all = k.dropOldest(all, kept)
	}
	pass, refused := k.policy.Select(all)
	if len(pass) == 0 && len(all) > 0 { // a policy that refuses everything removes nothing
		pass, kept = k.keepRefused(now)
	}
	maps.DeleteFunc(kept, func(a netip.AddrPort, _ Kept) bool { return !contains(pass, a) })
	k.set = Set{Endpoints: pass, Kept: kept, Refused: refused}
}

func partName(name string) string {
	if name == stored {
		return ""
	}
	return name
}

// keepRefused keeps the set as it was before everything was refused.
func (k *Known) keepRefused(now time.Time) ([]discovery.Endpoint, map[netip.AddrPort]Kept) {
	kept := map[netip.AddrPort]Kept{}
	for _, e := range k.set.Endpoints {
		was, ok := k.set.Kept[e.Addr]
		if !ok {
			was = Kept{Since: now}
		}
		was.Reason = "all addresses are refused by allow, deny or family"
		kept[e.Addr] = was
	}
	return k.set.Endpoints, kept
}

// dropOldest drops what is kept longest until the set is within its bound.
func (k *Known) dropOldest(all []discovery.Endpoint, kept map[netip.AddrPort]Kept) []discovery.Endpoint {
	oldest := slices.SortedFunc(maps.Keys(kept), func(a, b netip.AddrPort) int { return kept[a].Since.Compare(kept[b].Since) })
	drop := map[netip.AddrPort]bool{}
	for _, a := range oldest[:min(len(oldest), len(all)-2*discovery.MaxEndpoints)] {
		drop[a] = true
		delete(kept, a)
		for _, p := range k.parts {
			delete(p.kept, a)
		}
	}
	return slices.DeleteFunc(all, func(e discovery.Endpoint) bool { return drop[e.Addr] })
}

// forgetListed forgets what was named longest ago when that becomes too much.
func (k *Known) forgetListed() {
	if len(k.listed) <= maxListed {
		return
	}
	old := slices.SortedFunc(maps.Keys(k.listed), func(x, y netip.AddrPort) int {
		return k.listed[x].at.Compare(k.listed[y].at)
	})
	for _, a := range old[:len(old)-maxListed] {
		delete(k.listed, a)
	}
}

// Listed reports whether the source ever named a.
func (k *Known) Listed(a netip.AddrPort) bool { _, ok := k.listed[a]; return ok }

// LastListed is when the source named a last; zero for never.
func (k *Known) LastListed(a netip.AddrPort) time.Time { return k.listed[a].at }

// EverListed returns every address that the source is remembered to have named.
func (k *Known) EverListed() []netip.AddrPort { return slices.Collect(maps.Keys(k.listed)) }

// MayRemove reports whether a, found in service, is the source's to remove: it is in the
// set, or it was listed, and the part that did has been whole since the start, or ended.
func (k *Known) MayRemove(a netip.AddrPort) bool {
	l, ok := k.listed[a]
	if !ok || k.Has(a) {
		return ok
	}
	p := k.parts[l.part]
	return p == nil || p.proven
}

// Lacks reports whether a is known to be gone: nothing lists or keeps it, and the part
// that listed it is whole now, or has ended.
func (k *Known) Lacks(a netip.AddrPort) bool {
	p := k.parts[k.listed[a].part]
	return !k.Has(a) && !k.Silent(a) && (p == nil || p.state == discovery.Whole)
}

// Silent reports whether the part that listed a is not known now; where it has ended, whether a
// part is not that would name it again.
func (k *Known) Silent(a netip.AddrPort) bool {
	if p := k.parts[k.listed[a].part]; p != nil {
		return p.state == discovery.Unknown
	}
	for name, p := range k.parts {
		if name != stored && p.parent == "" && p.state == discovery.Unknown {
			return true
		}
	}
	return false
}

// Endpoint returns what the set has at a; ok is false if it has nothing, or only keeps
// it.
func (k *Known) Endpoint(a netip.AddrPort) (e discovery.Endpoint, ok bool) {
	if !k.Lists(a) {
		return discovery.Endpoint{}, false
	}
	i := slices.IndexFunc(k.set.Endpoints, func(e discovery.Endpoint) bool { return e.Addr == a })
	return k.set.Endpoints[i], true
}

// Seen reports whether the source itself ever named an endpoint.
func (k *Known) Seen() bool { return !k.ofPredecessor && len(k.listed) > 0 }

// AddListed has addresses count as named: an operator says that they are the source's.
func (k *Known) AddListed(addrs []netip.AddrPort, now time.Time) {
	for _, a := range addrs {
		k.listed[a] = listing{now, accepted}
	}
}

// Lists reports whether the source names a now; what is kept is not named.
func (k *Known) Lists(a netip.AddrPort) bool {
	if _, kept := k.set.Kept[a]; kept {
		return false
	}
	return k.Has(a)
}

// Has reports whether a is in the set, listed or kept.
func (k *Known) Has(a netip.AddrPort) bool { return contains(k.set.Endpoints, a) }

// contains reports whether a is among eps, which are sorted by address.
func contains(eps []discovery.Endpoint, a netip.AddrPort) bool {
	_, ok := slices.BinarySearchFunc(eps, a, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	return ok
}

// Inherit has k begin with what is known of the source whose place it takes. It stays
// until this one has said everything, and named an endpoint; same says that it is the
// same question, asked otherwise.
func (k *Known) Inherit(old *Known, same bool, now time.Time) {
	k.listed = maps.Clone(old.listed)
	if same && !old.ofPredecessor {
		k.parts = old.Clone().parts
		k.recompute(now)
		return
	}
	k.ofPredecessor = true
	p := &part{state: discovery.Unknown, reason: "of the source before; this one has not answered yet", kept: map[netip.AddrPort]keeping{}}
	for _, e := range old.set.Endpoints {
		since := now
		if was, ok := old.set.Kept[e.Addr]; ok {
			since = was.Since
		}
		p.kept[e.Addr] = keeping{e, since}
	}
	k.parts = map[string]*part{stored: p}
	k.recompute(now)
}

// Drop forgets those endpoints for which gone holds, of all parts.
func (k *Known) Drop(gone func(discovery.Endpoint) bool, now time.Time) {
	for _, p := range k.parts {
		p.endpoints = maps.Clone(p.endpoints)
		maps.DeleteFunc(p.endpoints, func(_ netip.AddrPort, e discovery.Endpoint) bool { return gone(e) })
		maps.DeleteFunc(p.kept, func(_ netip.AddrPort, e keeping) bool { return gone(e.endpoint) })
	}
	k.recompute(now)
}
