package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/reload"
	"github.com/slotsync/slotsync/slots"
)

// fakeReload reloads fakes: they come back with the slots that were rendered,
// filled from the state file.
type fakeReload struct {
	mu      sync.Mutex
	conns   []*fakeConn
	command bool // nothing is rendered
	stuck   bool // the template ignores how many slots there should be
	err     error
	tag     string
	runs    []reload.Request
	recover chan struct{} // Recover waits for it; nil: it does not
}

func (f *fakeReload) Renders() bool { return !f.command }

// ran returns what was asked of it.
func (f *fakeReload) ran() []reload.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.runs)
}

func (f *fakeReload) with(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

func (f *fakeReload) Run(_ context.Context, r reload.Request) (reload.Result, error) {
	time.Sleep(100 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = append(f.runs, r)
	if f.err != nil {
		return reload.Result{Reason: r.Reason, Step: reload.StepCheck}, f.err
	}
	for _, c := range f.conns {
		n := 0
		c.with(func() { n = len(c.servers["web"]) })
		if len(r.Data.Backends) > 0 && !f.stuck && !f.command {
			n = r.Data.Backends[0].Slots
		}
		c.grow(n)
	}
	return reload.Result{Reason: r.Reason, Step: reload.StepWorker, Version: "v", Changed: true}, nil
}

// grow restarts the fake with n slots of the template, from its state file.
func (f *fakeConn) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process.Pid++
	saved := f.saved["web"]
	f.addBackend("web", n)
	for i := range f.servers["web"] {
		s := &f.servers["web"][i]
		if j := slices.IndexFunc(saved, func(old slots.Server) bool { return old.Name == s.Name }); j >= 0 {
			s.Addr, s.Class, s.Weight = saved[j].Addr, saved[j].Class, saved[j].Weight
		}
	}
}

func (f *fakeReload) Show() ([]byte, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []byte("global\n"), f.tag, nil
}

func (f *fakeReload) Recover(ctx context.Context) (reload.Result, bool, error) {
	if f.recover == nil {
		return reload.Result{}, false, nil
	}
	select {
	case <-f.recover:
	case <-ctx.Done():
	}
	return reload.Result{}, true, nil
}

func (f *fakeReload) Check(context.Context, reload.Data) (string, error) { return "fine", f.err }

func (f *fakeReload) Versions() ([]reload.Version, error) { return []reload.Version{{ID: "v"}}, nil }

func (f *fakeReload) Version(id string) (reload.Version, []byte, error) {
	return reload.Version{ID: id}, []byte("old\n"), nil
}

func (f *fakeReload) Diff(string, string) (string, error) { return "-old\n+global\n", nil }

func (f *fakeReload) Restore(_ context.Context, id, by string) (reload.Result, error) {
	f.with(func() { f.runs = append(f.runs, reload.Request{Reason: "restore " + id, By: by}) })
	return reload.Result{Version: id, Step: reload.StepWorker}, f.err
}

// managed is a world whose HAProxys, of 4 slots each, are reloaded by f.
func managed(t *testing.T, f *fakeReload, body func(w *world)) {
	t.Helper()
	a, b := newFake("a", "web", 4), newFake("b", "web", 4)
	f.conns, f.tag = []*fakeConn{a, b}, "1"
	inWorld(t, func(w *world) {
		w.opts.Poll = 10 * time.Second // days have to pass
		w.opts.Reloads = []Reload{{Name: "haproxy", Instances: []string{"a", "b"}, Transaction: f, MinInterval: 30 * time.Second, MaxPerHour: 10}}
		w.source.reading.Endpoints = eps(span(80, 83)...)
		body(w)
	}, a, b)
}

func (w *world) need() *NeedReload { return w.status().Backends[0].NeedReload }

func TestOutgrownIsReloadedOnce(t *testing.T) {
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
		if _, err := w.agent.ReloadHAProxy(context.Background(), ReloadRequest{By: "me"}); err != nil {
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
		_, err := w.agent.ReloadHAProxy(context.Background(), ReloadRequest{By: "me"})
		w.pass(time.Hour)
		if err == nil || errors.Is(err, ErrReloading) || len(f.ran()) != 2 || len(other.ran()) != 0 {
			t.Errorf("asked for: %v, %d runs, and %d of the next one", err, len(f.ran()), len(other.ran()))
		}
	})
}

// Instances with reloads of their own are reloaded one after the other; one that
// does not answer is waited for, and gets as many slots as the others.
func TestEachInstanceIsReloaded(t *testing.T) {
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
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Guard = Guard{EmptyHold: Off, RemovalHold: Off}
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
	const short, refuses = "more endpoints than slots", "HAProxy refuses to change slots; slotsync status shows which"
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
		{"static balance", refusing(slots.NoWeights), "weights unsupported: the backend's algorithm takes none", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeReload{}
			managed(t, f, func(w *world) {
				c.with(w, f)
				w.opts.Poll, w.opts.Resync = time.Minute, 10*time.Minute // a day has to pass
				w.start()
				listed := eps(span(80, 89)...)
				for i := range listed {
					listed[i].Weight = 1 + i%2
				}
				w.source.say(discovery.Reading{Endpoints: listed}, nil)
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

// What an earlier process left half done is put right first.
func TestRecoversBeforeItReloads(t *testing.T) {
	f := &fakeReload{recover: make(chan struct{})}
	managed(t, f, func(w *world) {
		f.recover = make(chan struct{})
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(time.Minute)
		if _, err := w.agent.ReloadHAProxy(context.Background(), ReloadRequest{By: "me"}); !errors.Is(err, ErrReloading) || len(f.ran()) != 0 {
			t.Fatalf("%v, %d runs while something is recovered", err, len(f.ran()))
		}
		close(f.recover)
		w.pass(time.Minute) // it counts as a reload
		w.wantReady(w.conns[0], 10)
	})
}

func TestHAProxyConfigOfTheAgent(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		if _, err := New(Options{Instances: w.opts.Instances, Backends: w.opts.Backends, Reloads: []Reload{{Name: "x", Instances: []string{"nobody"}}}}); err == nil {
			t.Error("a reload of an unknown instance is taken")
		}
		w.start()
		ctx := context.Background()
		if text, tag, err := w.agent.HAProxyConfig(ctx, "", ""); err != nil || string(text) != "global\n" || tag != "1" {
			t.Errorf("got %q %q, %v", text, tag, err)
		}
		if text, _, err := w.agent.HAProxyConfig(ctx, "haproxy", "v"); err != nil || string(text) != "old\n" {
			t.Errorf("got %q, %v", text, err)
		}
		if _, _, err := w.agent.HAProxyConfig(ctx, "", "w"); !errors.Is(err, ErrNoVersion) {
			t.Errorf("got %v", err)
		}
		if _, err := w.agent.HAProxyVersions(ctx, "other"); !errors.Is(err, ErrNoReload) {
			t.Errorf("got %v", err)
		}
		if _, err := w.agent.HAProxyDiff(ctx, "", "v", "w"); !errors.Is(err, ErrNoVersion) {
			t.Errorf("got %v", err)
		}
		if diff, err := w.agent.HAProxyDiff(ctx, "", "v", ""); err != nil || diff == "" {
			t.Errorf("got %q, %v", diff, err)
		}
		if words, err := w.agent.CheckHAProxy(ctx, ""); err != nil || words != "fine" {
			t.Errorf("got %q, %v", words, err)
		}
		if _, err := w.agent.RestoreHAProxy(ctx, "", "v", "me", "0"); !errors.Is(err, ErrChanged) {
			t.Errorf("got %v", err)
		}
		if s, err := w.agent.RestoreHAProxy(ctx, "", "v", "me", "1"); err != nil || s[0].Version != "v" || f.ran()[0].By != "me" {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

// Processes that reloads have left are shown, and asked for again.
func TestOldWorkersAreShown(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		old := []OldWorker{{Pid: 7, AgeSeconds: 3, Sessions: 2}}
		var err error
		w.opts.Reloads[0].OldWorkers = func(context.Context) ([]OldWorker, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return old, err
		}
		w.start()
		w.pass(time.Second)
		if got := w.status().Reloads[0].OldWorkers; !slices.Equal(got, old) {
			t.Fatalf("got %v", got)
		}
		f.with(func() { err, old = errors.New("no answer"), nil })
		w.pass(time.Minute)
		if got := w.status().Reloads[0].OldWorkers; len(got) != 1 {
			t.Errorf("an error makes it %v", got)
		}
		f.with(func() { err = nil })
		w.pass(time.Minute)
		if got := w.status().Reloads[0].OldWorkers; len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

// What a person asked for is not done again unasked, whatever came of it.
func TestAskedForIsNotRepeated(t *testing.T) {
	for name, err := range map[string]error{"done": nil, "failed": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			f := &fakeReload{err: err}
			managed(t, f, func(w *world) {
				w.opts.Reloads[0].MinInterval = 0
				w.start()
				w.source.list(span(80, 89)...)
				w.settle()
				w.pass(1900 * time.Millisecond)
				if _, got := w.agent.ReloadHAProxy(context.Background(), ReloadRequest{By: "somebody"}); !errors.Is(got, err) {
					t.Fatalf("got %v, want %v", got, err)
				}
				w.pass(time.Hour)
				if len(f.ran()) != 1 || f.ran()[0].By != "somebody" {
					t.Errorf("runs %+v", f.ran())
				}
			})
		})
	}
}
