package oracle

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Status is what the agent says of itself.
type Status struct {
	Instances []InstanceStatus
	Backends  []BackendStatus
	Overrides []Ask
	Pauses    []string // the backends; "": all
	// Series are gauges: "in_sync edge-1", "held web", "kept web", "overflow web".
	Series map[string]float64
}

// An InstanceStatus is what it says of an instance.
type InstanceStatus struct {
	Name       string
	Up, InSync bool
}

// A BackendStatus is what it says of a backend.
type BackendStatus struct {
	Name string
	// Live: a source has spoken in this process. Before that what serves is left alone.
	Live bool
	// Wanted are the endpoints that are to be in service, as far as operators let them.
	Wanted []netip.AddrPort
	// Taken are live addresses that are left alone since no source ever listed them;
	// Blocked: for that nothing is written.
	Taken   []netip.AddrPort
	Blocked bool
	Held    bool
	Kept    []netip.AddrPort
	// Overflow are endpoints for which there is no slot.
	Overflow []netip.AddrPort
	Paused   bool
	// Fought: somebody else keeps changing slots.
	Fought bool
	Rows   []Row
}

// A Row is one slot at one instance, as the agent read it.
type Row struct {
	Instance, Name string
	Endpoint, Addr netip.AddrPort // as it should be, and as it is
	State          string
	HeldBy         string // why it is not as it should be
}

// An Event is what the agent told of a change of slots.
type Event struct {
	At       time.Time
	Kind     string
	Instance string
	Slots    []string
}

// A removal is an endpoint that the agent took out of service.
type removal struct {
	at             time.Time
	instance, slot string
	command        string
}

// Stale is how long the agent may not know what somebody else changed: it compares each 10 s.
const Stale = 15 * time.Second

// Told tells of an event of the agent.
func (o *Oracle) Told(e Event) {
	o.keep("Told", e)
	o.events = append(o.events, e)
}

// Says judges what the agent says of itself at that time.
func (o *Oracle) Says(at time.Time, s Status) {
	o.keep("Says", at, s)
	o.forget(at)
	o.expire(at)
	for _, b := range s.Backends {
		if mine := o.backendOf(b.Name); mine != nil {
			if b.Paused || b.Blocked {
				mine.pausedAt = at
			}
			mine.taken = len(b.Taken)
			o.room(at, mine)
			o.saysTaken(at, mine, b)
		}
	}
	o.saysAsked(at, s)
	for _, in := range s.Instances {
		real := o.instances[in.Name]
		if real == nil || !real.managed {
			continue
		}
		if o.steady(at) {
			o.saysUp(at, in, real)
		}
		for _, b := range s.Backends {
			if mine := o.backendOf(b.Name); mine != nil && mine.at(in.Name) {
				if in.InSync {
					o.saysInSync(at, in, real, mine, b)
				}
				o.must(at, in.Name, real, mine, b)
				o.stays(at, in.Name, real, mine, b)
			}
		}
	}
	o.back(at)
	o.saysSeries(at, s)
	o.saysEvents(at)
}

// saysTaken: what a source listed once, and nothing proved to be gone, is no takeover.
func (o *Oracle) saysTaken(at time.Time, b *backend, said BackendStatus) {
	for _, a := range said.Taken {
		if b.state(a) != "" && !b.refused(a) && !b.lost[a] && !b.old(a) && at.Sub(b.first[a]) > Grace && o.steady(at) {
			o.wrong(at, "foreign", "%s is said to be listed by nobody ever, and was listed first at %s", a, b.first[a].Format(time.TimeOnly))
		}
	}
}

// room notes when there are fewer slots than endpoints.
func (o *Oracle) room(at time.Time, b *backend) {
	need := b.taken
	for a := range b.listed {
		if b.state(a) != "" {
			need++
		}
	}
	for ask := range o.acked {
		if ask.Kind == "server" {
			need++
		}
	}
	for name, in := range o.instances {
		held := 0 // what nobody lists has its slot as long as it is held
		for _, s := range in.backends[b.Name] {
			if _, gone := b.gone[s.Addr]; gone && s.State != Maint {
				held++
			}
		}
		if in.managed && b.at(name) && b.room(in.backends[b.Name]) < need+held+2 { // two wait for their sessions to end
			b.tight = at
			if !b.Dynamic {
				b.scarce = at
			}
		}
	}
}

// room is how many slots there are for what is listed: those that have it, and those
// without sessions.
func (b *backend) room(rows map[string]Server) (n int) {
	for _, s := range rows {
		if !strings.HasPrefix(s.Name, "static") && s.Addr.IsValid() && (s.Sessions == 0 || b.state(s.Addr) != "") {
			n++
		}
	}
	return n
}

// saysAsked: what was acknowledged is not forgotten.
func (o *Oracle) saysAsked(at time.Time, s Status) {
	for ask, since := range o.acked {
		if o.inForce(at, ask) && !slices.Contains(s.Overrides, ask) && !o.mayReplace(ask, s.Overrides) && at.Sub(since) > time.Second && at.Sub(o.running) > time.Second {
			o.wrong(at, "durable", "%s, and that is forgotten: %v", ask, s.Overrides)
		}
	}
	for backend := range o.paused {
		if !slices.Contains(s.Pauses, backend) && at.Sub(o.running) > time.Second {
			o.wrong(at, "durable", "an operator paused %q, and that is forgotten: %v", backend, s.Pauses)
		}
	}
}

// mayReplace reports whether one of these was asked for in place of what was, and nobody knows
// yet whether that is in force.
func (o *Oracle) mayReplace(old Ask, these []Ask) bool {
	return slices.ContainsFunc(these, func(ask Ask) bool {
		return o.doubtful[ask] && ask.Backend == old.Backend && ask.Addr == old.Addr && ask.Kind == old.Kind
	})
}

// saysUp: what answers is up.
func (o *Oracle) saysUp(at time.Time, s InstanceStatus, in *instance) {
	if in.calm(at, Calm) && !s.Up {
		o.wrong(at, "up", "%s answers since %s, and is said to be down", s.Name, in.fault.Format(time.TimeOnly))
	}
}

// saysInSync: an instance that is in sync serves what is wanted, and nothing else.
func (o *Oracle) saysInSync(at time.Time, s InstanceStatus, in *instance, b *backend, said BackendStatus) {
	if !in.calm(at, Stale) || at.Sub(in.last) < time.Second || in.touched(at, b.Name) || !o.steady(at) || at.Sub(b.pausedAt) < Stale {
		return
	}
	rows := in.backends[b.Name]
	for _, r := range said.Rows {
		if r.Instance != s.Name || !r.Addr.IsValid() || r.HeldBy != "" {
			continue
		}
		if row, ok := rows[r.Name]; !ok || row.Addr != r.Addr || row.State != r.State {
			o.wrong(at, "truth", "%s is in sync, and shows %s as %s %s: it is %s %s", s.Name, r.Name, r.Addr, r.State, row.Addr, row.State)
		}
	}
	for _, row := range rows {
		a := served(&row)
		if said.Live && a.IsValid() && b.owns(row.Name) && !slices.Contains(said.Wanted, a) && !slices.Contains(said.Taken, a) {
			o.wrong(at, "truth", "%s is in sync, and %s serves %s, which is not wanted", s.Name, row.Name, a)
		}
	}
	for _, a := range said.Wanted {
		if !said.Live || at.Sub(b.scarce) < Late || o.asked(at, b.Name, a) || slices.Contains(said.Overflow, a) || in.serves(b.Name, a) || in.held(said, s.Name, a) || slices.Contains(said.Kept, a) {
			continue
		}
		o.wrong(at, "truth", "%s is in sync, and does not serve %s", s.Name, a)
	}
}

// asked reports whether an operator asked anything of the endpoint.
func (o *Oracle) asked(at time.Time, backend string, a netip.AddrPort) bool {
	for ask := range o.acked {
		if ask.touches(backend, a) {
			return true
		}
	}
	for ask, ended := range o.ended {
		if ask.touches(backend, a) && at.Sub(ended) < Late {
			return true
		}
	}
	for ask := range o.doubtful {
		if ask.touches(backend, a) {
			return true
		}
	}
	return false
}

// operated reports whether operators asked anything of any endpoint of the backend, or let any
// go.
func (o *Oracle) operated(b *backend) bool {
	for _, asks := range []map[Ask]time.Time{o.acked, o.ended} {
		for ask := range asks {
			if ask.Backend == "" || ask.Backend == b.Name {
				return true
			}
		}
	}
	return len(o.doubtful) > 0 || len(b.accepted) > 0
}

// touched reports whether somebody else changed a server of the backend lately.
func (in *instance) touched(at time.Time, backend string) bool {
	for key, when := range in.hand {
		if key[0] == backend && at.Sub(when) < Stale {
			return true
		}
	}
	return false
}

// handled reports whether somebody else ever changed a server of the backend in this process.
func (in *instance) handled(backend string) bool {
	for key := range in.hand {
		if key[0] == backend {
			return true
		}
	}
	return false
}

func (in *instance) serves(backend string, a netip.AddrPort) bool {
	for _, s := range in.backends[backend] {
		if served(&s) == a {
			return true
		}
	}
	return false
}

// held reports whether the agent says why the endpoint is not in service there.
func (in *instance) held(said BackendStatus, name string, a netip.AddrPort) bool {
	return slices.ContainsFunc(said.Rows, func(r Row) bool { return r.Instance == name && r.Endpoint == a && r.HeldBy != "" })
}

// must: what is listed, and for which there is a slot, is in service, whatever else is
// unknown, held or broken.
func (o *Oracle) must(at time.Time, name string, in *instance, b *backend, said BackendStatus) {
	switch {
	case !said.Live && (in.servesAny(b.Name) || in.handled(b.Name) || o.operated(b)): // it is left as it was found
		return
	case !o.steady(at), !in.calm(at, Calm), at.Sub(b.scarce) < Late, at.Sub(b.pausedAt) < Calm, said.Fought, at.Sub(o.resumed) < Calm,
		b.Primary != "", in.backends[b.Name] == nil, b.Prefix != "" && !in.prefixed(b):
		return
	}
	for a, since := range b.there {
		if b.old(a) || b.lost[a] || at.Sub(since) < Late || at.Sub(b.was[a]) < Late || o.asked(at, b.Name, a) || in.serves(b.Name, a) || in.theirs[a] || in.waits(said, name, a) {
			continue
		}
		o.wrong(at, "must", "%s does not serve %s, which is listed since %s", name, a, since.Format(time.TimeOnly))
	}
}

// stays: what every part that listed it is whole without leaves when its hold is over,
// whatever other parts are.
func (o *Oracle) stays(at time.Time, name string, in *instance, b *backend, said BackendStatus) {
	if b.Hold < 0 || b.EmptyHold < 0 || b.Primary != "" || b.selects() || !o.steady(at) || !in.calm(at, Calm) || !said.Live ||
		at.Sub(b.pausedAt) < Late || said.Fought || at.Sub(o.resumed) < Late || b.Prefix != "" && !in.prefixed(b) {
		return
	}
	patience := max(b.Hold, b.EmptyHold) + Late
	for _, f := range b.feeds {
		if at.Sub(f.heard) > Late {
			return // it is silent
		}
	}
	for a, since := range b.gone {
		switch {
		case b.state(a) != "" || !b.wholeWithout(at, a, patience) || at.Sub(since) < patience || at.Sub(b.failed) < patience || at.Sub(o.running) < patience || at.Sub(o.changed) < patience:
		case !in.serves(b.Name, a) || in.theirs[a] || slices.Contains(said.Taken, a) || o.asked(at, b.Name, a):
		default:
			o.wrong(at, "stays", "%s serves %s, which nobody lists since %s", name, a, since.Format(time.TimeOnly))
		}
	}
}

// waits reports whether the slot of the endpoint has sessions there that have to end first.
func (in *instance) waits(said BackendStatus, name string, a netip.AddrPort) bool {
	return slices.ContainsFunc(said.Rows, func(r Row) bool {
		return r.Instance == name && r.Endpoint == a && in.backends[said.Name][r.Name].Sessions > 0
	})
}

func (in *instance) servesAny(backend string) bool {
	for _, s := range in.backends[backend] {
		if s.State == Ready && !strings.HasPrefix(s.Name, "static") {
			return true
		}
	}
	return false
}

// prefixed reports whether the instance has slots of the configured prefix.
func (in *instance) prefixed(b *backend) bool {
	for name := range in.backends[b.Name] {
		if b.owns(name) {
			return true
		}
	}
	return false
}

// owns reports whether a server is a slot.
func (b *backend) owns(name string) bool {
	number, ok := strings.CutPrefix(name, b.Prefix)
	return ok && !strings.HasPrefix(name, "static") && (b.Prefix == "" || strings.Trim(number, "0123456789") == "")
}

// forget drops what is too old to matter.
func (o *Oracle) forget(at time.Time) {
	for _, b := range o.backends {
		i := 0
		for i+2 < len(b.past) && at.Sub(b.past[i+1].at) > b.Window+time.Minute {
			i++
		}
		b.past = b.past[i:]
	}
}
