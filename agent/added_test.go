package agent

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestAddedServer(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Poll = time.Minute
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		ctx := w.t.Context()
		if _, err := w.agent.AddServer(ctx, "web", addr(90), "spare", "50%", api.Who{By: "ann"}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80 web2=:90")
		if slot := w.status().Backends[0].Slots[1]; slot.Title != "spare" || slot.Override != "added by ann" || slot.Instances[0].Weight != 50 {
			w.t.Errorf("got %+v", slot)
		}
		w.stop()
		w.start()
		w.source.list(80)
		w.pass(100 * time.Hour)
		w.want(a, "web1=:80 web2=:90")
		if _, err := w.agent.RemoveServer(ctx, "web", "web1"); !errors.Is(err, api.ErrDiscovered) {
			w.t.Errorf("a discovered one: %v", err)
		}
		if _, err := w.agent.RemoveServer(ctx, "web", "127.0.0.9:90"); err != nil {
			w.t.Error(err)
		}
		w.settle()
		w.want(a, "web1=:80")
	}, a)
}

// TestDrainOfAnAddedServerLasts: what an operator added is listed for as long as it is.
func TestDrainOfAnAddedServerLasts(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Poll = time.Minute
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.state("127.0.0.9:90", api.StateDrain, api.Who{})
		w.want(a, "web1=:80 web2=:90/drain")
		w.pass(48 * time.Hour)
		w.want(a, "web1=:80 web2=:90/drain")
	}, a)
}

// TestAddedServerLeavesLikeTheOthers: drained first, where that is configured, also when
// its time is over; unless it is added again meanwhile.
func TestAddedServerLeavesLikeTheOthers(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Leave, w.opts.Backends[0].Shutdown = slots.Drain, true
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		add := func(who api.Who) {
			w.t.Helper()
			if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", who); err != nil {
				w.t.Fatal(err)
			}
			w.settle()
			w.want(a, "web1=:80 web2=:90")
		}
		remove := func() {
			w.t.Helper()
			if _, err := w.agent.RemoveServer(w.t.Context(), "web", "web2"); err != nil {
				w.t.Fatal(err)
			}
			w.settle()
			w.want(a, "web1=:80 web2=:90/drain")
		}
		add(api.Who{})
		remove()
		w.pass(time.Second)
		add(api.Who{}) // again
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:90")
		a.set("web2", func(s *slots.Server) { s.Sessions = 3 })
		remove()
		w.pass(DefaultDrain - time.Second)
		w.want(a, "web1=:80 web2=:90/drain")
		w.wantShuts(a)
		w.pass(3 * time.Second)
		w.want(a, "web1=:80")
		w.wantShuts(a, "shut web2")
		add(api.Who{For: time.Minute})
		w.pass(time.Minute + time.Second)
		w.want(a, "web1=:80 web2=:90/drain")
		w.pass(DefaultDrain)
		w.want(a, "web1=:80")
	}, a)
}

// TestAddedServerThatASourceListed: what it lists no more stays, for an operator has
// added it.
func TestAddedServerThatASourceListed(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Leave = slots.Drain
		w.source.reading = discovery.Complete(eps(80, 90)...)
		w.start()
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		a.takeWrites()
		w.source.list(80)
		w.pass(time.Hour)
		w.want(a, "web1=:80 web2=:90")
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("written: %q", writes)
		}
		w.source.list(80, 90)
		w.settle()
		w.source.list(80)
		w.settle()
		if _, err := w.agent.RemoveServer(w.t.Context(), "web", "web2"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80 web2=:90/drain")
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80 web2=:90")
	}, a)
}

// TestAddedServerThatIsLiveAlready: it keeps the slot that it was found in, and does not
// get a second one.
func TestAddedServerThatIsLiveAlready(t *testing.T) {
	a := newFake("a", "web", 5)
	a.set("web3", func(s *slots.Server) { s.Addr, s.Class = addr(90), slots.Ready })
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.want(a, "web3=:90") // what takes traffic may be another service's
		if h := w.status().Backends[0].Hold; h == nil || h.Kind != api.HoldTakeover {
			w.t.Errorf("held: %+v", h)
		}
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80 web3=:90")
		if h := w.status().Backends[0].Hold; h != nil {
			w.t.Errorf("held: %+v", h)
		}
		w.state("web3", api.StateDrain, api.Who{})
		w.want(a, "web1=:80 web3=:90/drain")
		if _, err := w.agent.RemoveServer(w.t.Context(), "web", "web3"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80")
	}, a)
}

// TestAddedServerThatEndsWhileNobodyLooks: with the agent or an instance away, what is left
// of it does not count as unmanaged.
func TestAddedServerThatEndsWhileNobodyLooks(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		add := func(who api.Who) {
			w.t.Helper()
			if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", who); err != nil {
				w.t.Fatal(err)
			}
			w.pass(2 * time.Second)
			w.want(a, "web1=:80 web2=:90")
			w.want(b, "web1=:80 web2=:90")
		}
		again := func() {
			w.source = newMute()
			w.opts.Backends[0].Feeds[0].Source = w.source
			w.start()
			w.pass(5 * time.Second)
			w.source.list(80)
			w.pass(time.Minute)
			w.want(a, "web1=:80")
		}
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		add(api.Who{For: time.Minute})
		w.stop()
		w.pass(2 * time.Minute)
		again()
		w.want(b, "web1=:80")

		add(api.Who{})
		b.with(func() { b.err = &slots.InstanceError{Fault: slots.Absent, Err: errors.New("away")} })
		w.pass(time.Second)
		if _, err := w.agent.RemoveServer(w.t.Context(), "web", "web2"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.stop()
		again()
		b.with(func() { b.err = nil })
		w.pass(time.Minute)
		w.want(b, "web1=:80")
	}, a, b)
}

func TestAddedServerOfWeightZero(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "0", api.Who{}); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80")
		w.weigh("127.0.0.9:90", "10")
		w.want(a, "web1=:80 web2=:90")
	}, a)
}

// TestAddedEndpointObeysTheNetworks: also those that the backend got later.
func TestAddedEndpointObeysTheNetworks(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Leave = slots.Drain
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80 web2=:90")
		w.opts.Backends[0].Policy.Deny = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
		if err := w.agent.Reconfigure(w.t.Context(), w.opts); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:90/drain")
		w.pass(DefaultDrain)
		w.want(a, "web1=:80")
		if _, err := w.agent.RemoveServer(w.t.Context(), "web", "127.0.0.9:90"); err != nil {
			w.t.Errorf("removed though it is not there: %v", err)
		}
		w.opts.Backends[0].Policy.Deny = nil
		if err := w.agent.Reconfigure(w.t.Context(), w.opts); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.want(a, "web1=:80")
	}, a)
}
