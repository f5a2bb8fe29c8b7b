package agent

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// status returns the status at this moment.
func (a *Agent) status(now time.Time) api.Status {
	s := api.Status{
		Schema: api.Schema, At: now, Started: a.begun,
		Backends: []api.BackendStatus{}, Instances: []api.InstanceStatus{}, Sources: []api.SourceStatus{},
	}
	s.NotReady = a.notReady()
	s.Ready = len(s.NotReady) == 0
	for _, b := range a.backends {
		s.Backends = append(s.Backends, a.backendStatus(b, now))
		for _, f := range b.feeds {
			s.Sources = append(s.Sources, f.status(b.Name, now))
		}
	}
	for _, in := range a.instances {
		s.Instances = append(s.Instances, a.instanceStatus(in, now))
	}
	s.Overrides, s.Pauses = a.overrides.Sorted(), a.pauses.Sorted()
	s.Reloads = []api.ReloadStatus{}
	for _, r := range a.reloads {
		s.Reloads = append(s.Reloads, r.status(now))
	}
	return s
}

// notReady says why the agent is not ready yet. A source that fails later is no
// reason.
func (a *Agent) notReady() []string {
	var out []string
	for _, b := range a.backends {
		adopted := slices.ContainsFunc(b.served, func(in *instance) bool { return in.at(b.Name).full })
		if b.phase != phaseWaiting || adopted {
			continue
		}
		for _, source := range b.unanswered() {
			out = append(out, "backend "+b.Name+": "+source+" has not answered yet")
		}
	}
	if !a.ready {
		out = append(out, "no instance is in step yet")
	}
	return out
}

func (a *Agent) backendStatus(b *backend, now time.Time) api.BackendStatus {
	s := api.BackendStatus{
		Name: b.Name, Backend: b.Proxy, Phase: b.phase,
		Endpoints: append([]discovery.Endpoint{}, b.wanted()...), Overflow: append([]discovery.Endpoint{}, b.placement.Overflow()...), Slots: []api.SlotStatus{},
	}
	s.NeedReload, s.Forecast = a.reloadNeed(b), b.forecast()
	if p := a.pauses.Of(b.Name, now); p != nil {
		s.Paused, s.PausedBy = &p.Until, cmp.Or(p.By, "an operator")
	}
	if t, ok := b.guard.Turnover(); ok {
		s.Turnover = &api.Turnover{Since: t.Since, EndsAt: t.EndsAt, Leaving: addressStrings(addresses(t.Leaving))}
	}
	s.Takeover, s.Kept = b.takeover(a.begun), b.statusKept()
	s.Hold = cmp.Or(guardHold(b, now), s.Takeover)
	s.Problem, s.Serving = strings.Join(b.problems(), "; "), b.serving()
	rows := b.rows()
	name := b.slotNames()
	table, unusable := b.withUnusable(b.statusTable(now), rows)
	for _, slot := range table {
		row := b.slotStatus(name(slot.Number), slot, rows, now)
		if unusable[slot.Number] {
			row.State = api.SlotUnusable
		}
		s.Slots = append(s.Slots, row)
	}
	return s
}

// statusTable is the table of b, or before it is made, the slots as they are.
func (b *backend) statusTable(now time.Time) slots.Table {
	if b.placement.Adopted() {
		return b.placement.Table()
	}
	return slots.Table{}.Observe(b.views(), now)
}

// guardHold is what the guard holds; nil for nothing.
func guardHold(b *backend, now time.Time) *api.Hold {
	h, ok := b.guard.Hold(now)
	if !ok {
		return nil
	}
	return &api.Hold{ID: h.ID, Kind: h.Kind, Since: h.Since, ReleasesAt: h.ReleasesAt, Confirmations: h.Confirmations, WouldRemove: addressStrings(h.WouldRemove)}
}

// takeover is the hold, since the start, of live addresses that no source has ever listed; nil
// for none.
func (b *backend) takeover(start time.Time) *api.Hold {
	unmanaged := b.unmanagedOf()
	if len(unmanaged) == 0 {
		return nil
	}
	return &api.Hold{ID: b.takeoverID(), Kind: api.HoldTakeover, Since: start, WouldRemove: addressStrings(unmanaged), BlocksWriting: b.misfit}
}

// statusKept is what is kept, for people.
func (b *backend) statusKept() []api.KeptSet {
	out := []api.KeptSet{}
	for _, k := range b.keptSets() {
		s := api.KeptSet{ID: k.id, Source: k.source, Part: k.part, Reason: k.reason, Since: k.since, Endpoints: addressStrings(k.addrs)}
		for _, a := range k.addrs {
			if b.placement.Yielded(a) {
				s.Yielded = append(s.Yielded, a.String())
			}
		}
		out = append(out, s)
	}
	return out
}

// maxParts bounds the parts that a status names.
const maxParts = 20

func (f *feed) status(backend string, now time.Time) api.SourceStatus {
	s := api.SourceStatus{
		Name: f.Name, Backend: backend, Asks: f.Source.String(), State: "unknown", AgeSeconds: -1,
		InUse: f.used, Activity: discovery.ActivityOf(f.Source), Kept: len(f.known.Set().Kept),
	}
	if s.Next = s.Activity.Next; s.Next.IsZero() && f.again.After(now) {
		s.Next = f.again
	}
	if at := f.answered; !at.IsZero() {
		s.State, s.AgeSeconds = "ok", now.Sub(at).Seconds()
		s.Endpoints, s.Note, s.Rejected = len(f.listed), f.last.Note, f.refused
		s.Parts, s.PartsMore = statusParts(f.last)
	}
	if f.noneYet() {
		s.State = "none yet"
	}
	if err := f.failing; err != nil {
		s.State, s.LastError = "failing", err.Error()
	}
	return s
}

// statusParts are the parts of r that are not whole, as many as a status names, and how
// many there are besides. One that has nothing, and never had, lacks nothing.
func statusParts(r discovery.Reading) (out []api.PartStatus, more int) {
	for _, p := range r.Parts {
		switch {
		case p.State == discovery.Whole, p.NoneYet():
		case len(out) == maxParts:
			more++
		default:
			out = append(out, api.PartStatus{Name: p.Name, State: p.State.String(), Reason: p.Reason()})
		}
	}
	return out, more
}

func (a *Agent) instanceStatus(in *instance, now time.Time) api.InstanceStatus {
	s := api.InstanceStatus{
		Name: in.Name, Socket: in.Conn.String(), Up: in.up(), InSync: a.inSync(in),
		Applied: in.applied, LagSeconds: in.lag(now).Seconds(), Restarts: in.restarts,
	}
	s.Desired = s.Applied
	if n := len(in.pending); n > 0 {
		s.Desired = in.pending[n-1].gen
	}
	if in.met {
		s.Version, s.Pid = in.last.Process.Version, in.last.Process.Pid
	}
	if in.last.Err != nil {
		fault, _ := slots.FaultOf(in.last.Err)
		s.LastError, s.Fault = in.last.Err.Error(), string(fault)
	}
	for name, r := range in.backends {
		if r.Unloaded {
			s.Unloaded = append(s.Unloaded, name)
		}
		s.Waiting += r.Waiting
		s.External += len(r.Externals)
		s.Overflow += r.Overflow
	}
	slices.Sort(s.Unloaded)
	return s
}

// addresses are those of eps.
func addresses(eps []discovery.Endpoint) []netip.AddrPort {
	out := make([]netip.AddrPort, len(eps))
	for i, e := range eps {
		out[i] = e.Addr
	}
	return out
}

// problems says in words why b is not filled everywhere.
func (b *backend) problems() []string {
	var out []string
	for _, in := range b.served {
		at := in.at(b.Name)
		switch {
		case !in.met:
		case at.Missing:
			out = append(out, in.Name+" has no backend "+b.Proxy)
		case at.Problem != "":
			out = append(out, in.Name+": "+at.Problem)
		}
		if names := in.conflictedSlots(b.Name); len(names) > 0 {
			out = append(out, in.Name+": somebody else keeps changing "+strings.Join(names, ", ")+": nothing is written there for a while, or until `slotsync resume "+b.Name+"`")
		}
	}
	none := false
	for _, f := range b.feeds {
		if f.noneYet() {
			none = true
			out = append(out, f.Source.String()+" has never listed an endpoint (none yet): is the name right?")
		}
	}
	if b.misfit && !none {
		out = append(out, "the sources list none of the addresses that take traffic, and never did: nothing is written until `slotsync accept "+b.Name+" "+b.takeoverID()+"`; is the name right?")
	}
	return out
}
