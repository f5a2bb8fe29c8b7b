package agent

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// drain, start and so on do to a server of web what an operator asks for.
func (w *world) state(server, state string, who api.Who) api.ServerRef {
	w.t.Helper()
	ref, err := w.agent.SetState(w.t.Context(), "web", server, state, who)
	if err != nil {
		w.t.Fatal(err)
	}
	w.settle()
	return ref
}

func (w *world) weigh(server, weight string) {
	w.t.Helper()
	if _, err := w.agent.SetWeight(w.t.Context(), "web", server, weight, api.Who{By: "ann"}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func TestOverrideHoldsOnAllInstances(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		ref := w.state("127.0.0.9:81", api.StateDrain, api.Who{By: "ann", Reason: "disk"})
		if ref != (api.ServerRef{Backend: "web", Endpoint: "127.0.0.9:81", Slot: "web2"}) {
			w.t.Errorf("got %+v", ref)
		}
		for _, c := range []*fakeConn{a, b} {
			w.want(c, "web1=:80 web2=:81/drain web3=:82")
		}
		s := w.status()
		slot := s.Backends[0].Slots[1]
		if len(s.Overrides) != 1 || s.Overrides[0].By != "ann" || slot.Override != "drain by ann: disk" || slot.Instances[0].HeldBy != "operator" {
			w.t.Errorf("got %+v and %+v", s.Overrides, slot)
		}
		w.state("web3", api.StateMaint, api.Who{})
		w.want(a, "web1=:80 web2=:81/drain")
		w.wantSync("a", true)
		w.state("web2", api.StateReady, api.Who{})
		w.state("127.0.0.9:82", api.StateReady, api.Who{})
		w.want(b, "web1=:80 web2=:81 web3=:82")
		if s := w.status(); len(s.Overrides) != 0 {
			w.t.Errorf("left: %+v", s.Overrides)
		}
	}, a, b)
}

// TestOverrideSurvives: an endpoint that an operator drained stays drained over
// whatever happens, and comes back by itself when the time is over.
func TestOverrideSurvives(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		drained := "web1=:80 web2=:81/drain"
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.state("web2", api.StateDrain, api.Who{By: "ann", For: time.Hour})
		w.want(a, drained)
		w.stop() // and start again
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, drained)
		a.restart(false) // HAProxy, empty
		w.pass(time.Minute)
		w.want(a, drained)
		a.restart(true) // and from its state file
		w.pass(time.Minute)
		w.want(a, drained)
		w.source.list(80) // its registration goes and comes
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, drained)
		next := w.opts
		next.Resync = 17 * time.Second
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(a, drained)
		w.pass(time.Hour)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

func TestOverrideOutlivesItsEndpointByADay(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Poll = time.Minute
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.state("127.0.0.9:81", api.StateDrain, api.Who{})
		w.state("127.0.0.9:82", api.StateDrain, api.Who{Keep: true})
		w.pass(48 * time.Hour)
		if n := len(w.status().Overrides); n != 2 {
			w.t.Fatalf("%d overrides of endpoints that are listed", n)
		}
		w.source.list(80)
		w.pass(25 * time.Hour)
		if all := w.status().Overrides; len(all) != 1 || all[0].Address != "127.0.0.9:82" {
			w.t.Errorf("left: %+v", all)
		}
	}, a)
}

// TestOverrideOfWhatHasNoSlotGoesOn: an endpoint counts as listed while it is kept without a slot,
// and while a source lists it that stands by.
func TestOverrideOfWhatHasNoSlotGoesOn(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.opts.Poll = time.Minute
		w.opts.Backends[0].Failover.Primary = "test"
		w.second(newSource(95))
		w.yields(a)
		for _, server := range []string{"127.0.0.9:90", "127.0.0.9:95"} {
			if err := w.agent.ask(w.t.Context(), func(context.Context) {
				o := api.Override{Backend: "web", Address: server, Kind: api.OverrideState, State: api.StateDrain}
				if err := w.agent.setOverride(o, api.Who{}, time.Now()); err != nil {
					w.t.Error(err)
				}
			}); err != nil {
				w.t.Fatal(err)
			}
		}
		w.pass(48 * time.Hour)
		if all := w.status().Overrides; len(all) != 2 {
			w.t.Errorf("left: %+v", all)
		}
	}, a)
}

func TestOverrideOfAnAddress(t *testing.T) {
	a := newFake("a", "web", 5)
	a.addBackend("api", 5)
	inWorld(t, func(w *world) {
		other := newSource(90)
		w.opts.Backends = append(w.opts.Backends, Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: other, Key: "b"}}})
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		refs, err := w.agent.SetAddressState(w.t.Context(), netip.MustParseAddr("::ffff:127.0.0.9"), api.StateMaint, api.Who{})
		if err != nil || len(refs) != 3 {
			w.t.Fatalf("got %+v, %v", refs, err)
		}
		w.settle()
		w.want(a, "")
		w.source.list(80, 81, 82) // also what comes later
		w.settle()
		w.want(a, "")
		w.wantSync("a", true)
		if _, err := w.agent.SetState(w.t.Context(), "web", "web1", api.StateReady, api.Who{}); !errors.Is(err, api.ErrOverruled) {
			w.t.Errorf("one alone: %v", err)
		}
		if _, err := w.agent.SetAddressState(w.t.Context(), netip.MustParseAddr("127.0.0.9"), api.StateReady, api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:82")

		w.state("web2", api.StateDrain, api.Who{By: "ann"})
		_, err = w.agent.SetAddressState(w.t.Context(), netip.MustParseAddr("127.0.0.9"), api.StateReady, api.Who{})
		if !errors.Is(err, api.ErrOverruled) || !strings.Contains(err.Error(), "web/127.0.0.9:81 has drain by ann") {
			w.t.Errorf("one is held by itself: %v", err)
		}

		w.state("web2", api.StateReady, api.Who{})
		if _, err := w.agent.SetAddressWeight(w.t.Context(), netip.MustParseAddr("127.0.0.9"), "0", api.Who{By: "bob"}); err != nil {
			w.t.Fatal(err)
		}
		_, err = w.agent.SetAddressState(w.t.Context(), netip.MustParseAddr("127.0.0.9"), api.StateReady, api.Who{})
		if !errors.Is(err, api.ErrOverruled) || !strings.Contains(err.Error(), "weight 0 by bob; give the address another weight") {
			w.t.Errorf("all are held by their weight: %v", err)
		}
	}, a)
}

func TestOperatorRequestsAreRefused(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.opts.Backends[0].Policy.Deny = []netip.Prefix{netip.MustParsePrefix("127.6.0.0/16")}
		w.start()
		ctx, agent := w.t.Context(), w.agent
		set := func(backend, server, state string, who api.Who) error {
			_, err := agent.SetState(ctx, backend, server, state, who)
			return err
		}
		weigh := func(weight string) error {
			_, err := agent.SetWeight(ctx, "web", "web1", weight, api.Who{})
			return err
		}
		add := func(at string) error {
			_, err := agent.AddServer(ctx, "web", netip.MustParseAddrPort(at), "", "", api.Who{})
			return err
		}
		for name, c := range map[string]struct{ err, want error }{
			"no backend":     {set("api", "web1", api.StateDrain, api.Who{}), api.ErrNoBackend},
			"no endpoint":    {set("web", "127.0.0.9:81", api.StateDrain, api.Who{}), api.ErrNoServer},
			"no slot":        {set("web", "web9", api.StateDrain, api.Who{}), api.ErrNoServer},
			"a free slot":    {set("web", "web2", api.StateDrain, api.Who{}), api.ErrNoServer},
			"no state":       {set("web", "web1", "off", api.Who{}), api.ErrBadRequest},
			"negative time":  {set("web", "web1", api.StateDrain, api.Who{For: -1}), api.ErrBadRequest},
			"weight words":   {weigh("much"), api.ErrBadRequest},
			"weight 257":     {weigh("257"), api.ErrBadRequest},
			"weight -1":      {weigh("-1"), api.ErrBadRequest},
			"weight percent": {weigh("%"), api.ErrBadRequest},
			"link-local":     {add("169.254.169.254:80"), api.ErrBadRequest},
			"port 0":         {add("127.0.0.9:0"), api.ErrBadRequest},
			"denied":         {add("127.6.6.6:80"), api.ErrBadRequest},
			"not paused":     {agent.Resume(ctx, ""), api.ErrNotPaused},
		} {
			if !errors.Is(c.err, c.want) {
				w.t.Errorf("%s: %v", name, c.err)
			}
		}
		w.want(a, "web1=:80")
		if len(w.status().Overrides) > 0 {
			w.t.Errorf("left: %+v", w.status().Overrides)
		}
	}, a)
}

// TestStartEndsWhatOthersDid: a slot that somebody took out is shown so, and given
// back by start.
func TestStartEndsWhatOthersDid(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Drain })
		w.pass(time.Minute)
		if row := w.status().Backends[0].Slots[0].Instances[0]; row.HeldBy != "external" {
			w.t.Errorf("got %+v", row)
		}
		w.want(a, "web1=:80/drain web2=:81")
		w.state("web1", api.StateDrain, api.Who{By: "ann"}) // adopted
		w.pass(time.Minute)
		w.state("web1", api.StateReady, api.Who{})
		w.want(a, "web1=:80 web2=:81")
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.want(a, "web2=:81") // also the next time
	}, a)
}

// TestStartWhileAnInstanceIsAway: what was done to the slot there does not come back with
// the agent.
func TestStartWhileAnInstanceIsAway(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.want(a, "web2=:81")
		a.with(func() { a.err = &slots.InstanceError{Fault: slots.Absent, Err: errors.New("away")} })
		w.pass(time.Minute)
		w.state("web1", api.StateReady, api.Who{})
		w.pass(time.Minute)
		w.stop()
		a.with(func() { a.err = nil })
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestOverrideLeavesOtherBackendsAlone: nothing is decided anew for those that it is
// not about.
func TestOverrideLeavesOtherBackendsAlone(t *testing.T) {
	a := newFake("a", "web", 5)
	a.addBackend("api", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends = append(w.opts.Backends, Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: newSource(90), Key: "b"}}})
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		generation := func(name string) (gen uint64) {
			if err := w.agent.ask(w.t.Context(), func(context.Context) { gen = w.agent.backend(name).gen }); err != nil {
				w.t.Fatal(err)
			}
			return gen
		}
		web, other := generation("web"), generation("api")
		w.state("127.0.0.9:81", api.StateDrain, api.Who{For: time.Minute})
		w.pass(2 * time.Minute)
		if generation("web") == web || generation("api") != other {
			w.t.Errorf("generations %d and %d, before %d and %d", generation("web"), generation("api"), web, other)
		}
	}, a)
}

func TestOverridePutsBackNobody(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.state("web1", api.StateDrain, api.Who{})
		w.settle()
		w.want(a, "web1=:80/drain web2=:81")
		listed := eps(80, 81)
		listed[0].State, listed[0].Reason = discovery.Down, "critical"
		w.source.say(discovery.Complete(listed...), nil)
		w.settle()
		w.want(a, "web2=:81") // a drain would let sticky clients in
	}, a)
}
