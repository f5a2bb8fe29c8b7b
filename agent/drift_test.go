package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestDriftIsCorrectedAtTheNextComparison(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Addr = addr(99) })
		a.set("web4", func(s *slots.Server) { s.Addr, s.Class = addr(98), slots.Ready })
		a.set("web2", func(s *slots.Server) { s.Weight = 7 })
		w.pass(DefaultResync * 12 / 10)
		w.want(a, "web1=:80 web2=:81")
		if a.servers["web"][1].Weight != 100 {
			w.t.Error("the weight is still wrong")
		}
	}, a)
}

// TestShorterIntervalsBeginAtOnce: not when the longer ones are over.
func TestShorterIntervalsBeginAtOnce(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Poll, w.opts.Resync = time.Hour, 10*time.Hour
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(time.Minute)
		w.opts.Poll, w.opts.Resync = time.Second, 10*time.Second
		if err := w.agent.Reconfigure(w.t.Context(), w.opts); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		a.set("web1", func(s *slots.Server) { s.Addr = addr(99) })
		w.pass(12 * time.Second)
		w.want(a, "web1=:80 web2=:81")
		a.restart(false)
		w.pass(2 * time.Second)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

func TestSyncComparesAtOnce(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Addr = addr(99) })
		if _, err := w.agent.Sync(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.want(a, "web1=:80")
		b.with(func() { b.err = absent() })
		if _, err := w.agent.Sync(w.t.Context()); err == nil || !strings.Contains(err.Error(), "instance b") {
			w.t.Errorf("a dead instance: %v", err)
		}
	}, a, b)
}

func TestExternalIsRespected(t *testing.T) {
	t.Parallel()
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		a.set("web2", func(s *slots.Server) { s.Class = slots.Drain })
		w.pass(time.Hour)
		w.want(a, "web2=:81/drain")
		w.want(b, "web1=:80 web2=:81")
		w.wantSync("a", true)
		if s := w.status().Backends[0].Slots[0].Instances[0]; s.HeldBy != "external" {
			w.t.Errorf("not shown: %+v", s)
		}

		// It survives the agent and HAProxy.
		w.pass(2 * time.Second)
		w.stop()
		w.source = newSource(80, 81)
		w.opts.Backends[0].Feeds[0].Source = w.source
		a.restart(true)
		w.start()
		w.pass(time.Hour)
		w.want(a, "web2=:81/drain")
		a.restart(false)
		w.pass(time.Hour)
		w.want(a, "web2=:81/drain")

		// It ends when somebody sets the slot ready, or the endpoint leaves.
		a.set("web1", func(s *slots.Server) { s.Class = slots.Ready })
		w.pass(time.Hour)
		w.want(a, "web1=:80 web2=:81/drain")
		w.source.list(80)
		w.settle()
		w.source.list(80, 81)
		w.pass(2 * time.Second)
		w.want(a, "web1=:80 web2=:81")
	}, a, b)
}

func TestExternalIsRepairedWhereSoConfigured(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].RepairExternal = true
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(DefaultResync * 12 / 10)
		w.want(a, "web1=:80")
	}, a)
}

func TestMaintInANewProcessIsAnUnfinishedFill(t *testing.T) {
	a := newFake("a", "web", 5)
	a.servers["web"][2].Addr = addr(80) // killed between address and ready
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.want(a, "web3=:80")
	}, a)
}

func TestWhatWasReadyInTheProcessBeforeIsNoExternal(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.want(a, "web1=:80 web2=:81")
		a.restart(true)
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint }) // its state file was from before the fill
		w.pass(2 * time.Second)
		w.want(a, "web1=:80 web2=:81")
		if n := w.status().Instances[0].External; n != 0 {
			w.t.Errorf("%d slots were taken out by somebody else", n)
		}
	}, a)
}

// A fight over one slot pauses that slot, which is not in sync; the others go on.
func TestFightPausesTheSlot(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.takeWrites()
		for range 30 { // somebody else writes every 5 seconds
			a.set("web1", func(s *slots.Server) { s.Addr = addr(99) })
			if _, err := w.agent.Sync(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			w.pass(5 * time.Second)
		}
		web := w.status().Backends[0]
		if web.Paused != nil || web.Slots[0].Instances[0].PausedUntil == nil || !strings.Contains(web.Problem, "web1") {
			w.t.Errorf("got %+v", web)
		}
		if n := len(a.takeWrites()); n > 20 {
			w.t.Errorf("%d writes in a fight", n)
		}
		w.wantSync("a", false)
		w.source.list(80, 81)
		w.settle()
		w.want(a, "web1=:99 web2=:81")
		w.pass(10 * time.Minute)
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", true)
	}, a)
}

func TestReconfigure(t *testing.T) {
	a, b := newFake("a", "web", 10), newFake("b", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		next := w.opts
		w.opts.Instances = w.opts.Instances[:1]
		w.start()

		// An instance comes, the watch goes on.
		asked := w.source.asked
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(b, "web1=:80 web2=:81")
		if !asked {
			w.t.Error("the source was never asked")
		}

		// Another source: what the old one said stays until the new one speaks,
		// and what the new one never listed stays until it is accepted.
		other := newMute()
		next.Backends = []Backend{{Name: "web", Proxy: "web", Prefix: "web", Feeds: []Feed{{Name: "test", Source: other, Key: "b"}}}}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(82)
		w.pass(time.Hour)
		w.want(a, "web1=:80 web2=:81")
		other.list(81, 83)
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:83")
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web2=:81 web3=:83")

		// Another prefix is refused while slots are in use.
		bad := next
		bad.Backends = []Backend{{Name: "web", Proxy: "web", Prefix: "other", Feeds: []Feed{{Name: "test", Source: other, Key: "b"}}}}
		if err := w.agent.Reconfigure(w.t.Context(), bad); err == nil || !strings.Contains(err.Error(), addr(81).String()) {
			w.t.Errorf("another prefix: %v", err)
		}

		// What is gone is left as it is.
		gone := next
		gone.Instances = next.Instances[:1]
		if err := w.agent.Reconfigure(w.t.Context(), gone); err != nil {
			w.t.Fatal(err)
		}
		other.list(81)
		w.settle()
		w.want(a, "web2=:81")
		w.want(b, "web2=:81 web3=:83")
		if err := w.agent.Reconfigure(w.t.Context(), Options{}); err == nil {
			w.t.Error("nothing at all is accepted")
		}
	}, a, b)
}

func TestPlanWritesNothing(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	b.err = absent()
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.stop()
		a.restart(false)
		w.opts.StateDir = stateDir(w.t)
		a.takeWrites()
		w.source = newSource(80, 81)
		w.opts.Backends[0].Feeds[0].Source = w.source
		agent, err := New(w.opts)
		if err != nil {
			w.t.Fatal(err)
		}
		p, err := agent.Plan(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if len(p.Instances[0].Changes) != 2 || p.Instances[0].Changes[0].To != "127.0.0.9:80 ready" {
			w.t.Errorf("plan: %+v", p.Instances[0])
		}
		if p.Instances[1].Error == "" {
			w.t.Error("an instance that is away is not said")
		}
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("planning wrote %v", writes)
		}
	}, a, b)
}

func TestOnce(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.stop()
		for name, test := range map[string]struct {
			source *fakeSource
			broken error
			want   string
		}{
			"all well":        {newSource(80), nil, ""},
			"source fails":    {&fakeSource{err: discovery.Errorf(discovery.Server, "no leader")}, nil, "no leader"},
			"source is mute":  {newMute(), nil, "no answer"},
			"instance absent": {newSource(80), absent(), "refused"},
		} {
			w.opts.Backends[0].Feeds[0].Source = test.source
			a.with(func() { a.err = test.broken })
			agent, err := New(w.opts)
			if err != nil {
				w.t.Fatal(err)
			}
			_, err = agent.Once(w.t.Context())
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		w.want(a, "web1=:80")
	}, a)
}

func TestHealthyAndStopped(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		agent, err := New(w.opts)
		if err == nil && agent.Healthy() == nil {
			w.t.Error("healthy before it started")
		}
		w.start()
		w.pass(time.Hour)
		if err := w.agent.Healthy(); err != nil {
			w.t.Error(err)
		}
		w.stop()
		if w.agent.Status().Schema != api.Schema {
			w.t.Error("no status after the end")
		}
		if err := w.accept("web"); !errors.Is(err, api.ErrStopped) {
			w.t.Errorf("accept after the end: %v", err)
		}
		time.Sleep(time.Minute)
		if w.agent.Healthy() == nil {
			w.t.Error("healthy after the end")
		}
	}, a)
}
