package simulation

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
)

// call calls the agent as an operator does, and reports whether it was acknowledged. What
// cannot be known to be stored is in doubt.
func (w *world) call(do func(context.Context) error) (acked, doubt bool) {
	if w.life.dead.Load() {
		return false, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	begun := time.Now()
	err := do(ctx)
	if time.Since(begun) > oracle.Grace { // the disk was waited for, and the oracle has seen nothing of it
		w.look()
	}
	switch {
	case w.life.dead.Load(), errors.Is(err, api.ErrNotStored), errors.Is(err, context.DeadlineExceeded):
		return false, true
	}
	return err == nil, false
}

// ask has an operator ask something of an endpoint.
func (w *world) ask(ask oracle.Ask, who api.Who, do func(context.Context) error) {
	// the agent acts on it before it says so
	w.oracleDo(func(o *oracle.Oracle) { o.Doubtful(ask) })
	until := time.Time{} // from when it is asked on, however long the disk takes
	if who.For > 0 {
		until = time.Now().Add(who.For)
	}
	acked, doubt := w.call(do)
	w.oracleDo(func(o *oracle.Oracle) {
		switch {
		case acked:
			o.Asked(time.Now(), ask, until)
		case doubt:
			o.Unsure(ask)
		default:
			o.Refused(ask)
		}
	})
	if acked && ask.Kind == api.OverrideServer {
		w.added = append(w.added, ask)
	}
}

// unask has an operator end what was asked.
func (w *world) unask(ask oracle.Ask, do func(context.Context) error) {
	// until it is answered, or if it is not, nobody knows whether it is in force
	w.oracleDo(func(o *oracle.Oracle) { o.Ended(time.Now(), ask); o.Doubtful(ask) })
	if acked, _ := w.call(do); acked {
		w.oracleDo(func(o *oracle.Oracle) { o.Ended(time.Now(), ask) })
	}
}

// look tells the oracle what the agent says.
func (w *world) look() {
	if w.life.dead.Load() {
		return
	}
	events, r, err := w.agent.Events().Read(w.heard)
	if err == nil {
		r.Close()
	}
	status := w.status()
	for _, p := range w.proxies {
		all := p.servers()
		w.oracleDo(func(o *oracle.Oracle) { o.Sees(p.name, all) })
	}
	w.oracleDo(func(o *oracle.Oracle) {
		for _, e := range events {
			if e.Kind == api.EventGap {
				continue
			}
			w.heard = e.ID
			if e.Kind == api.EventSlotsChanged {
				o.Told(oracle.Event{At: e.At, Kind: e.Kind, Instance: nameOf(e.Instance), Slots: e.Slots})
			}
		}
		o.Says(time.Now(), status)
	})
}

// status is what the agent says, in the words of the oracle.
func (w *world) status() oracle.Status {
	s := w.agent.Status()
	w.seen.status(s)
	w.noteShown(s)
	var out oracle.Status
	for _, in := range s.Instances {
		out.Instances = append(out.Instances, oracle.InstanceStatus{Name: nameOf(in.Name), Up: in.Up, InSync: in.InSync})
	}
	for _, o := range s.Overrides {
		ask := oracle.Ask{Backend: o.Backend, Kind: o.Kind, Value: o.State + o.Weight}
		if a, err := netip.ParseAddrPort(o.Address); err == nil {
			ask.Addr = a
		} else if ip, err := netip.ParseAddr(o.Address); err == nil {
			ask.Addr = netip.AddrPortFrom(ip, 0)
		}
		out.Overrides = append(out.Overrides, ask)
	}
	for _, p := range s.Pauses {
		out.Pauses = append(out.Pauses, p.Backend)
	}
	for _, b := range s.Backends {
		out.Backends = append(out.Backends, backendStatus(b))
	}
	if w.looks++; w.looks%3 == 0 { // to gather them takes longer than all else
		out.Series = w.series()
	}
	return out
}

func backendStatus(b api.BackendStatus) oracle.BackendStatus {
	out := oracle.BackendStatus{Name: b.Name, Live: b.Phase == "live", Held: b.Hold != nil, Paused: b.Paused != nil}
	for _, e := range b.Endpoints {
		if e.State.String() == oracle.Ready {
			out.Wanted = append(out.Wanted, e.Addr)
		}
	}
	for _, e := range b.Overflow {
		out.Overflow = append(out.Overflow, e.Addr)
	}
	for _, k := range b.Kept {
		out.Kept = append(out.Kept, addresses(k.Endpoints)...)
	}
	if b.Takeover != nil {
		out.Taken, out.Blocked = addresses(b.Takeover.WouldRemove), b.Takeover.BlocksWriting
	}
	for _, s := range b.Slots {
		for _, in := range s.Instances {
			row := oracle.Row{Instance: nameOf(in.Instance), Name: s.Name, State: in.State.String(), HeldBy: in.HeldBy}
			if in.Name != "" {
				row.Name = in.Name
			}
			row.Endpoint, _ = netip.ParseAddrPort(s.Endpoint)
			row.Addr, _ = netip.ParseAddrPort(in.Address)
			out.Fought = out.Fought || in.PausedUntil != nil
			out.Rows = append(out.Rows, row)
		}
	}
	return out
}

func addresses(texts []string) (out []netip.AddrPort) {
	for _, t := range texts {
		if a, err := netip.ParseAddrPort(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// series are some of the metrics.
func (w *world) series() map[string]float64 {
	out := map[string]float64{}
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		name, ok := map[string]string{
			"slotsync_instance_in_sync": "in_sync", "slotsync_instance_up": "up", "slotsync_guard_held": "held",
			"slotsync_source_kept": "kept", "slotsync_overflow_endpoints": "overflow",
		}[f.GetName()]
		if !ok {
			continue
		}
		for _, m := range f.GetMetric() {
			key := name
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "haproxy":
					key += " " + nameOf(l.GetValue())
				case "proxy":
					key += " " + l.GetValue()
				}
			}
			out[key] += m.GetGauge().GetValue()
			if strings.HasPrefix(key, "held") {
				out[key] = min(out[key], 1)
			}
		}
	}
	return out
}

// settleAll accepts all that is held, ends all that was asked, and has every slot given back
// that somebody took.
func (w *world) settleAll() {
	s := w.agent.Status()
	for _, b := range s.Backends {
		for _, x := range b.Acceptable() {
			w.accept(shown{b.Name, x.ID, addresses(x.Endpoints)})
		}
	}
	w.call(func(ctx context.Context) error { return w.agent.Resume(ctx, "") })
	for _, p := range s.Pauses {
		w.call(func(ctx context.Context) error { return w.agent.Resume(ctx, p.Backend) })
	}
	w.oracleDo(func(o *oracle.Oracle) { o.Resumed(time.Now(), "") })
	for _, o := range s.Overrides {
		w.endOverride(o)
	}
	for _, b := range s.Backends {
		for _, slot := range b.Slots {
			for _, in := range slot.Instances {
				if in.HeldBy == "external" && slot.Endpoint != "" {
					addr, err := netip.ParseAddrPort(slot.Endpoint)
					if err != nil {
						w.t.Fatalf("an endpoint %q", slot.Endpoint)
					}
					w.unask(oracle.Ask{Backend: b.Name, Addr: addr, Kind: api.OverrideState}, func(ctx context.Context) error {
						_, err := w.agent.SetState(ctx, b.Name, slot.Endpoint, api.StateReady, api.Who{})
						return err
					})
				}
			}
		}
	}
}

func (w *world) endOverride(o api.Override) {
	ask := oracle.Ask{Backend: o.Backend, Kind: o.Kind, Value: o.State + o.Weight}
	if a, err := netip.ParseAddrPort(o.Address); err == nil {
		ask.Addr = a
		w.unask(ask, func(ctx context.Context) error {
			var err error
			switch o.Kind {
			case api.OverrideServer:
				_, err = w.agent.RemoveServer(ctx, o.Backend, o.Address)
			case api.OverrideWeight:
				_, err = w.agent.SetWeight(ctx, o.Backend, o.Address, "", api.Who{})
			default:
				_, err = w.agent.SetState(ctx, o.Backend, o.Address, api.StateReady, api.Who{})
			}
			return err
		})
		return
	}
	ip, err := netip.ParseAddr(o.Address)
	if err != nil {
		w.t.Fatalf("an override of %q", o.Address)
	}
	ask.Addr = netip.AddrPortFrom(ip, 0)
	w.unask(ask, func(ctx context.Context) error {
		var err error
		if o.Kind == api.OverrideWeight {
			_, err = w.agent.SetAddressWeight(ctx, ip, "", api.Who{})
		} else {
			_, err = w.agent.SetAddressState(ctx, ip, api.StateReady, api.Who{})
		}
		return err
	})
}

// accept accepts what is or was held under an id.
func (w *world) accept(x shown) {
	var done api.Accepted
	kept := w.keptNow(x.backend)
	acked, doubt := w.call(func(ctx context.Context) (err error) {
		// the agent acts on it before it says so
		w.oracleDo(func(o *oracle.Oracle) { o.Accepted(time.Now(), x.backend, x.addrs) })
		w.accepted(x, kept)
		done, err = w.agent.Accept(ctx, x.backend, x.id, "sim")
		return err
	})
	w.oracleDo(func(o *oracle.Oracle) {
		if acked || doubt {
			o.Removed(time.Now(), x.backend, x.id, x.addrs, addresses(done.Removed))
		} else {
			o.NotAccepted(time.Now(), x.backend, x.addrs)
		}
	})
}

// keptNow are the endpoints of a backend that are shown to be kept.
func (w *world) keptNow(backend string) (out []netip.AddrPort) {
	if w.life.dead.Load() {
		return nil
	}
	for _, b := range w.agent.Status().Backends {
		for _, k := range b.Kept {
			if b.Name == backend {
				out = append(out, addresses(k.Endpoints)...)
			}
		}
	}
	return out
}

// accepted tells the services of a backend what an operator accepts.
func (w *world) accepted(x shown, kept []netip.AddrPort) {
	for _, list := range w.services {
		for _, s := range list {
			if s.backend == x.backend {
				s.accepts(x.addrs, kept)
			}
		}
	}
}

func addressesOf(s api.Status, backend, id string) []netip.AddrPort {
	for _, b := range s.Backends {
		for _, x := range b.Acceptable() {
			if b.Name == backend && x.ID == id {
				return addresses(x.Endpoints)
			}
		}
	}
	return nil
}
