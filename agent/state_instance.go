package agent

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/placement"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/slots"
)

// This file has what is stored of one instance.

type storedInstance struct {
	Name      string                               `json:"name"`
	Socket    string                               `json:"socket,omitempty"`
	Process   slots.Process                        `json:"process"`   // that answered last
	Externals map[string]map[string]storedExternal `json:"externals"` // by backend and slot
	// Prefixes are those of the slots of that process, by backend.
	Prefixes map[string]string `json:"prefixes,omitempty"`
	// Slots is how many slots its configuration had, by backend.
	Slots map[string]int `json:"slots,omitempty"`
	// Ready are the slots of that process that were in service with the endpoint that the
	// table has there, and were to stay so, by backend; StandIns those with an endpoint whose
	// slot in the table the instance cannot use.
	Ready    map[string][]int                  `json:"ready,omitempty"`
	StandIns map[string]map[int]netip.AddrPort `json:"stand_ins,omitempty"`
	// Unmanaged are live addresses of that process that no source had ever listed, by backend
	// and slot.
	Unmanaged map[string]placement.Unmanaged `json:"unmanaged,omitempty"`

	// seen is when its slots were looked at last, by backend, for as long as slotsync runs.
	seen map[string]time.Time
}

// A storedExternal says besides which slot it is about: the name alone does not, where
// its prefix ends in digits.
type storedExternal struct {
	reconciler.External
	Number *int `json:"number,omitempty"`
}

// externals are those of the slots of b, by number. None is from later than now, whatever
// the clock was: an operator who gives the slot back comes after it.
func (s storedInstance) externals(b Backend, now time.Time) map[int]reconciler.External {
	out := map[int]reconciler.External{}
	for name, e := range s.Externals[b.Name] {
		e.Since = notAfter(e.Since, now)
		if e.Number != nil {
			out[*e.Number] = e.External
		} else if number, ok := numberIn(name, b.Prefix); ok {
			out[number] = e.External
		}
	}
	return out
}

// ready are the slots of a backend that were in service, with their addresses: those that its
// table had there, and those of slots that stood in.
func (s storedInstance) ready(b storedBackend) map[int]netip.AddrPort {
	at := make(map[int]netip.AddrPort, len(b.Numbers))
	for a, number := range b.Numbers {
		at[number] = a
	}
	out := map[int]netip.AddrPort{}
	maps.Copy(out, s.StandIns[b.Name])
	for _, number := range s.Ready[b.Name] {
		if a, ok := at[number]; ok {
			out[number] = a
		}
	}
	return out
}

// maxFormer bounds the instances, and the ways to reload HAProxy, that are remembered besides those
// of the configuration.
const maxFormer = 100

// addFormer adds the instances of before that are not configured any more, the latest first, for
// the case that they are again: what the agent did there is nobody else's doing. Left out are those
// whose socket or process another one has, of which more is known.
func (s *stored) addFormer(before stored) {
	configured := len(s.Instances)
	for _, in := range before.Instances {
		known := s.reached(in.Socket).Name != "" || slices.ContainsFunc(s.Instances, func(of storedInstance) bool {
			return of.Name == in.Name && in.Socket == "" || of.Process.Same(in.Process) && in.Process.Pid != 0
		})
		if known || len(s.Instances) == configured+maxFormer {
			continue
		}
		ready := map[string]map[int]netip.AddrPort{}
		for _, b := range before.Backends { // the table may be another one by then
			ready[b.Name] = in.ready(b)
		}
		in.Ready, in.StandIns = nil, ready
		s.Instances = append(s.Instances, in)
	}
}

// numberIn is the number of a slot that the release before this one stored by its name.
func numberIn(name, prefix string) (int, bool) {
	if prefix == "" {
		prefix = strings.TrimRight(name, "0123456789")
	}
	return slots.Number(name, prefix)
}

// storeInstance returns what has to be stored of an instance.
func (c *core) storeInstance(in *instance) storedInstance {
	out := storedInstance{
		Name: in.Name, Socket: in.socket(), Process: in.last.Process, Externals: map[string]map[string]storedExternal{}, Prefixes: map[string]string{}, Slots: maps.Clone(in.had),
		Ready: map[string][]int{}, StandIns: map[string]map[int]netip.AddrPort{}, Unmanaged: map[string]placement.Unmanaged{},
		seen: map[string]time.Time{},
	}
	for name, r := range in.backends {
		if r.Prefix != "" {
			out.Prefixes[name] = r.Prefix
		}
		out.seen[name] = r.Seen
		if b := c.backend(name); b != nil {
			u := b.unmanagedAt(in)
			if len(u) > 0 {
				out.Unmanaged[name] = u
			}
			if !c.givesUp(c.next, name, in) {
				ready := b.readyAt(r, u)
				// What an operator gave back since the last look is nobody's doing, however it is found.
				maps.DeleteFunc(ready, func(_ int, a netip.AddrPort) bool { return b.started[a].After(r.Seen) })
				out.storeReady(b, ready)
			}
		}
		for number, e := range r.Externals {
			if out.Externals[name] == nil {
				out.Externals[name] = map[string]storedExternal{}
			}
			out.Externals[name][r.Prefix+strconv.Itoa(number)] = storedExternal{e, &number}
		}
	}
	return out
}

// readyAt are the slots that are in service there with the endpoint that belongs there, and are to
// stay so: from then on it is somebody else's doing if they are not. A slot that the agent is
// about to empty is none. Of those that are out already it is not decided yet.
// Where the slot of the table is lacking, or unmanaged, another one stands in.
func (b *backend) readyAt(at *backendAt, unmanaged placement.Unmanaged) map[int]netip.AddrPort {
	if !b.placement.Adopted() || b.phase == phaseRestored && at.full {
		return b.undecidedYet(at)
	}
	usable := slots.FindServer(at.Usable)
	belongs := func(number, home int) bool {
		return number == home || usable(home) == nil || unmanaged[home].IsValid()
	}
	home := map[netip.AddrPort]int{}
	for _, t := range b.sent {
		if t.Class == slots.Ready && !t.Leave {
			home[t.Addr] = t.Number
		}
	}
	out := map[int]netip.AddrPort{}
	for _, s := range at.Own {
		if n, wanted := home[s.Addr]; s.Class == slots.Ready && wanted && belongs(s.Number, n) {
			out[s.Number] = s.Addr
		}
	}
	places := b.placement.Places()
	for number, a := range at.Undecided {
		if n, placed := places[a]; placed && belongs(number, n) {
			out[number] = a
		}
	}
	return out
}

// undecidedYet are the slots that are in service, and those of which it is not decided yet whether
// they are to be: nothing is taken out but what operators ask for.
func (b *backend) undecidedYet(at *backendAt) map[int]netip.AddrPort {
	out := map[int]netip.AddrPort{}
	maps.Copy(out, at.Undecided)
	for _, s := range at.Own {
		if s.Class == slots.Ready {
			out[s.Number] = s.Addr
		}
	}
	maps.DeleteFunc(out, func(_ int, a netip.AddrPort) bool { return b.overrides.Blocking(b.Name, a) != nil })
	return out
}

// storeReady takes the slots of b that are in service.
func (s *storedInstance) storeReady(b *backend, ready map[int]netip.AddrPort) {
	places := b.placement.Places()
	for _, number := range slices.Sorted(maps.Keys(ready)) {
		a := ready[number]
		if n, placed := places[a]; placed && n == number {
			s.Ready[b.Name] = append(s.Ready[b.Name], number)
			continue
		}
		if s.StandIns[b.Name] == nil {
			s.StandIns[b.Name] = map[int]netip.AddrPort{}
		}
		s.StandIns[b.Name][number] = a
	}
}

// notAfter is at, or now if the clock was ahead when at was stored.
func notAfter(at, now time.Time) time.Time {
	if at.After(now) {
		return now
	}
	return at
}
