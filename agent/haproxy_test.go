package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

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
		if _, _, err := w.agent.HAProxyConfig(ctx, "", "w"); !errors.Is(err, api.ErrNoVersion) {
			t.Errorf("got %v", err)
		}
		if _, err := w.agent.HAProxyVersions(ctx, "other"); !errors.Is(err, api.ErrNoReload) {
			t.Errorf("got %v", err)
		}
		if _, err := w.agent.HAProxyDiff(ctx, "", "v", "w"); !errors.Is(err, api.ErrNoVersion) {
			t.Errorf("got %v", err)
		}
		if diff, err := w.agent.HAProxyDiff(ctx, "", "v", ""); err != nil || diff == "" {
			t.Errorf("got %q, %v", diff, err)
		}
		if words, err := w.agent.CheckHAProxy(ctx, ""); err != nil || words != "fine" {
			t.Errorf("got %q, %v", words, err)
		}
		if _, err := w.agent.RestoreHAProxy(ctx, "", "v", "me", "0"); !errors.Is(err, api.ErrChanged) {
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
		old := []api.OldWorker{{Pid: 7, AgeSeconds: 3, Sessions: 2}}
		var err error
		w.opts.Reloads[0].OldWorkers = func(context.Context) ([]api.OldWorker, error) {
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

// TestOldWorkersOfAReloadAreShownAtOnce: whoever waits for the end of sessions must not take
// the new worker for all there is.
func TestOldWorkersOfAReloadAreShownAtOnce(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		var old []api.OldWorker
		w.opts.Poll = 500 * time.Millisecond
		w.opts.Reloads[0].OldWorkers = func(context.Context) ([]api.OldWorker, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return old, nil
		}
		w.start()
		w.pass(oldEvery + time.Second) // it was looked for them a second ago
		f.with(func() { old = []api.OldWorker{{Pid: 7}} })
		w.conns[0].restart(true)
		w.pass(w.opts.Poll + 100*time.Millisecond)
		if s := w.status().Reloads[0]; len(s.OldWorkers) != 1 || !s.OldWorkersKnown {
			t.Errorf("got %+v", s)
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
				if _, got := w.agent.ReloadHAProxy(context.Background(), api.ReloadRequest{By: "somebody"}); !errors.Is(got, err) {
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
