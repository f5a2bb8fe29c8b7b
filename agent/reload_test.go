package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestOutgrownIsReloadedOnce(t *testing.T) {
	t.Parallel()
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.start()
		if n := w.need(); n != nil || len(f.ran()) != 0 {
			t.Fatalf("need %+v, runs %v", n, f.ran())
		}
		w.source.list(span(80, 89)...)
		w.settle()
		if n := w.need(); n == nil || n.Slots != 4 || n.Wanted != 10 || n.Latched {
			t.Fatalf("need %+v", n)
		}
		w.pass(1900 * time.Millisecond)
		if len(f.ran()) != 0 {
			t.Fatal("reloaded before the need had settled")
		}
		w.pass(time.Second)
		if len(f.ran()) != 1 || f.ran()[0].By != "" || f.ran()[0].Data.Backends[0].Slots != 20 {
			t.Fatalf("runs %+v", f.ran())
		}
		if got := len(f.ran()[0].Data.Backends[0].Servers); got != 10 {
			t.Errorf("%d servers are rendered, want all 10", got)
		}
		w.pass(500 * time.Millisecond)
		for _, c := range w.conns {
			w.wantReady(c, 10)
			w.wantSync(c.name, true)
		}
		w.pass(3 * time.Hour)
		if n := w.need(); n != nil || len(f.ran()) != 1 {
			t.Errorf("need %+v, %d runs in three hours", n, len(f.ran()))
		}
	})
}

// Needs that grow are waited for, but not for ever.
func TestOneReloadServesWhatWaits(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.start()
		for n := 84; n < 96; n++ {
			w.source.list(span(80, n)...)
			w.pass(time.Second)
		}
		if len(f.ran()) != 1 {
			t.Fatalf("%d runs within 12 s", len(f.ran()))
		}
		w.pass(20 * time.Second)
		if got := f.ran()[0].Data.Backends[0].Slots; got != 30 && got != 20 {
			t.Errorf("%d slots", got)
		}
		w.wantReady(w.conns[0], 16)
	})
}

func TestUselessReloadIsLatched(t *testing.T) {
	t.Parallel()
	f := &fakeReload{stuck: true}
	managed(t, f, func(w *world) {
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(3 * time.Hour)
		if len(f.ran()) != 1 {
			t.Fatalf("%d runs in three hours for one cause", len(f.ran()))
		}
		if n := w.need(); n == nil || !n.Latched {
			t.Fatalf("need %+v", n)
		}
		// a restart of the agent does not forget it
		w.stop()
		w.start()
		w.pass(time.Hour)
		f.with(func() { f.tag = "1b" }) // the file changes, and no source has spoken yet
		w.pass(time.Hour)
		if len(f.ran()) != 1 {
			t.Fatal("reloaded for a set that no source has confirmed")
		}
		f.with(func() { f.tag = "1" })
		w.source.list(span(80, 89)...)
		w.pass(time.Hour)
		if len(f.ran()) != 1 {
			t.Fatal("reloaded again after a restart of the agent")
		}
		f.with(func() { f.tag = "2" }) // somebody changed the file
		w.pass(time.Minute)
		if len(f.ran()) != 2 {
			t.Fatalf("%d runs after the file has changed", len(f.ran()))
		}
		f.with(func() { f.stuck = false })
		if _, err := w.agent.ReloadHAProxy(context.Background(), api.ReloadRequest{By: "me"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if n := w.need(); n != nil || f.ran()[2].By != "me" {
			t.Errorf("need %+v after %+v", n, f.ran()[2])
		}
		w.wantReady(w.conns[1], 10)
	})
}

func TestFailedReloadIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := &fakeReload{err: errors.New("step check: no")}
	other := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Reloads[0].Instances = []string{"a"}
		w.opts.Reloads = append(w.opts.Reloads, Reload{Name: "b", Instances: []string{"b"}, Transaction: other})
		other.tag = "x"
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(3 * time.Hour)
		if len(f.ran()) != 1 || len(other.ran()) != 0 {
			t.Fatalf("%d runs, and %d of the next one, which the failure should stop", len(f.ran()), len(other.ran()))
		}
		w.wantReady(w.conns[0], 4)
		s := w.status()
		if n := s.Backends[0].NeedReload; n == nil || !n.Latched || s.Reloads[0].Error == "" || s.Reloads[0].Step != "check" {
			t.Errorf("need %+v, reload %+v", n, s.Reloads[0])
		}
		_, err := w.agent.ReloadHAProxy(context.Background(), api.ReloadRequest{By: "me"})
		w.pass(time.Hour)
		if err == nil || errors.Is(err, api.ErrReloading) || len(f.ran()) != 2 || len(other.ran()) != 0 {
			t.Errorf("asked for: %v, %d runs, and %d of the next one", err, len(f.ran()), len(other.ran()))
		}
	})
}

// Instances with reloads of their own are reloaded one after the other; one that
// does not answer is waited for, and gets as many slots as the others.
func TestEachInstanceIsReloaded(t *testing.T) {
	t.Parallel()
	f, other := &fakeReload{}, &fakeReload{tag: "x"}
	managed(t, f, func(w *world) {
		f.conns, other.conns = w.conns[:1], w.conns[1:]
		w.opts.Reloads[0].Instances = []string{"a"}
		w.opts.Reloads = append(w.opts.Reloads, Reload{Name: "b", Instances: []string{"b"}, Transaction: other})
		w.start()
		w.conns[1].with(func() { w.conns[1].err = absent() })
		w.pass(time.Minute)
		w.source.list(span(80, 89)...)
		w.pass(time.Hour)
		w.wantReady(w.conns[0], 10)
		if len(f.ran()) != 1 || len(other.ran()) != 0 {
			t.Fatalf("%d runs, and %d of one that is away", len(f.ran()), len(other.ran()))
		}
		w.conns[1].with(func() { w.conns[1].err = nil })
		w.pass(time.Minute)
		w.wantReady(w.conns[1], 10)
		if len(f.ran()) != 1 || len(other.ran()) != 1 || other.ran()[0].Data.Backends[0].Slots != 20 {
			t.Errorf("%d runs, and %+v", len(f.ran()), other.ran())
		}
		w.pass(time.Hour)
		if len(f.ran())+len(other.ran()) != 2 || w.need() != nil {
			t.Errorf("%d and %d runs, need %+v", len(f.ran()), len(other.ran()), w.need())
		}
	})
}

// Endpoints that flap beyond the slots for ten minutes: no more reloads than the
// budget allows, and the last state wins.
func TestReloadStorm(t *testing.T) {
	t.Parallel()
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.start()
		n := 0
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); n++ {
			w.source.list(span(80, 83+n%300)...)
			w.pass(700 * time.Millisecond)
		}
		// 4, 10, 20, 40 … 1000: each is a cause of its own
		if len(f.ran()) > 9 {
			t.Errorf("%d reloads", len(f.ran()))
		}
		for i := 1; i < len(f.ran()); i++ {
			if f.ran()[i].Data.Backends[0].Slots <= f.ran()[i-1].Data.Backends[0].Slots {
				t.Errorf("reload %d gives %d slots after %d", i, f.ran()[i].Data.Backends[0].Slots, f.ran()[i-1].Data.Backends[0].Slots)
			}
		}
		w.source.list(span(80, 99)...)
		w.pass(5 * time.Minute)
		w.wantReady(w.conns[0], 20)
		w.wantReady(w.conns[1], 20)
	})
}

func TestBudgetHolds(t *testing.T) {
	t.Parallel()
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Reloads[0].MaxPerHour, w.opts.Reloads[0].MinInterval = 2, time.Minute
		w.start()
		for i, n := range []int{5, 25, 70, 170} {
			w.source.list(span(80, 79+n)...)
			w.pass(20 * time.Second)
			if i == 1 && len(f.ran()) != 1 {
				t.Errorf("%d runs within a minute", len(f.ran()))
			}
		}
		w.pass(30 * time.Minute)
		if len(f.ran()) != 2 {
			t.Fatalf("%d runs in half an hour, 2 are allowed", len(f.ran()))
		}
		w.pass(2 * time.Hour)
		w.wantReady(w.conns[0], 170)
	})
}

// What no reload can cure causes none.
func TestReloadOnlyWhatItCures(t *testing.T) {
	refusing := func(cause slots.Cause) func(*world, *fakeReload) {
		return func(w *world, _ *fakeReload) {
			for _, c := range w.conns {
				c.grow(20)
				for i := range 20 {
					c.refuse[fmt.Sprintf("web%d", i+1)] = cause
				}
			}
		}
	}
	const short, refuses = "more endpoints than slots", "HAProxy refuses to change slots"
	for _, c := range []struct {
		name string
		with func(w *world, f *fakeReload)
		says string // once
		n    int    // by each instance, or by the agent
	}{
		{"nothing is rendered", func(_ *world, f *fakeReload) { f.command = true }, short, 1},
		{"max_slots", func(w *world, _ *fakeReload) { w.opts.Backends[0].MaxSlots = 4 }, short, 1},
		{"no such backend", func(w *world, _ *fakeReload) { w.opts.Backends[0].Proxy = "none" }, "backend cannot be filled", 2},
		{"addresses cannot be set", refusing(slots.NoAddress), refuses, 2},
		{"static balance", refusing(slots.NoWeights), "weights unsupported: the `balance` algorithm of the backend takes none, so that all servers get the same share", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &fakeReload{}
			managed(t, f, func(w *world) {
				c.with(w, f)
				w.opts.Poll, w.opts.Resync = time.Minute, 10*time.Minute // a day has to pass
				w.start()
				listed := eps(span(80, 89)...)
				for i := range listed {
					listed[i].Weight = 1 + i%2
				}
				w.source.say(discovery.Complete(listed...), nil)
				w.pass(24 * time.Hour)
				if len(f.ran()) != 0 {
					t.Errorf("%d reloads", len(f.ran()))
				}
				if got := w.warned.of(c.says); got != c.n || len(w.warned.counts) != 1 {
					t.Errorf("warned %v, want %q %d times", w.warned.counts, c.says, c.n)
				}
			})
		})
	}
}

// While nothing but the stored set is known nothing is reloaded, whatever has no slot: the
// source may list fewer by now.
func TestNothingIsReloadedForAStoredSet(t *testing.T) {
	for name, short := range map[string]func(w *world){
		"an instance has fewer slots": func(w *world) {
			w.conns[1].addBackend("web", 2)
			w.conns[1].restart(false)
		},
		"an operator adds a server": func(w *world) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeReload{}
			managed(t, f, func(w *world) {
				w.start()
				w.pass(5 * time.Second)
				w.stop()
				short(w)
				w.source = newMute()
				w.source.fail()
				w.opts.Backends[0].Feeds[0].Source = w.source
				w.start()
				if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
					w.t.Fatal(err)
				}
				w.pass(time.Hour)
				if s := w.status(); s.Backends[0].Phase != phaseRestored || s.Instances[1].Overflow == 0 {
					w.t.Fatalf("phase %s, %d without a slot", s.Backends[0].Phase, s.Instances[1].Overflow)
				}
				if len(f.ran()) != 0 {
					w.t.Fatalf("%d runs for a stored set", len(f.ran()))
				}
				w.source.list(span(80, 83)...)
				w.pass(time.Minute)
				if len(f.ran()) != 1 {
					w.t.Errorf("%d runs when the source has spoken", len(f.ran()))
				}
				w.wantReady(w.conns[1], 5)
			})
		})
	}
}

// Without a template a reload cures nothing, also if there was one when the need
// arose.
func TestReloadThatStopsRendering(t *testing.T) {
	f := &fakeReload{stuck: true}
	managed(t, f, func(w *world) {
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(time.Minute)
		foreign := &fakeReload{command: true, tag: "2"}
		next := w.opts
		next.Reloads = slices.Clone(w.opts.Reloads)
		next.Reloads[0].Transaction = foreign
		if err := w.agent.Reconfigure(context.Background(), next); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		if len(f.ran()) != 1 || len(foreign.ran()) != 0 {
			t.Errorf("%d reloads, and %d without a template", len(f.ran()), len(foreign.ran()))
		}
	})
}

// A file that somebody else has changed is noticed as soon as an instance would be, and
// shown until it is the one that was rendered again.
func TestFileChangedByHandIsNoticed(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Poll = DefaultPoll
		const text = "the configuration of HAProxy was changed by hand: it is not overwritten unless somebody insists"
		w.start()
		w.pass(time.Minute)
		if w.status().Reloads[0].ChangedByHand || w.warned.of(text) > 0 {
			t.Fatal("nobody has changed it")
		}
		f.with(func() { f.byHand = true })
		w.pass(2 * DefaultPoll)
		if !w.status().Reloads[0].ChangedByHand || w.warned.of(text) != 1 {
			t.Errorf("it is not noticed: %+v", w.status().Reloads[0])
		}
		w.pass(time.Hour)
		if w.warned.of(text) != 1 {
			t.Error("it is said more than once")
		}
		f.with(func() { f.byHand = false })
		w.pass(2 * DefaultPoll)
		if w.status().Reloads[0].ChangedByHand {
			t.Error("it is shown for ever")
		}
	})
}

// A failed reload is tried again as soon as what it is rendered from changes: there is no
// interval to wait for any more.
func TestFailedReloadIsTriedAgainAtOnce(t *testing.T) {
	f := &fakeReload{err: errors.New("step render: no")}
	managed(t, f, func(w *world) {
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(time.Hour)
		if len(f.ran()) != 1 || w.status().Reloads[0].NextAfter != nil {
			t.Fatalf("%d runs, next after %v", len(f.ran()), w.status().Reloads[0].NextAfter)
		}
		f.with(func() { f.err, f.tag = nil, "repaired" })
		w.pass(2 * time.Second)
		if len(f.ran()) != 2 {
			t.Fatal("it is not tried again")
		}
		w.pass(5 * time.Second)
		w.wantReady(w.conns[0], 10)
	})
}
