package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

// What an earlier process left half done is put right first.
func TestRecoversBeforeItReloads(t *testing.T) {
	f := &fakeReload{recover: make(chan struct{})}
	managed(t, f, func(w *world) {
		f.recover = make(chan struct{})
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(time.Minute)
		if _, err := w.agent.ReloadHAProxy(context.Background(), api.ReloadRequest{By: "me"}); !errors.Is(err, api.ErrReloading) || len(f.ran()) != 0 {
			t.Fatalf("%v, %d runs while something is recovered", err, len(f.ran()))
		}
		close(f.recover)
		w.pass(time.Minute) // it counts as a reload
		w.wantReady(w.conns[0], 10)
	})
}

// Somebody else may reload by the same master just then.
func TestRecoversOnceNobodyElseReloads(t *testing.T) {
	for _, c := range []struct {
		busy  int
		right int
	}{{3, 1}, {1000, 0}} {
		f := &fakeReload{}
		managed(t, f, func(w *world) {
			f.recover = make(chan struct{})
			close(f.recover)
			f.busy = c.busy
			w.start()
			w.pass(5 * time.Minute)
			if got := w.warned.of("a reload was cut short; it is put right"); got != c.right || w.warned.of("a reload was cut short and could not be put right") != 1-c.right {
				t.Errorf("busy %d times: warned of %v", c.busy, w.warned.counts)
			}
			w.source.list(span(80, 89)...)
			w.pass(time.Minute)
			if len(f.ran()) != 1 {
				t.Errorf("busy %d times: %d reloads afterwards", c.busy, len(f.ran()))
			}
		})
	}
}

// TestRecoveryIsAnEvent: a reload that could not be put right is told and counted.
func TestRecoveryIsAnEvent(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		f.recover, f.busy = make(chan struct{}), 1000
		w.start()
		w.pass(5 * time.Minute)
		if failed := len(w.events(api.EventReloadFailed)); failed != 1 {
			t.Errorf("%d events of a failed reload, want 1", failed)
		}
		if got := gauge(t, w.registry, "slotsync_haproxy_reloads_total"); got != 2 {
			t.Errorf("%v reloads are counted, want one at each instance", got)
		}
	})
}

// TestReconfiguredDuringAReload: what came of a reload is about the files that it was of.
func TestReconfiguredDuringAReload(t *testing.T) {
	f := &fakeReload{err: errors.New("no")}
	managed(t, f, func(w *world) {
		w.start()
		w.source.list(span(80, 89)...)
		w.pass(2050 * time.Millisecond) // it runs for 100 ms
		other := &fakeReload{conns: f.conns, tag: "other"}
		next := w.opts
		next.Reloads = []Reload{{Name: "haproxy", Key: "other", Instances: []string{"a", "b"}, Transaction: other}}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		if len(f.ran()) != 1 || len(other.ran()) != 1 {
			t.Errorf("%d runs of the first, %d of the other, want one each", len(f.ran()), len(other.ran()))
		}
	})
}

// TestRecoveredUnderAnotherName: what was recovered counts as a reload, whatever it is called by then.
func TestRecoveredUnderAnotherName(t *testing.T) {
	for _, name := range []string{"haproxy", "renamed"} {
		t.Run(name, func(t *testing.T) {
			f := &fakeReload{}
			managed(t, f, func(w *world) {
				f.recover = make(chan struct{})
				w.opts.Reloads[0].File, w.opts.Reloads[0].MinInterval = "/etc/one.cfg", 30*time.Minute
				w.start()
				next := w.opts
				next.Reloads = slices.Clone(next.Reloads)
				next.Reloads[0].Name, next.Reloads[0].Key = name, name
				if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
					w.t.Fatal(err)
				}
				close(f.recover)
				w.pass(time.Second)
				w.source.list(span(80, 84)...)
				w.pass(10 * time.Minute)
				if n := len(f.ran()); n != 0 {
					t.Errorf("%d runs within min_interval of what was recovered", n)
				}
			})
		})
	}
}
