package oracle

import (
	"fmt"
	"net/netip"
	"time"
)

// An Ask is what an operator asked of an endpoint.
type Ask struct {
	Backend string         // "": all
	Addr    netip.AddrPort // port 0: the address alone
	// Kind is "state", "weight" or "server", which adds the endpoint.
	Kind, Value string
}

func (a Ask) String() string {
	return fmt.Sprintf("an operator asked for %s %s of %s %s", a.Kind, a.Value, a.Backend, a.Addr)
}

// touches reports whether a is about the endpoint.
func (a Ask) touches(backend string, e netip.AddrPort) bool {
	return (a.Backend == "" || a.Backend == backend) && a.Addr.Addr() == e.Addr() && (a.Addr.Port() == 0 || a.Addr == e)
}

// holds reports whether a keeps the endpoint from its traffic.
func (a Ask) holds(backend string, e netip.AddrPort) bool {
	return a.Kind == "state" && a.touches(backend, e)
}

// Asked tells that an operator was told that this is in force and stored, until then; zero
// for no end. Of one kind there is one for each endpoint.
func (o *Oracle) Asked(at time.Time, ask Ask, until time.Time) {
	o.keep("Asked", at, ask, until)
	for old := range o.acked {
		if old.Backend == ask.Backend && old.Addr == ask.Addr && old.Kind == ask.Kind {
			delete(o.acked, old)
			o.ended[old] = at
		}
	}
	o.acked[ask], o.until[ask] = at, until
	o.certain(ask)
	if b := o.backends[ask.Backend]; b != nil && ask.Kind == "server" {
		b.listed[ask.Addr] = true
	}
}

// Ended tells that it is no more. It may have been in force until now.
func (o *Oracle) Ended(at time.Time, ask Ask) {
	o.keep("Ended", at, ask)
	for old := range o.acked {
		if old.Backend == ask.Backend && old.Addr == ask.Addr && (old.Kind == ask.Kind || ask.Kind == "") {
			delete(o.acked, old)
		}
	}
	o.ended[ask] = at
	o.certain(ask)
}

// Unsure tells that it is in force, or would be, and may be lost with the agent: it could
// not be stored, or was not answered. It takes the place of what was asked before.
func (o *Oracle) Unsure(ask Ask) {
	o.keep("Unsure", ask)
	for old := range o.acked {
		if old.Backend == ask.Backend && old.Addr == ask.Addr && old.Kind == ask.Kind {
			delete(o.acked, old)
			o.doubtful[old] = true
		}
	}
	o.doubtful[ask] = true
}

// Doubtful tells that it may be in force, from now until more is told of it.
func (o *Oracle) Doubtful(ask Ask) {
	o.keep("Doubtful", ask)
	o.doubtful[ask] = true
}

// Refused tells that it was not taken: whatever was asked before of the same kind stays.
func (o *Oracle) Refused(ask Ask) {
	o.keep("Refused", ask)
	delete(o.doubtful, ask)
}

func (o *Oracle) certain(ask Ask) {
	for old := range o.doubtful {
		if old.Backend == ask.Backend && old.Addr == ask.Addr && (old.Kind == ask.Kind || ask.Kind == "") {
			delete(o.doubtful, old)
		}
	}
}

// Paused tells that an operator was told that nothing is written to a backend, or to all,
// until then; zero for no end.
func (o *Oracle) Paused(at time.Time, backend string, until time.Time) {
	o.keep("Paused", at, backend, until)
	o.paused[backend] = until
}

// Resumed is the opposite of [Oracle.Paused].
func (o *Oracle) Resumed(at time.Time, backend string) {
	o.keep("Resumed", at, backend)
	if backend == "" {
		clear(o.paused)
	}
	delete(o.paused, backend)
	o.resumed = at
}

// expire ends what ends by itself.
func (o *Oracle) expire(at time.Time) {
	for ask := range o.acked {
		if !o.inForce(at, ask) {
			delete(o.acked, ask)
			o.ended[ask] = at
		}
	}
	for backend, until := range o.paused {
		if !until.IsZero() && at.After(until.Add(-time.Second)) {
			delete(o.paused, backend)
			o.resumed = at
		}
	}
}

// inForce reports whether what was asked has not ended by itself.
func (o *Oracle) inForce(at time.Time, ask Ask) bool {
	until := o.until[ask]
	return until.IsZero() || at.Before(until.Add(-time.Second))
}

// MayList tells that an operator is about to add an endpoint.
func (o *Oracle) MayList(backend string, a netip.AddrPort) {
	o.keep("MayList", backend, a)
	if b := o.backends[backend]; b != nil {
		b.listed[a] = true
	}
}

// DayPassed tells that a day has passed without the agent: what was asked about endpoints
// that nobody listed may have ended, and what was listed is too old to be served from.
func (o *Oracle) DayPassed(at time.Time) {
	o.keep("DayPassed", at)
	o.doubtAll(at)
	for _, b := range o.backends {
		b.past = nil
		for _, f := range b.feeds {
			for _, p := range f.parts {
				p.old = true
			}
		}
	}
}

// doubtAll notes that all that was asked may have ended.
func (o *Oracle) doubtAll(at time.Time) {
	for ask := range o.acked {
		delete(o.acked, ask)
		o.ended[ask] = at
		o.doubtful[ask] = true
	}
	clear(o.paused)
}

// ClockJumped tells that what was stored is of another time than it seems: what is to end at
// a time may end sooner or later.
func (o *Oracle) ClockJumped(at time.Time) {
	o.keep("ClockJumped", at)
	o.doubtAll(at)
	o.resumed, o.reloads.ended = at, nil
}
