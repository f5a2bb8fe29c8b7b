package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/explain"
	"github.com/slotsync/slotsync/discovery"
)

const (
	// maxExplained bounds the addresses of one explanation, maxRejected what it
	// shows of the rejected.
	maxExplained, maxRejected = 50, 20
)

// Explain says why a backend, by our name of it, is as it is, or an address in it:
// about is ip:port, [v6]:port, an IP address (all of its ports), the name of a
// slot, or "" for the backend as a whole. It fails with [api.ErrNoBackend] or
// [api.ErrNoSubject].
func (a *Agent) Explain(ctx context.Context, name, about string) (api.Explanation, error) {
	return answer(ctx, a, func(context.Context) (api.Explanation, error) {
		b := a.backend(name)
		if b == nil {
			return api.Explanation{}, a.noBackend(name)
		}
		e, err := a.explain(b, about, time.Now())
		if err != nil {
			return api.Explanation{}, err
		}
		return e.Explanation, nil
	})
}

// explain puts together what is known of b, and of what was asked about.
func (a *Agent) explain(b *backend, about string, now time.Time) (explain.Explanation, error) {
	status := a.backendStatus(b, now)
	e := explain.Explanation{Explanation: api.Explanation{
		Schema: api.Schema, At: now, Name: b.Name, Backend: b.Proxy, About: about, Phase: b.phase,
		Slots: len(status.Slots), Addresses: []api.AddressExplanation{},
	}}
	if status.Takeover != nil {
		e.TakeoverID, e.Blocked = status.Takeover.ID, status.Takeover.BlocksWriting
	}
	for _, s := range status.Slots {
		if s.State == "free" {
			e.Free++
		}
	}
	for _, f := range b.feeds {
		e.Sources = append(e.Sources, f.explain(b.Name, now))
	}
	e.Guard = explain.Guard(status, &e)
	if about == "" {
		var instances []api.InstanceStatus
		for _, in := range b.served {
			instances = append(instances, a.instanceStatus(in, now))
		}
		e.Verdict = explain.BackendVerdict(status, instances, &e)
		return e, nil
	}
	list, slot, err := b.resolve(status, about)
	if err != nil {
		return e, err
	}
	if e.More = max(len(list)-maxExplained, 0); e.More > 0 {
		list = list[:maxExplained]
	}
	for _, addr := range list {
		e.Addresses = append(e.Addresses, b.explainAddress(status, &e, addr, slot, a.pauses.Of(b.Name, now)))
	}
	e.Verdict = explain.Verdicts(e.Addresses, e.More)
	return e, nil
}

// resolve returns the addresses that about stands for, sorted; of a free slot the
// zero one. slot is the name of a slot, if it is one.
func (b *backend) resolve(status api.BackendStatus, about string) (list []netip.AddrPort, slot string, err error) {
	if addr, err := netip.ParseAddrPort(about); err == nil {
		return []netip.AddrPort{plain(addr)}, "", nil
	}
	if ip, err := netip.ParseAddr(about); err == nil {
		return b.portsOf(status, ip.Unmap()), "", nil
	}
	number, named := b.numberOf(about)
	name := b.slotName(number)
	i := slices.IndexFunc(status.Slots, func(s api.SlotStatus) bool { return named && s.Name == name })
	if i < 0 {
		return nil, "", fmt.Errorf("%w: %q of backend %q", api.ErrNoSubject, about, b.Name)
	}
	var addr netip.AddrPort
	if at := status.Slots[i].Endpoint; at != "" {
		addr, err = netip.ParseAddrPort(at)
	}
	return []netip.AddrPort{addr}, name, err
}

// portsOf returns everything known at an IP address; the address with port 0 if
// there is nothing.
func (b *backend) portsOf(status api.BackendStatus, ip netip.Addr) []netip.AddrPort {
	var out []netip.AddrPort
	add := func(addr netip.AddrPort) {
		if addr.Addr() == ip {
			out = append(out, addr)
		}
	}
	for _, f := range b.feeds {
		for _, addr := range f.known.EverListed() {
			add(addr)
		}
		for _, x := range f.refused {
			if addr, err := netip.ParseAddrPort(x.Value); err == nil {
				add(plain(addr))
			}
		}
	}
	for _, e := range status.Endpoints {
		add(e.Addr)
	}
	for _, own := range b.views() {
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
func (f *feed) explain(backend string, now time.Time) api.SourceExplanation {
	s := api.SourceExplanation{SourceStatus: f.status(backend, now), Answered: f.answered}
	if f.failing != nil {
		s.FailingSince = f.failedAt
	}
	n := map[discovery.State]int{}
	for _, e := range f.listed {
		n[e.State]++
	}
	s.Ready, s.Drain, s.Down = n[discovery.Ready], n[discovery.Drain], n[discovery.Down]
	s.RejectedTotal = len(s.Rejected)
	s.Rejected = slices.Clone(s.Rejected[:min(maxRejected, len(s.Rejected))])
	return s
}
