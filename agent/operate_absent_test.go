package agent

import (
	"errors"
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
