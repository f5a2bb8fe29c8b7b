package slots

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
)

// Diff returns what has to happen next at one instance, which shows have (see
// [Own]), so that it becomes want. Servers that are added are named prefix and the
// number of their slot. It looks at nothing but the two: after
// the changes were applied, all, some or in part, the caller reads the instance again and
// calls Diff again, until the plan is done.
//
//	server               wanted             now             later
//	right address        class or weight    enable, drain, empty, weight
//	an agent-check runs  drain or maint     drain, empty: the agent is disabled with it
//	in service           free               empty
//	  the only one with an address that is wanted ready in another slot     empty
//	maint, idle          another address    fill, drain, park
//	maint, sessions      another address                    the same
//	in service           another address    empty           the same
//	  the only one with an address that is wanted ready in another slot     the same
//	NoAddress            another address                    fill
//	lacking              an address, Dynamic  add
//	Dynamic, in service  free               empty           remove
//	Dynamic, maint       free               remove
//	  with sessions, or if they are not known               remove
//
// A server is idle if it has no sessions, or if they are not known and nobody
// ever used its address (see [IsPlaceholder]; the usual placeholders are always
// idle). Endpoints that
// wait for each other's slots in a circle are taken out of service, at most a
// quarter of those wanted ready at a time, counting those out already.
//
// Changes come in this order: wrong servers stop (those at an address that
// nobody wants, or at none), then what gains capacity, then what loses it; each
// in the order of want.
func Diff(backend, prefix string, have []Server, want []Target) Plan {
	d := newDelta(have, want)
	waits := d.waits(have)
	var plan Plan
	var wrong, gains, losses []Change
	for i, p := range d.pairs {
		now, later := d.step(p, waits[i])
		now.Backend, later.Backend = backend, backend
		if now.Kind == Add {
			now.Slot = prefix + strconv.Itoa(now.Number)
		}
		switch now.Kind {
		case Fill, Enable, Weigh, Park, Add:
			gains = append(gains, now)
		case StartDrain, Remove:
			losses = append(losses, now)
		case Empty:
			if d.isWrong(p) {
				wrong = append(wrong, now)
			} else {
				losses = append(losses, now)
			}
		}
		if later.Kind != "" {
			plan.Waiting = append(plan.Waiting, later)
		}
	}
	plan.Changes = slices.Concat(wrong, gains, losses)
	return plan
}

// A pair is a slot as it is and as it should be.
type pair struct {
	have *Server
	want *Target
	// absent: the server is to be added; have is zero.
	absent bool
}

func (p pair) serves(a netip.AddrPort) bool { return p.have.Class == Ready && p.have.Addr == a }

// A delta is what Diff decides upon.
type delta struct {
	// pairs are the slots that the instance has or is to get, and that are not
	// to be left.
	pairs []pair
	// wanted says where each address is wanted.
	wanted map[netip.AddrPort]place
	// initial is the weight of the template, for servers that are added.
	initial int
	// placeholder is the address of the template, if it matters.
	placeholder netip.AddrPort
}

// A place is where an address is wanted: the index of the pair, or lacking if
// the instance has no such slot.
type place struct {
	pair  int
	class Class
}

const lacking = -1

func newDelta(have []Server, want []Target) *delta {
	d := &delta{
		pairs:  make([]pair, 0, len(have)),
		wanted: make(map[netip.AddrPort]place, len(want)),
	}
	find := FindServer(have)
	for k := range want {
		w := &want[k]
		if w.Leave {
			continue
		}
		home := place{lacking, w.Class}
		switch s := find(w.Number); {
		case s != nil:
			home.pair = len(d.pairs)
			d.pairs = append(d.pairs, pair{have: s, want: w})
		case w.toAdd():
			home.pair = len(d.pairs)
			d.pairs = append(d.pairs, pair{have: &Server{}, want: w, absent: true})
		}
		if w.Addr.IsValid() {
			d.wanted[w.Addr] = home
		}
	}
	d.findPlaceholder(have)
	if i := slices.IndexFunc(have, func(s Server) bool { return !s.Dynamic }); i >= 0 {
		d.initial = have[i].Initial
	}
	return d
}

// findPlaceholder looks for the address of the template, which matters only
// where sessions are not known. What somebody wants is somebody's address,
// however many slots have it.
func (d *delta) findPlaceholder(have []Server) {
	if !slices.ContainsFunc(have, func(s Server) bool { return s.Sessions < 0 }) {
		return
	}
	a := Placeholder(have)
	if _, ok := d.wanted[a]; !ok {
		d.placeholder = a
	}
}

// step returns the change that p needs and that can be made now, and the one
// that cannot. Their Kind is "" if there is none.
func (d *delta) step(p pair, waits bool) (now, later Change) {
	switch {
	case p.absent:
		return d.add(p), later
	case p.want.toRemove(p.have):
		now, later = p.remove()
	case p.want.satisfiedBy(p.have):
		return now, later
	case !p.want.Addr.IsValid():
		now = p.empty()
	case p.have.NoAddress:
		later = p.fill()
		later.Kind = Fill
		return now, later
	case p.have.Addr == p.want.Addr:
		return p.adjust(), later
	case p.have.Class != Maint:
		now, later = p.empty(), p.fill()
	case d.idle(p.have):
		return p.fill(), later
	default:
		return now, p.fill()
	}
	if !waits {
		return now, later
	}
	if later.Kind == "" {
		later = now
	}
	return Change{}, later
}

// idle reports whether nobody notices that s gets another address. That a slot
// looks unused decides only where its sessions are not known.
func (d *delta) idle(s *Server) bool {
	switch {
	case s.Sessions == 0:
		return true
	case s.Sessions > 0:
		return IsPlaceholder(s.Addr, netip.AddrPort{})
	}
	return IsPlaceholder(s.Addr, d.placeholder)
}

// isWrong reports whether the server of p does harm for as long as it serves.
func (d *delta) isWrong(p pair) bool {
	_, listed := d.wanted[p.have.Addr]
	return isVoid(p.have.Addr) && p.have.Class == Ready || !listed && p.want.Addr.IsValid()
}

// isVoid reports whether a server at a sends its traffic to HAProxy itself.
func isVoid(a netip.AddrPort) bool {
	return !a.IsValid() || a.Addr().Unmap().IsUnspecified() || a.Port() == 0
}

func (p pair) empty() Change {
	return Change{Slot: p.have.Name, Number: p.want.Number, Kind: Empty, Class: Maint, SetClass: true, From: *p.have}
}

// remove takes away a server that was added: first its traffic, and when its
// sessions have ended, itself.
func (p pair) remove() (now, later Change) {
	gone := Change{Slot: p.have.Name, Number: p.want.Number, Kind: Remove, From: *p.have}
	switch {
	case p.have.Class != Maint:
		return p.empty(), gone
	case p.have.Sessions == 0:
		return gone, Change{}
	}
	return Change{}, gone
}

func (d *delta) add(p pair) Change {
	return Change{Number: p.want.Number, Kind: Add, Addr: p.want.Addr, Weight: cmp.Or(p.want.Weight, d.initial),
		Class: p.want.Class, SetClass: true}
}

// fill gives the server its address, and all that goes with it.
func (p pair) fill() Change {
	kind := Fill
	switch p.want.Class {
	case Maint:
		kind = Park
	case Drain:
		kind = StartDrain
	case Ready:
	}
	return Change{Slot: p.have.Name, Number: p.want.Number, Kind: kind, Addr: p.want.Addr, Weight: p.want.weightFor(p.have),
		Class: p.want.Class, SetClass: true, From: *p.have}
}

// adjust gives the server, at the right address, its class and weight.
func (p pair) adjust() Change {
	c := Change{Slot: p.have.Name, Number: p.want.Number, Kind: Weigh, From: *p.have}
	if !p.have.Agent { // the weight is the agent's, once the slot is filled
		c.Weight = p.want.weightFor(p.have)
	}
	if p.want.Class == p.have.Class && !p.want.disablesAgent(p.have) {
		return c
	}
	c.Class, c.SetClass = p.want.Class, true
	switch p.want.Class {
	case Maint:
		c.Kind = Empty
	case Drain:
		c.Kind = StartDrain
	case Ready:
		c.Kind = Enable
	}
	return c
}
