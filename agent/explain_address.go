package agent

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/explain"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// explainAddress puts together what is known of one address, or of a free slot.
func (b *backend) explainAddress(status api.BackendStatus, e *explain.Explanation, addr netip.AddrPort, slot string, pause *api.Pause) api.AddressExplanation {
	x := explain.Address{Said: []api.SourceView{}, Slot: slot, Instances: []api.InstanceExplanation{}}
	if addr.IsValid() {
		x.Address = addr.String()
		if addr.Port() == 0 {
			x.Address = addr.Addr().String()
		}
		for _, f := range b.feeds {
			x.Said = append(x.Said, f.says(addr))
		}
	}
	if l, ok := b.leaving[addr]; ok {
		x.LeavesAt = l.Until
	}
	x.Place(status, addr)
	for _, kind := range api.OverrideKinds {
		if o := b.overrides.Find(b.Name, addr, kind); addr.IsValid() && o != nil {
			x.Overrides = append(x.Overrides, *o)
		}
	}
	number, placed := b.numberOf(x.Slot)
	if placed = placed && x.Slot != ""; !placed {
		number = noSlot
	}
	for _, in := range b.served {
		for _, s := range b.slotsAt(in, number, x.Address) {
			at := in.explain(b, s.Server, s.exists, e.At)
			if pause != nil {
				at.PausedUntil, at.PausedBy = pause.Until, cmp.Or(pause.By, "an operator")
			}
			at.Traffic = at.Up && at.Serves(x.Address)
			if want := x.InForce; x.Address != "" && (want == nil || s.Number == number) {
				at.Why = at.Reason(x.Address, want, e.At)
			}
			if s.Number == number && at.Address == x.Address && (x.Since.IsZero() || at.Since.Before(x.Since)) {
				x.Since = at.Since
			}
			x.Instances = append(x.Instances, api.InstanceExplanation(at))
		}
	}
	x.Verdict = x.Words(e)
	return api.AddressExplanation(x)
}

// A slotAt is a slot of an instance, which has it if it exists.
type slotAt struct {
	slots.Server
	exists bool
}

// slotsAt returns the slot of that number, and every other one in which the address is
// live, at an instance.
func (b *backend) slotsAt(in *instance, number int, address string) []slotAt {
	r := in.at(b.Name)
	var out []slotAt
	for _, s := range r.Own {
		live := address != "" && s.Class != slots.Maint && s.Addr.String() == address
		if s.Number == number || live {
			out = append(out, slotAt{s, true})
		}
	}
	if number != noSlot && len(out) == 0 {
		out = append(out, slotAt{slots.Server{Name: b.slotName(number), Number: number, Sessions: -1}, len(r.Own) == 0})
	}
	return out
}

// noSlot stands for the number of none.
const noSlot = -1

// explain is one slot of an instance, which has it if it exists.
func (in *instance) explain(b *backend, s slots.Server, exists bool, now time.Time) explain.Instance {
	r := in.at(b.Name)
	i := explain.Instance{
		InstanceSlot: in.slotStatus(b, s.Number, s, exists, now), Slot: s.Name, Up: in.up(), Waiting: r.Waiting > 0, Problem: r.Problem,
		PausedUntil: r.Conflicts[s.Number], HeldSince: r.Externals[s.Number].Since, Said: []api.Exchange{},
	}
	if r.Missing {
		i.Problem = "it has no backend " + b.Proxy
	}
	if in.last.Err != nil {
		i.Error = in.last.Err.Error()
	}
	if exists && !r.Seen.IsZero() {
		i.Seen = r.Seen
		i.Since = r.Seen.Add(-s.Since)
	}
	for _, said := range in.commandLog[slotName{b.Proxy, s.Name}] {
		i.Said = append(i.Said, api.Exchange{Command: said.Command, Reply: said.Reply, Answered: said.Answered, At: said.At})
	}
	return i
}

// says is what a feed says of an address.
func (f *feed) says(addr netip.AddrPort) api.SourceView {
	s := api.SourceView{Source: f.Name, Says: api.SaysUnlisted, LastListed: f.known.LastListed(addr)}
	if f.answered.IsZero() {
		s.Says = api.SaysNothing
		return s
	}
	i, listed := slices.BinarySearchFunc(f.listed, addr, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	if listed {
		e := f.listed[i]
		s.Says, s.Weight, s.Name, s.Reason = e.State.String(), e.Weight, e.Name, e.Reason
		return s
	}
	for _, x := range f.refused {
		if isNamed(x.Value, addr) {
			s.Says, s.Name, s.Reason = api.SaysRefused, x.Name, x.Reason
			break
		}
	}
	return s
}

// isNamed reports whether value, which a source named, is an address. Sources may
// name a rejected one without its port.
func isNamed(value string, addr netip.AddrPort) bool {
	if a, err := netip.ParseAddrPort(value); err == nil {
		return plain(a) == addr || addr.Port() == 0 && plain(a).Addr() == addr.Addr()
	}
	ip, err := netip.ParseAddr(value)
	return err == nil && ip.Unmap() == addr.Addr()
}
