package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestPause(t *testing.T) {
	t.Parallel()
	for _, hard := range []bool{false, true} {
		a, b := newFake("a", "web", 5), newFake("b", "web", 5)
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(80)...)
			w.start()
			ctx := w.t.Context()
			if _, err := w.agent.Pause(ctx, "nothing", false, api.Who{}); !errors.Is(err, api.ErrNoBackend) {
				w.t.Errorf("got %v", err)
			}
			if _, err := w.agent.Pause(ctx, "web", hard, api.Who{By: "ann", For: time.Hour}); err != nil {
				w.t.Fatal(err)
			}
			w.source.list(80, 81)
			w.pass(time.Minute)
			w.want(a, "web1=:80")
			if s := w.status(); !s.Instances[0].InSync || s.Backends[0].PausedBy != "ann" || len(s.Pauses) != 1 {
				w.t.Errorf("got %+v, %+v", s.Instances[0], s.Pauses)
			}
			w.stop() // a pause survives
			w.start()
			w.source.list(80, 81)
			w.pass(time.Minute)
			w.want(a, "web1=:80")
			a.restart(false)
			w.pass(time.Minute)
			filled := "web1=:80 web2=:81"
			if hard {
				filled = ""
			}
			w.want(a, filled)
			w.want(b, "web1=:80")
			w.source.list(80, 81, 82)
			w.pass(time.Minute)
			w.want(a, filled)
			w.pass(time.Hour) // and ends
			w.want(a, "web1=:80 web2=:81 web3=:82")
			w.want(b, "web1=:80 web2=:81 web3=:82")
			if _, err := w.agent.Pause(ctx, "", hard, api.Who{}); err != nil {
				w.t.Fatal(err)
			}
			w.source.list(80)
			w.pass(time.Minute)
			w.want(b, "web1=:80 web2=:81 web3=:82")
			if err := w.agent.Resume(ctx, ""); err != nil {
				w.t.Fatal(err)
			}
			w.pass(time.Second)
			w.want(b, "web1=:80")
		}, a, b)
	}
}

// TestPauseOfOneBackend: another one is in sync, and as fast as ever.
func TestPauseOfOneBackend(t *testing.T) {
	a := newFake("a", "web", 5)
	a.addBackend("api", 5)
	inWorld(t, func(w *world) {
		other := newSource(90)
		w.opts.Backends = append(w.opts.Backends, Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: other, Key: "b"}}})
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		if _, err := w.agent.Pause(w.t.Context(), "web", false, api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(80, 81)
		w.pass(time.Minute)
		other.list(90, 91)
		w.pass(time.Second)
		w.wantSync("a", true)
		for _, p := range w.agent.core.instances[0].pending {
			if p.backend != "web" {
				w.t.Errorf("%s is not known to be applied", p.backend)
			}
		}
	}, a)
}

// TestPauseOverARestartOfBoth: a process that came while nobody looked is filled, once.
func TestPauseOverARestartOfBoth(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		if _, err := w.agent.Pause(w.t.Context(), "web", false, api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(10 * time.Second)
		w.stop()
		a.restart(false)
		a.refuse["web2"] = slots.NoServer
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.opts.Backends[0].MaxSlots = 5
		w.start()
		w.pass(time.Second)
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		w.source.list(80, 81, 82) // what comes later waits for the end of the pause
		w.pass(time.Minute)
		w.want(a, "web1=:80")
	}, a)
}
