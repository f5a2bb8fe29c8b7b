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

// This file does to endpoints what operators ask for.

// A Who says whose wish something is, why, and for how long.
type Who struct {
	By, Reason string
	// For is how long it holds; 0 for no end.
	For time.Duration
	// Keep: also when its endpoint has not been listed for 24 hours.
	Keep bool
}

// A ServerRef names one endpoint of one backend, and the slot that it has.
type ServerRef struct {
	Backend  string `json:"backend"`
	Endpoint string `json:"endpoint"`
	Slot     string `json:"slot"` // "" for none
}

// SetState drains an endpoint, stops it, or gives it back to what its source says
// ([StateReady]), which also ends what somebody did to its slot behind the agent's
// back. server is its address and port, or its slot. It fails with [ErrNoBackend],
// [ErrNoServer] or [ErrBadRequest], and with [ErrOverruled] where its address is out of
// service on all backends.
func (a *Agent) SetState(ctx context.Context, backend, server, state string, who Who) (ServerRef, error) {
	if err := checkState(state); err != nil {
		return ServerRef{}, err
	}
	return a.operate(ctx, backend, server, func(b *backendRef, now time.Time) error {
		if err := a.setState(Override{Backend: b.Name, Address: b.addr.String(), State: state}, who, now); err != nil {
			return err
		}
		if o := b.overrides.find(b.Name, b.addr, OverrideState); state == StateReady && o != nil {
			return fmt.Errorf("%w: %s on all backends; start it by its address", ErrOverruled, o.why())
		}
		return nil
	})
}

// SetAddressState does to every endpoint with this address, on all backends, now and
// later, what SetState does to one, and returns those that there are.
func (a *Agent) SetAddressState(ctx context.Context, ip netip.Addr, state string, who Who) ([]ServerRef, error) {
	if err := checkState(state); err != nil {
		return nil, err
	}
	return a.operateAddress(ctx, ip, func(address string, now time.Time) error {
		return a.setState(Override{Address: address, State: state}, who, now)
	})
}

// SetWeight gives an endpoint another weight: 0 to 256, a share of the template's as
// in "20%", or "" for what its source says. It fails as SetState does.
func (a *Agent) SetWeight(ctx context.Context, backend, server, weight string, who Who) (ServerRef, error) {
	if weight != "" {
		if err := CheckWeight(weight); err != nil {
			return ServerRef{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
	return a.operate(ctx, backend, server, func(b *backendRef, now time.Time) error {
		o := Override{Backend: b.Name, Address: b.addr.String(), Kind: OverrideWeight, Weight: weight}
		if weight == "" {
			a.release(o)
			return nil
		}
		return a.impose(o, who, now)
	})
}

// AddServer adds an endpoint that no source lists. name is for people, weight is as
// for SetWeight. It fails with [ErrNoBackend] or [ErrBadRequest].
func (a *Agent) AddServer(ctx context.Context, backend string, addr netip.AddrPort, name, weight string, who Who) (ServerRef, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	err := error(nil)
	if reason := discovery.Check(addr); reason != "" {
		err = fmt.Errorf("%w: %s is not for an endpoint (%s)", ErrBadRequest, addr, strings.ReplaceAll(reason, "_", " "))
	} else if weight != "" && CheckWeight(weight) != nil {
		err = fmt.Errorf("%w: %w", ErrBadRequest, CheckWeight(weight))
	}
	if err != nil {
		return ServerRef{}, err
	}
	return answerOr(ctx, a, func(context.Context) (ServerRef, error) {
		b := a.backend(backend)
		if b == nil {
			return ServerRef{}, fmt.Errorf("%w: %q", ErrNoBackend, backend)
		}
		o := Override{Backend: b.Name, Address: addr.String(), Kind: OverrideServer, Weight: weight, Name: discovery.Printable(name, 100)}
		return b.ref(addr), a.impose(o, who, time.Now())
	})
}

// RemoveServer removes an endpoint that AddServer added. It fails with
// [ErrDiscovered] for one that only a source lists, and as SetState does.
func (a *Agent) RemoveServer(ctx context.Context, backend, server string) (ServerRef, error) {
	return a.operate(ctx, backend, server, func(b *backendRef, _ time.Time) error {
		if !a.release(Override{Backend: b.Name, Address: b.addr.String(), Kind: OverrideServer}) {
			return fmt.Errorf("%w: %s/%s", ErrDiscovered, b.Name, b.addr)
		}
		return nil
	})
}

// checkState refuses what is no state.
func checkState(state string) error {
	if !slices.Contains([]string{StateReady, StateDrain, StateMaint}, state) {
		return fmt.Errorf("%w: state %q is none of ready, drain, maint", ErrBadRequest, discovery.Printable(state, 40))
	}
	return nil
}

// A backendRef is a backend and an endpoint of it.
type backendRef struct {
	*backend
	addr netip.AddrPort
}

// operate finds the endpoint and has the loop do f.
func (a *Agent) operate(ctx context.Context, backend, server string, f func(*backendRef, time.Time) error) (ServerRef, error) {
	return answerOr(ctx, a, func(context.Context) (ServerRef, error) {
		b := a.backend(backend)
		if b == nil {
			return ServerRef{}, fmt.Errorf("%w: %q", ErrNoBackend, backend)
		}
		addr, err := b.find(server)
		if err != nil {
			return ServerRef{}, err
		}
		if err := f(&backendRef{b, addr}, time.Now()); err != nil {
			return ServerRef{}, err
		}
		return b.ref(addr), nil
	})
}

// answerOr is answer for what can fail.
func answerOr[T any](ctx context.Context, a *Agent, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	r, err := answer(ctx, a, func(loop context.Context) result {
		v, err := f(loop)
		return result{v, err}
	})
	return r.value, cmp.Or(err, r.err)
}

// find returns the endpoint that server names: by its address, or by the slot that
// it has.
func (b *backend) find(server string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(server); err == nil {
		addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
		if !slices.ContainsFunc(b.wanted(), func(e discovery.Endpoint) bool { return e.Addr == addr }) {
			return addr, fmt.Errorf("%w: %s has no endpoint %s", ErrNoServer, b.Name, addr)
		}
		return addr, nil
	}
	for _, s := range b.table {
		if s.Name != server {
			continue
		}
		if s.Free() {
			return netip.AddrPort{}, fmt.Errorf("%w: slot %s/%s is free", ErrNoServer, b.Name, s.Name)
		}
		return s.Endpoint.Addr, nil
	}
	return netip.AddrPort{}, fmt.Errorf("%w: %s has neither an endpoint nor a slot %q", ErrNoServer, b.Name, discovery.Printable(server, 60))
}

func (b *backend) ref(addr netip.AddrPort) ServerRef {
	r := ServerRef{Backend: b.Name, Endpoint: addr.String()}
	if i := slices.IndexFunc(b.table, func(s slots.Slot) bool { return s.Endpoint.Addr == addr }); i >= 0 {
		r.Slot = b.table[i].Name
	}
	return r
}

// setState puts a state in force, or ends the one that is.
func (a *Agent) setState(o Override, who Who, now time.Time) error {
	o.Kind = OverrideState
	if o.State != StateReady {
		return a.impose(o, who, now)
	}
	a.release(o)
	about := o.subject()
	for _, b := range a.backends {
		for _, s := range b.table {
			if !s.Free() && about.concerns(b.Name, s.Endpoint.Addr) {
				b.started[s.Name] = now
				b.due = true
			}
		}
	}
	return nil
}

// impose puts an override in force.
func (a *Agent) impose(o Override, who Who, now time.Time) error {
	o.By, o.Reason, o.Since, o.Keep, o.Listed = discovery.Printable(who.By, 100), discovery.Printable(who.Reason, 200), now, who.Keep, now
	if who.For < 0 {
		return fmt.Errorf("%w: it cannot last %s", ErrBadRequest, who.For)
	}
	if who.For > 0 {
		until := now.Add(who.For)
		o.Until = &until
	}
	next := a.overrides.put(o)
	if len(next) > maxOverrides {
		return fmt.Errorf("%w: there are %d overrides, %d at most", ErrBadRequest, len(next), maxOverrides)
	}
	a.overrule(next, o.Backend)
	a.gaugeOverrides()
	a.events.Add(overrideEvent(EventOverrideSet, o))
	a.opts.Log.Info("an operator overrides", "backend", o.Backend, "address", o.Address, "what", o.Kind, "how", o.why())
	return nil
}

// release ends an override, and reports whether there was one.
func (a *Agent) release(o Override) bool {
	next, was := a.overrides.drop(o)
	if was {
		a.overrule(next, o.Backend)
		a.gaugeOverrides()
		a.events.Add(overrideEvent(EventOverrideEnded, o))
		a.opts.Log.Info("an operator ends an override", "backend", o.Backend, "address", o.Address, "what", o.Kind)
	}
	return was
}

// overrule makes next the overrides in force, which differ in those of one backend, of
// all if it is "".
func (a *Agent) overrule(next overrides, backend string) {
	a.overrides, a.dirty = next, true
	for _, b := range a.backends {
		if backend == "" || backend == b.Name {
			b.overrides, b.due = next.of(b.Name), true
		}
	}
}

// lapse ends the overrides and pauses whose time is over.
func (a *Agent) lapse(now time.Time) {
	if over := a.pauses.expire(now); len(over) > 0 {
		a.addAll(pauseEvents(EventPauseOver, over))
		a.paused()
	}
	if len(a.overrides) == 0 {
		return
	}
	listed := map[string][]discovery.Endpoint{}
	for _, b := range a.backends {
		if len(b.overrides) > 0 {
			listed[b.Name] = b.wanted()
		}
	}
	left, gone := a.overrides.expire(listed, now)
	for _, o := range gone.sorted() {
		a.overrule(left, o.Backend)
		a.events.Add(overrideEvent(EventOverrideOver, o))
		a.opts.Log.Info("an override is over", "backend", o.Backend, "address", o.Address, "what", o.Kind, "how", o.why())
	}
	a.gaugeOverrides() // endpoints come and go
}

// countOverrides adds up the endpoints that operators asked something of, by kind.
func (b *backend) countOverrides(n map[string]int) {
	for _, e := range b.wanted() {
		for _, kind := range OverrideKinds {
			if b.overrides.find(b.Name, e.Addr, kind) != nil {
				n[kind]++
			}
		}
	}
}

// gaugeOverrides says how many endpoints of each backend operators asked something of.
func (a *Agent) gaugeOverrides() {
	for _, b := range a.backends {
		n := map[string]int{}
		if len(b.overrides) > 0 {
			b.countOverrides(n)
		}
		for _, kind := range OverrideKinds {
			a.opts.Metrics.Overridden(b.Proxy, kind, n[kind])
		}
	}
}

// Pause stops writing to the slots of a backend, or of all if backend is "": for
// who.For, or [DefaultPause]. An instance that is restarted is filled nevertheless,
// unless hard. It fails with [ErrNoBackend] or [ErrBadRequest].
func (a *Agent) Pause(ctx context.Context, backend string, hard bool, who Who) (Pause, error) {
	if who.For < 0 {
		return Pause{}, fmt.Errorf("%w: it cannot last %s", ErrBadRequest, who.For)
	}
	return answerOr(ctx, a, func(context.Context) (Pause, error) {
		if backend != "" && a.backend(backend) == nil {
			return Pause{}, fmt.Errorf("%w: %q", ErrNoBackend, backend)
		}
		now := time.Now()
		p := Pause{Backend: backend, By: discovery.Printable(who.By, 100), Reason: discovery.Printable(who.Reason, 200),
			Since: now, Until: now.Add(cmp.Or(who.For, DefaultPause)), Hard: hard}
		a.pauses[backend] = p
		a.addAll(pauseEvents(EventPaused, []Pause{p}))
		a.paused()
		return p, nil
	})
}

// Resume ends the pause of a backend, or every one if backend is "". It fails with
// [ErrNotPaused].
func (a *Agent) Resume(ctx context.Context, backend string) error {
	_, err := answerOr(ctx, a, func(context.Context) (struct{}, error) {
		if _, ok := a.pauses[backend]; !ok && (backend != "" || len(a.pauses) == 0) {
			return struct{}{}, fmt.Errorf("%w: %s", ErrNotPaused, cmp.Or(backend, "nothing"))
		}
		a.addAll(pauseEvents(EventResumed, a.pauses.end(backend)))
		a.paused()
		return struct{}{}, nil
	})
	return err
}

// paused tells the instances what is paused now.
func (a *Agent) paused() {
	a.dirty = true
	for _, b := range a.backends {
		b.due = true
	}
	a.tellAll(time.Now())
	a.opts.Log.Info("an operator pauses the writing, or has it go on", "pauses", len(a.pauses))
}
