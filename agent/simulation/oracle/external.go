package oracle

import (
	"net/netip"
	"time"
)

// This file judges what becomes of slots that somebody else took out of service: they stay so
// until somebody gives them back, in the same process of HAProxy, whatever becomes of the
// agent.

// A taking is a slot that somebody took out of service while it served an endpoint.
type taking struct {
	at   time.Time
	addr netip.AddrPort
}

// noteTaken notes what somebody else did to a server, if the agent knows, or knew when it ended,
// that it was in service and was to stay so, and could store that.
func (o *Oracle) noteTaken(at time.Time, in *instance, c Command) {
	if c.After == nil {
		return
	}
	key, a := [2]string{c.Backend, c.After.Name}, served(c.Before)
	if !a.IsValid() || c.After.State == Ready || c.After.Addr != a {
		delete(in.taken, key)
		return
	}
	b, last := o.backendOf(c.Backend), at
	if o.running.IsZero() {
		last = o.stopped
	}
	long := func(since time.Time) bool { return last.Sub(since) > Calm }
	switch {
	case b == nil, b.Repair, o.forgets, !b.at(c.Instance), !in.calm(at, at.Sub(last)+Calm), !long(in.born), !long(in.calls[key]), !long(o.changed),
		!in.hand[key].IsZero(), in.theirs[a]:
	case b.state(a) != Ready, !b.listed[a], b.refused(a), !long(b.there[a]), !long(b.was[a]), !long(b.scarce), !long(b.tight), !long(b.pausedAt),
		o.asked(at, c.Backend, a), b.Primary != "" && !b.everywhere(a):
	default:
		in.taken[key] = taking{at, a}
	}
}

// gaveBack judges that the agent puts a server into service that somebody else took: its endpoint
// has left or was unhealthy since, or an operator gave it back.
func (o *Oracle) gaveBack(at time.Time, in *instance, b *backend, c Command) {
	key := [2]string{c.Backend, c.After.Name}
	t, taken := in.taken[key]
	delete(in.taken, key)
	if !taken || c.Before == nil || c.Before.Addr != t.addr || b.Repair || !b.was[t.addr].Before(t.at) || !b.there[t.addr].Before(t.at) ||
		at.Sub(b.scarce) < Calm || o.asked(at, b.Name, t.addr) ||
		b.Primary != "" && !b.everywhere(t.addr) { // it may have left the source that was in use
		return
	}
	o.wrong(at, "external", "%s: %q puts %s into service, which somebody took out of it at %s", c.Instance, c.Text, t.addr, t.at.Format(time.TimeOnly))
}

// GivenBack tells that an operator was told that an endpoint is in service again wherever
// somebody else took it out.
func (o *Oracle) GivenBack(at time.Time, backend string, a netip.AddrPort) {
	o.keep("GivenBack", at, backend, a)
	for _, in := range o.instances {
		for key, t := range in.taken {
			if key[0] == backend && t.addr == a {
				delete(in.taken, key)
				delete(in.theirs, a) // it is to be in service like any other
			}
		}
	}
}

// forgetEmptied notes what an agent that ended took out of service and cannot have stored, as it
// did so just then or the disk failed: the next one may take that for somebody's doing.
func (o *Oracle) forgetEmptied() {
	for _, in := range o.instances {
		for backend, rows := range in.backends {
			for _, s := range rows {
				call := in.calls[[2]string{backend, s.Name}]
				if s.State != Ready && !call.IsZero() && (!o.unstored.IsZero() || o.stopped.Sub(call) < Window) {
					in.theirs[s.Addr] = true
				}
			}
		}
	}
}

// serving are the instances and the backends that are filled there.
func (o *Oracle) serving() map[[2]string]bool {
	out := map[[2]string]bool{}
	for name, in := range o.instances {
		for backend := range in.backends {
			if b := o.backendOf(backend); b != nil && in.managed && b.at(name) {
				out[[2]string{name, backend}] = true
			}
		}
	}
	return out
}

// meetAgain notes what may be taken for somebody's doing where the agent fills a backend that it
// did not before: what is out of service there, and has had sessions.
func (o *Oracle) meetAgain(before map[[2]string]bool) {
	for at := range o.serving() {
		in := o.instances[at[0]]
		if before[at] || o.remembers(in, o.backends[at[1]]) {
			continue
		}
		for _, s := range in.backends[at[1]] {
			delete(in.taken, [2]string{at[1], s.Name})
			if s.State != Ready {
				in.theirs[s.Addr] = true
			}
		}
	}
}

// remembers reports whether the agent that runs knew the process when the instance left the
// configuration, and the backend since.
func (o *Oracle) remembers(in *instance, b *backend) bool {
	return in.known && !o.running.IsZero() && o.running.Before(in.parted) && in.born.Before(in.parted) && b.came.Before(in.parted)
}
