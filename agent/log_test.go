package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// logs starts the agent with a log of its own, has body do something, and returns the
// texts that were logged, each once, in their order.
func (w *world) logs(body func()) []string {
	w.t.Helper()
	w.start() // makes what options are left out
	w.stop()
	var log bytes.Buffer
	w.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	a, err := New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.agent, w.done = a, make(chan error, 1)
	go func() { w.done <- a.Run(ctx) }()
	w.settle()
	body()
	w.stop()
	var texts []string
	for _, m := range regexp.MustCompile(`msg="?([^"=]+?)"? [a-z_]+=`).FindAllStringSubmatch(log.String(), -1) {
		if !slices.Contains(texts, m[1]) {
			texts = append(texts, m[1])
		}
	}
	return texts
}

// wantLogged fails unless these were logged, in this order.
func (w *world) wantLogged(got []string, want ...string) {
	w.t.Helper()
	if got = slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !slices.Contains(want, s) }); !slices.Equal(got, want) {
		w.t.Errorf("logged %q, want %q", got, want)
	}
}

// TestLogSaysHowAPauseEnds: one that ends by itself is nobody's doing.
func TestLogSaysHowAPauseEnds(t *testing.T) {
	const paused, resumed, over = "an operator pauses the writing", "an operator has the writing go on", "a pause is over: writing goes on"
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		pause := func() {
			if _, err := w.agent.Pause(w.t.Context(), "web", false, api.Who{By: "ann", For: time.Minute}); err != nil {
				w.t.Error(err)
			}
		}
		got := w.logs(func() {
			pause()
			w.pass(time.Hour)
		})
		w.wantLogged(got, paused, over)
		if slices.Contains(got, resumed) {
			w.t.Errorf("logged %q of what nobody did", resumed)
		}
		got = w.logs(func() {
			pause()
			if err := w.agent.Resume(w.t.Context(), ""); err != nil {
				w.t.Error(err)
			}
			w.pass(time.Hour)
			if err := w.agent.Resume(w.t.Context(), ""); !errors.Is(err, api.ErrNotPaused) || err.Error() != "not paused: there is no pause to end" {
				w.t.Errorf("got %v", err)
			}
		})
		w.wantLogged(got, paused, resumed)
		if slices.Contains(got, over) {
			w.t.Errorf("logged %q of what somebody ended", over)
		}
	}, newFake("a", "web", 5))
}

// TestLogSaysThatAReloadBegins before it is done.
func TestLogSaysThatAReloadBegins(t *testing.T) {
	managed(t, &fakeReload{}, func(w *world) {
		got := w.logs(func() {
			if _, err := w.agent.ReloadHAProxy(w.t.Context(), api.ReloadRequest{By: "ann"}); err != nil {
				w.t.Error(err)
			}
		})
		w.wantLogged(got, "a reload of HAProxy begins", "HAProxy was reloaded")
		if slices.Contains(got, "HAProxy is reloaded") {
			w.t.Error("it is logged as done while it is not")
		}
	})
}
