package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// TestWhatIsAskedOfTheAbsentCanEnd: also what is kept for good.
func TestWhatIsAskedOfTheAbsentCanEnd(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.state("web2", api.StateDrain, api.Who{Keep: true})
		w.source.list(80)
		w.pass(48 * time.Hour)
		ctx := w.t.Context()
		if _, err := w.agent.ShutSessions(ctx, "web", addr(81).String()); !errors.Is(err, api.ErrNoServer) {
			w.t.Errorf("it has no slot: %v", err)
		}
		if _, err := w.agent.SetState(ctx, "web", addr(81).String(), api.StateReady, api.Who{}); err != nil {
			w.t.Error(err)
		}
		if _, err := w.agent.SetState(ctx, "web", addr(81).String(), api.StateReady, api.Who{}); !errors.Is(err, api.ErrNoServer) {
			w.t.Errorf("nothing is asked of it: %v", err)
		}
		w.source.list(80, 81)
		w.settle()
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestOperatorsAreToldOfASilentSource: an endpoint that is not there yet is not one that is gone.
func TestOperatorsAreToldOfASilentSource(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		for _, server := range []string{addr(80).String(), "no-such-slot"} {
			_, err := w.agent.SetState(w.t.Context(), "web", server, api.StateDrain, api.Who{})
			if !errors.Is(err, api.ErrNoServer) || !strings.Contains(err.Error(), "has not answered since slotsync started") {
				w.t.Errorf("%s: %v", server, err)
			}
		}
		w.source.list(80)
		w.settle()
		w.state(addr(80).String(), api.StateDrain, api.Who{})
		if _, err := w.agent.SetState(w.t.Context(), "web", addr(81).String(), api.StateDrain, api.Who{}); !errors.Is(err, api.ErrNoServer) || strings.Contains(err.Error(), "answered") {
			w.t.Errorf("a source that answered: %v", err)
		}
	}, a)
}
