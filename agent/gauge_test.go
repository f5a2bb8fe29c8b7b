package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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

// TestScrapeOfABusyLoop: a scrape neither waits for a loop that does not answer, nor says what
// was true before; and there are no gauges while no loop runs.
func TestScrapeOfABusyLoop(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		registry := w.measured()
		free := make(chan struct{})
		go func() { _ = w.agent.ask(w.t.Context(), func(context.Context) { <-free }) }()
		synctest.Wait()
		begun := time.Now()
		if _, err := registry.Gather(); err == nil || time.Since(begun) > answerWait {
			w.t.Errorf("a busy loop: %v after %s", err, time.Since(begun))
		}
		close(free)
		if n := testutil.CollectAndCount(registry, "slotsync_instance_up"); n != 1 {
			w.t.Errorf("%d instances after it", n)
		}
		w.stop()
		if n := testutil.CollectAndCount(registry, "slotsync_instance_up"); n != 0 {
			w.t.Errorf("%d instances after the end", n)
		}
	}, newFake("a", "web", 2))
}

// TestGaugesAddUp: backends that share one of HAProxy's, and a source's name, are one series.
func TestGaugesAddUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		var s metrics.Snapshot
		if err := w.agent.ask(w.t.Context(), func(context.Context) {
			twin := *w.agent.backends[0]
			twin.Name = "twin"
			w.agent.backends = append(w.agent.backends, &twin)
			s = w.agent.gauges(time.Now())
			w.agent.backends = w.agent.backends[:1]
		}); err != nil {
			w.t.Fatal(err)
		}
		if n := len(s.Proxies) + len(s.Sources) + len(s.Slots); n != 3 || len(s.Named) != 2 {
			w.t.Fatalf("%+v", s)
		}
		for _, source := range s.Sources {
			if !source.Up || source.Endpoints["ready"] != 4 {
				w.t.Errorf("%+v", source)
			}
		}
	}, newFake("a", "web", 2))
}

// TestGaugeOfAStateFile: it says for as long as a state file cannot be written that it cannot; and a slot is
// named as its source names the instance.
func TestGaugeOfAStateFile(t *testing.T) {
	c := newFake("a", "web", 2)
	inWorld(t, func(w *world) {
		one := eps(80)[0]
		one.Name = "one"
		w.source.reading = discovery.Complete(one)
		w.start()
		registry := w.measured()
		want := func(failing string) {
			t.Helper()
			if err := testutil.GatherAndCompare(registry, strings.NewReader(`# HELP slotsync_slot_info Always 1; the labels say which instance of a service a slot holds.
# TYPE slotsync_slot_info gauge
slotsync_slot_info{address="127.0.0.9:80",name="one",proxy="web",server="web1"} 1
# HELP slotsync_state_file_write_failing Whether a server-state file of an instance could not be written when that was tried last.
# TYPE slotsync_state_file_write_failing gauge
slotsync_state_file_write_failing{haproxy="a"} `+failing+"\n"), "slotsync_slot_info", "slotsync_state_file_write_failing"); err != nil {
				t.Error(err)
			}
		}
		want("0")
		c.with(func() { c.saveErr = errors.New("no space left") })
		w.pass(time.Minute)
		want("1")
		c.with(func() { c.saveErr = nil })
		w.pass(time.Minute)
		want("0")
	}, c)
}

// TestGaugesNameSoManySlots: the slots that are named are bounded.
func TestGaugesNameSoManySlots(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.settle()
		if err := w.agent.ask(w.t.Context(), func(context.Context) {
			for most, want := range map[int]int{0: 0, 1: 1, 2: 2, 10: 3} {
				got := map[metrics.NamedSlot]bool{}
				if w.agent.backends[0].nameSlots(got, most); len(got) != want {
					w.t.Errorf("at most %d: %v", most, got)
				}
			}
		}); err != nil {
			w.t.Fatal(err)
		}
	}, newFake("a", "web", 5))
}

// measured has the agent keep metrics from now on.
func (w *world) measured() *prometheus.Registry {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	if err := w.agent.ask(w.t.Context(), func(context.Context) {
		w.agent.opts.Metrics = metrics.New(registry, "test", metrics.Lists{})
		w.agent.opts.Metrics.SnapshotFrom(w.agent.snapshotMetrics)
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
