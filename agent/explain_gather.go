package agent

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	// maxExplained bounds the addresses of one explanation, maxRejected what it
	// shows of the rejected.
	maxExplained, maxRejected = 50, 20
)

// Explain says why a backend, by our name of it, is as it is, or an address in it:
// about is ip:port, [v6]:port, an IP address (all of its ports), the name of a
// slot, or "" for the backend as a whole. It fails with [ErrNoBackend] or
// [ErrNoSubject].
func (a *Agent) Explain(ctx context.Context, name, about string) (Explanation, error) {
	var refused error
	e, err := answer(ctx, a, func(context.Context) Explanation {
		b := a.backend(name)
		if b == nil {
			refused = fmt.Errorf("%w: %q", ErrNoBackend, name)
			return Explanation{}
		}
		var e Explanation
		e, refused = a.explain(b, about, time.Now())
		return e
	})
	if err := cmp.Or(err, refused); err != nil {
		return Explanation{}, err
	}
	return e, nil
}

// explain puts together what is known of b, and of what was asked about.
func (a *Agent) explain(b *backend, about string, now time.Time) (Explanation, error) {
	status := a.showBackend(b, now)
	e := Explanation{
		Schema: Schema, At: now, Name: b.Name, Backend: b.Proxy, About: about, Phase: b.phase,
		Slots: len(status.Slots), Addresses: []AddressExplanation{},
	}
	for _, s := range status.Slots {
		if s.State == "free" {
			e.Free++
		}
	}
	for _, f := range b.feeds {
		e.Sources = append(e.Sources, f.explain(b.Name, now))
	}
	e.Guard = explainGuard(status, &e)
	if about == "" {
		e.Verdict = backendVerdict(status, a.statusesOf(b, now), &e)
		return e, nil
	}
	list, slot, err := a.meant(b, status, about)
	if err != nil {
		return e, err
	}
	if e.More = max(len(list)-maxExplained, 0); e.More > 0 {
		list = list[:maxExplained]
	}
	for _, addr := range list {
		e.Addresses = append(e.Addresses, a.explainAddress(b, status, &e, addr, slot))
	}
	e.Verdict = verdicts(e.Addresses, e.More)
	return e, nil
}

// verdicts joins the first three.
func verdicts(list []AddressExplanation, more int) string {
	var words []string
	for _, x := range list[:min(3, len(list))] {
		words = append(words, x.Verdict)
	}
	if n := len(list) - len(words) + more; n > 0 {
		words = append(words, fmt.Sprintf("%d more addresses are below.", n))
	}
	return strings.Join(words, " ")
}

func (a *Agent) statusesOf(b *backend, now time.Time) []InstanceStatus {
	var out []InstanceStatus
	for _, in := range a.of(b) {
		out = append(out, in.show(now))
	}
	return out
}

// meant returns the addresses that about stands for, sorted; of a free slot the
// zero one. slot is the name of a slot, if it is one.
func (a *Agent) meant(b *backend, status BackendStatus, about string) (list []netip.AddrPort, slot string, err error) {
	if addr, err := netip.ParseAddrPort(about); err == nil {
		return []netip.AddrPort{plain(addr)}, "", nil
	}
	if ip, err := netip.ParseAddr(about); err == nil {
		return a.portsOf(b, status, ip.Unmap()), "", nil
	}
	i := slices.IndexFunc(status.Slots, func(s SlotStatus) bool { return s.Name == about })
	if i < 0 {
		return nil, "", fmt.Errorf("%w: %q of backend %q", ErrNoSubject, about, b.Name)
	}
	var addr netip.AddrPort
	if at := status.Slots[i].Endpoint; at != "" {
		addr, err = netip.ParseAddrPort(at)
	}
	return []netip.AddrPort{addr}, about, err
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// portsOf returns everything known at an IP address; the address with port 0 if
// there is nothing.
func (a *Agent) portsOf(b *backend, status BackendStatus, ip netip.Addr) []netip.AddrPort {
	var out []netip.AddrPort
	add := func(addr netip.AddrPort) {
		if addr.Addr() == ip {
			out = append(out, addr)
		}
	}
	for _, f := range b.feeds {
		for addr := range f.listed {
			add(addr)
		}
		for _, x := range f.last.Rejected {
			if addr, err := netip.ParseAddrPort(x.Value); err == nil {
				add(plain(addr))
			}
		}
	}
	for _, e := range status.Endpoints {
		add(e.Addr)
	}
	for _, own := range a.views(b) {
		for _, s := range own {
			add(s.Addr)
		}
	}
	if len(out) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(ip, 0)}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}

// explain is what a feed was asked and said.
func (f *feed) explain(backend string, now time.Time) SourceExplanation {
	s := SourceExplanation{SourceStatus: f.show(backend, now), Answered: f.answered, Weak: f.last.Weak}
	if f.failing != nil {
		s.FailingSince = f.failedAt
	}
	n := map[discovery.State]int{}
	for _, e := range f.last.Endpoints {
		n[e.State]++
	}
	s.Ready, s.Drain, s.Down = n[discovery.Ready], n[discovery.Drain], n[discovery.Down]
	s.RejectedTotal = len(s.Rejected)
	s.Rejected = slices.Clone(s.Rejected[:min(maxRejected, len(s.Rejected))])
	return s
}

// says is what a feed says of an address.
func (f *feed) says(addr netip.AddrPort) Saying {
	s := Saying{Source: f.Name, Says: SaysUnlisted, LastListed: f.listed[addr]}
	if f.answered.IsZero() {
		s.Says = SaysNothing
		return s
	}
	i, listed := slices.BinarySearchFunc(f.last.Endpoints, addr, func(e discovery.Endpoint, a netip.AddrPort) int { return e.Addr.Compare(a) })
	if listed {
		e := f.last.Endpoints[i]
		s.Says, s.Weight, s.Name, s.Reason = e.State.String(), e.Weight, e.Name, e.Reason
		return s
	}
	for _, x := range f.last.Rejected {
		if isNamed(x.Value, addr) {
			s.Says, s.Name, s.Reason = SaysRefused, x.Name, x.Reason
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

// explainAddress puts together what is known of one address, or of a free slot.
func (a *Agent) explainAddress(b *backend, status BackendStatus, e *Explanation, addr netip.AddrPort, slot string) AddressExplanation {
	x := AddressExplanation{Said: []Saying{}, Slot: slot, Instances: []InstanceExplanation{}}
	if addr.IsValid() {
		x.Address = addr.String()
		if addr.Port() == 0 {
			x.Address = addr.Addr().String()
		}
		for _, f := range b.feeds {
			x.Said = append(x.Said, f.says(addr))
		}
	}
	x.place(b, status, addr)
	for _, kind := range OverrideKinds {
		if o := b.overrides.find(b.Name, addr, kind); addr.IsValid() && o != nil {
			x.Overrides = append(x.Overrides, *o)
		}
	}
	for _, in := range a.of(b) {
		x.Instances = append(x.Instances, a.explainAt(b, in, x.Slot, x.Address)...)
	}
	pause := a.pauses.of(b.Name, e.At)
	for i := range x.Instances {
		at := &x.Instances[i]
		if pause != nil {
			at.PausedUntil, at.PausedBy = pause.Until, cmp.Or(pause.By, "an operator")
		}
		at.Traffic = at.Up && at.serves(x.Address)
		if want := x.InForce; x.Address != "" && (want == nil || at.Slot == x.Slot) {
			at.Why = at.why(x.Address, want, e.At)
		}
		if at.Slot == x.Slot && at.Address == x.Address && (x.Since.IsZero() || at.Since.Before(x.Since)) {
			x.Since = at.Since
		}
	}
	x.Verdict = x.verdict(e)
	return x
}

// place notes whether the address is in force, and which slot holds it.
func (x *AddressExplanation) place(b *backend, status BackendStatus, addr netip.AddrPort) {
	if i := slices.IndexFunc(status.Endpoints, func(e discovery.Endpoint) bool { return e.Addr == addr }); i >= 0 {
		e := status.Endpoints[i]
		x.InForce, x.Name = &e, e.Name
	}
	if l, ok := b.leaving[addr]; ok {
		x.LeavesAt = l.Until
	}
	switch h, t := status.Hold, status.Turnover; {
	case h != nil && h.Kind != holdTakeover:
		x.Held = slices.Contains(h.WouldRemove, x.Address)
	case t != nil:
		x.Held = slices.Contains(t.Leaving, x.Address)
	}
	for _, s := range status.Slots {
		if x.Address != "" && s.Endpoint == x.Address {
			x.Slot = s.Name
			if s.State == holdTakeover {
				x.NoSlot = holdTakeover
			}
			return
		}
	}
	switch {
	case x.Slot != "":
	case x.InForce == nil:
		x.NoSlot = "unwanted"
	case len(status.Slots) == 0:
		x.NoSlot = "unseen"
	default:
		x.NoSlot = "overflow"
	}
}

// explainAt returns the slot, and every other one in which the address is live, at
// an instance.
func (a *Agent) explainAt(b *backend, in *instance, slot, address string) []InstanceExplanation {
	r := in.last.backends[b.Name]
	var out []InstanceExplanation
	found := false
	for _, s := range r.own {
		live := address != "" && s.Class != slots.Maint && s.Addr.String() == address
		if s.Name == slot || live {
			found = found || s.Name == slot
			out = append(out, in.explain(b, s, true))
		}
	}
	if slot != "" && !found {
		out = append(out, in.explain(b, slots.Server{Name: slot, Sessions: -1}, len(r.own) == 0))
	}
	return out
}

// explain is one slot of an instance, which has it if it exists.
func (in *instance) explain(b *backend, s slots.Server, exists bool) InstanceExplanation {
	r := in.last.backends[b.Name]
	i := InstanceExplanation{
		InstanceSlot: in.showSlot(b, s.Name, s, exists), Slot: s.Name, Up: in.up(), Waiting: r.waiting > 0, Problem: r.problem,
		PausedUntil: r.paused, HeldSince: r.externals[s.Name].Since, Said: []Exchange{},
	}
	if r.lacking {
		i.Problem = "it has no backend " + b.Proxy
	}
	if in.last.err != nil {
		i.Error = in.last.err.Error()
	}
	if exists && !r.seen.IsZero() {
		i.Seen = r.seen
		i.Since = r.seen.Add(-s.Since)
	}
	for _, said := range in.told[toldSlot{b.Proxy, s.Name}] {
		i.Said = append(i.Said, Exchange{said.Command, said.Reply, said.Answered, said.At})
	}
	return i
}
