package simulation

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// This file is about sources that may not read all there is, like a list of Consul that ACLs
// filter: an answer says that something was left out, and not what.

// rights are what becomes of that by the contract: a list of which something was left out from
// the first on is whole; one of which something is left out that was not before is partial
// until an operator accepts what it lacks.
type rights struct {
	token            int
	asked            bool
	normal, narrowed bool
	listed           map[netip.AddrPort]bool
}

// see takes an answer, and reports whether it may lack what is there.
func (s *rights) see(listed []discovery.Endpoint, filtered bool) bool {
	if !s.asked {
		s.asked, s.normal, s.listed = true, filtered, map[netip.AddrPort]bool{}
	}
	now := map[netip.AddrPort]bool{}
	for _, e := range listed {
		now[e.Addr] = true
	}
	switch {
	case !filtered:
		s.normal, s.narrowed = false, false
	case s.normal || s.narrowed:
	case len(without(s.listed, now)) == 0:
		s.normal = true // it is about what was never there
	default:
		s.narrowed = true
	}
	if s.narrowed {
		maps.Copy(s.listed, now)
	} else {
		s.listed = now
	}
	return s.narrowed
}

func (s *rights) accept() {
	if s.narrowed {
		s.narrowed, s.normal = false, true
	}
}

// without are those of a that are not in b.
func without(a, b map[netip.AddrPort]bool) (out []netip.AddrPort) {
	for x := range a {
		if !b[x] {
			out = append(out, x)
		}
	}
	return out
}

// filter says of the one part of the source what the source thinks of it, and returns what it
// proves in truth, which knows what earlier sources of the same question were told with the same
// token. The service is locked.
func (w *watch) filter(p *discovery.Part) (proves discovery.Completeness) {
	filtered := false
	for a := range w.parts[0].there {
		filtered = filtered || w.hidden[a]
	}
	if w.rights.token != w.token {
		w.rights = rights{token: w.token}
	}
	if w.rights.see(p.Endpoints, filtered) {
		p.State, p.Why = discovery.Partial, "the token may read less than before"
	}
	if w.truth.token != w.token { // each is judged by its own first read
		w.truth = rights{token: w.token}
	}
	if w.asker != w.life && !w.reminded { // an agent that was killed before it stored anything
		w.truth = rights{token: w.token, asked: true, normal: w.rights.normal, narrowed: w.rights.narrowed, listed: map[netip.AddrPort]bool{}}
	}
	w.asker = w.life
	if w.truth.see(p.Endpoints, filtered) {
		return discovery.Partial
	}
	return discovery.Whole
}

// A memory is what a source wants to be kept.
type memory struct {
	Token    int
	Filtered bool
}

// Memory, Remember and Accept are those of [discovery.Rememberer] and [discovery.Acceptor].
func (w *watch) Memory() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.Rights || !w.rights.asked {
		return nil
	}
	text, _ := json.Marshal(memory{w.rights.token, w.rights.normal})
	return text
}

func (w *watch) Remember(text []byte) {
	var m memory
	if json.Unmarshal(text, &m) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// what it listed is not remembered: anything may be missing
	w.reminded, w.rights = true, rights{token: m.Token, asked: true, normal: m.Filtered, listed: map[netip.AddrPort]bool{{}: true}}
}

func (w *watch) Accept() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rights.accept()
}

var (
	_ discovery.Rememberer = (*watch)(nil)
	_ discovery.Acceptor   = (*watch)(nil)
)

// accepts notes in truth that an operator accepted that these go, of all that was shown to be
// kept.
func (s *service) accepts(shown, kept []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Rights || !s.truth.narrowed {
		return
	}
	now := map[netip.AddrPort]bool{}
	for _, e := range s.parts[0].endpoints(s.hidden, false) {
		now[e.Addr] = true
	}
	some, all := false, true
	for _, a := range without(s.truth.listed, now) {
		switch {
		case slices.Contains(shown, a):
			delete(s.truth.listed, a)
			some = true
		case slices.Contains(kept, a):
			all = false
		}
	}
	if some && all {
		s.truth.accept()
	}
}

// restricted is a service of which the token may not read all; nil if there is none.
func (w *world) restricted(s step) *service {
	var all []*service
	for _, list := range w.services {
		for _, v := range list {
			if v.Rights {
				all = append(all, v)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[(s.a+s.b)%len(all)]
}

// hide has the token not read one more of what there is.
func (s *service) hide(from int) {
	s.change(func() {
		p := s.parts[0]
		for n := range p.pool {
			a := p.pool[(from+n)%len(p.pool)]
			if _, there := p.there[a]; there && !s.hidden[a] {
				s.hidden[a] = true
				return
			}
		}
	})
}

// doRights changes what a token may read, and accepts what was shown before that.
func (w *world) doRights(s step) bool {
	v := w.restricted(s)
	switch s.verb {
	case "narrow":
		if v != nil {
			v.hide(s.c)
		}
	case "widen":
		if v != nil {
			v.change(func() { clear(v.hidden) })
		}
	case "new token":
		if v != nil {
			v.change(func() { v.token++ })
			v.hide(s.c)
			if !w.life.dead.Load() {
				w.reconfigure(w.conf)
			}
		}
	case "accept old":
		w.acceptOld(w.service(s).backend)
		if v != nil {
			w.acceptOld(v.backend)
		}
	default:
		return false
	}
	return true
}

// A shown is an id, and what it stood for.
type shown struct {
	backend, id string
	addrs       []netip.AddrPort
}

// noteShown remembers what ids stood for.
func (w *world) noteShown(s api.Status) {
	for _, b := range s.Backends {
		for _, x := range b.Acceptable() {
			if !slices.ContainsFunc(w.shown, func(y shown) bool { return y.backend == b.Name && y.id == x.ID }) {
				w.shown = append(w.shown, shown{b.Name, x.ID, addresses(x.Endpoints)})
			}
		}
	}
}

// acceptOld accepts the newest id of a backend under which nothing is shown any more.
func (w *world) acceptOld(backend string) {
	if w.life.dead.Load() {
		return
	}
	now := w.agent.Status()
	for _, x := range slices.Backward(w.shown) {
		if x.backend == backend && addressesOf(now, backend, x.id) == nil {
			w.accept(x)
			return
		}
	}
}
