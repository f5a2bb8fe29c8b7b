package agent

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file does to endpoints what operators ask for.

// SetState drains an endpoint, stops it, or gives it back to what its source says
// ([StateReady]), which also ends what somebody did to its slot behind the agent's
// back. server is its address and port, or its slot. It fails with [api.ErrNoBackend],
// [api.ErrNoServer] or [api.ErrBadRequest], and with [api.ErrOverruled] where its address is out of
// service on all backends, or a weight of 0 keeps it out.
func (a *Agent) SetState(ctx context.Context, backend, server, state string, who api.Who) (api.ServerRef, error) {
	if err := checkState(state); err != nil {
		return api.ServerRef{}, err
	}
	return a.withServer(ctx, backend, server, func(b *backendRef, now time.Time) error {
		if err := a.setState(api.Override{Backend: b.Name, Address: b.addr.String(), State: state}, who, now); err != nil {
			return err
		}
		o := b.overrides.Blocking(b.Name, b.addr)
		switch {
		case state != api.StateReady || o == nil:
			return nil
		case o.Kind == api.OverrideState:
			return fmt.Errorf("%w: %s on all backends; start it by its address", api.ErrOverruled, o.Words())
		}
		return fmt.Errorf("%w: %s; give it another weight", api.ErrOverruled, o.Words())
	})
}

// SetWeight gives an endpoint another weight: 0 to 256, a share of the template's as
// in "20%", or "" for what its source says. It fails as SetState does.
func (a *Agent) SetWeight(ctx context.Context, backend, server, weight string, who api.Who) (api.ServerRef, error) {
	if err := checkWeight(weight); err != nil {
		return api.ServerRef{}, err
	}
	return a.withServer(ctx, backend, server, func(b *backendRef, now time.Time) error {
		return a.setWeight(api.Override{Backend: b.Name, Address: b.addr.String(), Weight: weight}, who, now)
	})
}

// AddServer adds an endpoint that no source lists. name is for people, weight is as
// for SetWeight. It fails with [api.ErrNoBackend] or [api.ErrBadRequest].
func (a *Agent) AddServer(ctx context.Context, backend string, addr netip.AddrPort, name, weight string, who api.Who) (api.ServerRef, error) {
	addr = plain(addr)
	err := checkWeight(weight)
	if reason := discovery.Check(addr); reason != "" {
		err = fmt.Errorf("%w: %s is not for an endpoint (%s)", api.ErrBadRequest, addr, discovery.WhyRefused(reason))
	}
	if err != nil {
		return api.ServerRef{}, err
	}
	return durably(ctx, a, func(context.Context) (api.ServerRef, error) {
		b := a.backend(backend)
		if b == nil {
			return api.ServerRef{}, a.noBackend(backend)
		}
		if reason := b.Policy.Check(addr); reason != "" {
			return api.ServerRef{}, fmt.Errorf("%w: %s has no endpoints like %s (%s): see its allow, deny and family", api.ErrBadRequest, b.Name, addr, discovery.WhyRefused(reason))
		}
		o := api.Override{Backend: b.Name, Address: addr.String(), Kind: api.OverrideServer, Weight: weight, Name: discovery.Printable(name, 100)}
		return b.ref(addr), a.setOverride(o, who, time.Now())
	})
}

// RemoveServer removes an endpoint that AddServer added. It fails with
// [api.ErrDiscovered] for one that only a source lists, and as SetState does.
func (a *Agent) RemoveServer(ctx context.Context, backend, server string) (api.ServerRef, error) {
	return a.withServer(ctx, backend, server, func(b *backendRef, now time.Time) error {
		if !a.endOverride(api.Override{Backend: b.Name, Address: b.addr.String(), Kind: api.OverrideServer}, "", now) {
			return fmt.Errorf("%w: %s/%s", api.ErrDiscovered, b.Name, b.addr)
		}
		a.stateAsked = true // there alone stands that it may go wherever it is found
		return nil
	})
}

// checkState refuses what is no state.
func checkState(state string) error {
	if !slices.Contains([]string{api.StateReady, api.StateDrain, api.StateMaint}, state) {
		return fmt.Errorf("%w: state %q is none of ready, drain, maint", api.ErrBadRequest, discovery.Printable(state, 40))
	}
	return nil
}

// checkWeight refuses what is neither a weight nor "".
func checkWeight(weight string) error {
	if weight == "" {
		return nil
	}
	if err := api.CheckWeight(weight); err != nil {
		return fmt.Errorf("%w: %w", api.ErrBadRequest, err)
	}
	return nil
}

// A backendRef is a backend and an endpoint of it.
type backendRef struct {
	*backend
	addr netip.AddrPort
}

// withServer finds the endpoint and has the loop do f.
func (a *Agent) withServer(ctx context.Context, backend, server string, f func(*backendRef, time.Time) error) (api.ServerRef, error) {
	return durably(ctx, a, func(context.Context) (api.ServerRef, error) {
		b := a.backend(backend)
		if b == nil {
			return api.ServerRef{}, a.noBackend(backend)
		}
		addr, err := b.find(server)
		if err != nil {
			return api.ServerRef{}, err
		}
		if err := f(&backendRef{b, addr}, time.Now()); err != nil {
			return api.ServerRef{}, err
		}
		return b.ref(addr), nil
	})
}

// find returns the endpoint that server names: by its address, or by the slot that
// it has, as any instance calls it. One that is not there, but that something is asked of, can be named too: how
// else would that end?
func (b *backend) find(server string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(server); err == nil {
		addr = plain(addr)
		if !slices.ContainsFunc(b.wanted(), func(e discovery.Endpoint) bool { return e.Addr == addr }) && !b.overrides.Names(b.Name, addr) {
			return addr, noServer(b, "%s has no endpoint %s", b.Name, addr)
		}
		return addr, nil
	}
	number, named := b.numberOf(server)
	for _, s := range b.placement.Table() {
		if !named || s.Number != number {
			continue
		}
		if s.Free() {
			return netip.AddrPort{}, fmt.Errorf("%w: slot %s/%s is free", api.ErrNoServer, b.Name, server)
		}
		return s.Endpoint.Addr, nil
	}
	return netip.AddrPort{}, noServer(b, "%s has neither an endpoint nor a slot %q", b.Name, discovery.Printable(server, 60))
}

// noServer says with the words that there is no such endpoint, and whether there may yet be one:
// a source has not answered, or no instance has shown the slots.
func noServer(b *backend, words string, with ...any) error {
	err := fmt.Errorf("%w: "+words, append([]any{api.ErrNoServer}, with...)...)
	if silent := b.unanswered(); len(silent) > 0 {
		return fmt.Errorf("%w: %s has not answered since slotsync started; try again when it has", err, strings.Join(silent, ", "))
	}
	if !b.placement.Adopted() {
		return fmt.Errorf("%w: no HAProxy has shown the slots of %s yet; try again when one has", err, b.Name)
	}
	return err
}

func (b *backend) ref(addr netip.AddrPort) api.ServerRef {
	r := api.ServerRef{Backend: b.Name, Endpoint: addr.String()}
	table := b.placement.Table()
	if i := slices.IndexFunc(table, func(s slots.Slot) bool { return s.Endpoint.Addr == addr }); i >= 0 {
		r.Slot = b.slotName(table[i].Number)
	}
	return r
}

// setWeight puts a weight in force, or ends the one that is.
func (a *Agent) setWeight(o api.Override, who api.Who, now time.Time) error {
	o.Kind = api.OverrideWeight
	if o.Weight != "" {
		return a.setOverride(o, who, now)
	}
	a.endOverride(o, who.By, now)
	return nil
}

// setState puts a state in force, or ends the one that is.
func (a *Agent) setState(o api.Override, who api.Who, now time.Time) error {
	o.Kind = api.OverrideState
	if o.State != api.StateReady {
		return a.setOverride(o, who, now)
	}
	a.endOverride(o, who.By, now)
	about := override.KeyOf(&o)
	for _, b := range a.backends {
		places := b.placement.Places()
		for _, e := range b.wanted() {
			places[e.Addr] = 0 // where no HAProxy has answered yet, too
		}
		maps.DeleteFunc(b.started, func(addr netip.AddrPort, _ time.Time) bool { _, has := places[addr]; return !has })
		for addr := range places {
			if about.Concerns(b.Name, addr) {
				b.started[addr] = now
				b.due, a.dirty, a.stateAsked = true, true, true
				for _, in := range b.served {
					in.clearExternal(b.Name, addr)
				}
			}
		}
	}
	return nil
}

// startedBetween reports whether an operator gave anything back after before, and not after now.
func (b *backend) startedBetween(before, now time.Time) bool {
	for _, at := range b.started {
		if at.After(before) && !at.After(now) {
			return true
		}
	}
	return false
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
