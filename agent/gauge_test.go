package agent

import (
	"context"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
)

func TestGaugeFollowsTheKindOfAHold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83, 84, 85)...)
		w.start()
		registry := w.measured()
		w.source.list(80)
		w.settle()
		w.source.list()
		w.settle()
		if got := heldKinds(w.t, registry); !slices.Equal(got, []string{guard.Empty}) {
			w.t.Errorf("held by the gauge: %v", got)
		}
	}, newFake("a", "web", 10))
}

// measured has the agent keep metrics from now on.
func (w *world) measured() *prometheus.Registry {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	if err := w.agent.ask(w.t.Context(), func(context.Context) {
		w.agent.opts.Metrics = metrics.New(registry, "test", metrics.Lists{})
		w.agent.track()
	}); err != nil {
		w.t.Fatal(err)
	}
	return registry
}

// heldKinds returns the kinds of which the gauge says that something is held.
func heldKinds(t *testing.T, registry *prometheus.Registry) (kinds []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "slotsync_guard_held" && l.GetName() == "kind" && m.GetGauge().GetValue() == 1 {
					kinds = append(kinds, l.GetValue())
				}
			}
		}
	}
	return kinds
}
