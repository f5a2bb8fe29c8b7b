package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

const v4, v6 = "A of web", "AAAA of web"

// families is a reading of two parts that are whole.
func families(a, b []int) discovery.Reading {
	return discovery.Reading{Parts: []discovery.Part{{Name: v4, Endpoints: eps(a...)}, {Name: v6, Endpoints: eps(b...)}}}
}

// gap is a reading of which the second part is not known.
func gap(ports ...int) discovery.Reading {
	return discovery.Reading{Parts: []discovery.Part{{Name: v4, Endpoints: eps(ports...)},
		{Name: v6, State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "SERVFAIL from 10.0.0.1")}}}
}

// kept returns what is kept of a backend.
func (w *world) kept() []api.KeptSet { return w.status().Backends[0].Kept }

// portsOf are the ports of endpoints, without their address.
func portsOf(endpoints []string) string {
	out := make([]string, len(endpoints))
	for i, e := range endpoints {
		out[i] = strings.TrimPrefix(e, "127.0.0.9:")
	}
	return strings.Join(out, " ")
}

// wantKept fails the test unless one set is kept, of these ports, with these without a slot.
func (w *world) wantKept(ports, yielded string) api.KeptSet {
	w.t.Helper()
	kept := w.kept()
	if len(kept) != 1 || portsOf(kept[0].Endpoints) != ports || portsOf(kept[0].Yielded) != yielded {
		w.t.Fatalf("kept: %+v, want %s, of which %q have no slot", kept, ports, yielded)
	}
	return kept[0]
}

// events are the kinds of the events that were, of those named.
func (w *world) events(kinds ...string) []string {
	w.t.Helper()
	all, reader, err := w.agent.Events().Read(1)
	if err != nil {
		w.t.Fatal(err)
	}
	reader.Close()
	var out []string
	for _, e := range all {
		if slices.Contains(kinds, e.Kind) {
			out = append(out, e.Kind)
		}
	}
	return out
}

// TestKeptIsToldOnce: in the status, the log, an event and the metric, with its part and
// why; and that it is over.
func TestKeptIsToldOnce(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, []int{90, 91})
		w.start()
		registry := w.measured()
		before := time.Now()
		for i := range 5 { // additions and removals of the other part go on
			w.source.say(gap(80, 82+i), nil)
			w.pass(time.Minute)
			w.wantPorts(a, 80, 82+i, 90, 91)
		}
		k := w.wantKept("90 91", "")
		if k.Source != "test" || k.Part != v6 || !strings.Contains(k.Reason, "SERVFAIL from 10.0.0.1") || k.Since.Sub(before) > time.Second || k.ID == "" {
			w.t.Errorf("kept: %+v", k)
		}
		src := w.status().Sources[0]
		if src.State != "ok" || src.Kept != 2 || len(src.Parts) != 1 || src.Parts[0].Name != v6 || src.Parts[0].State != "unknown" {
			w.t.Errorf("source: %+v", src)
		}
		if n := w.warned.of("kept: the source does not list these now, and cannot say that they are gone"); n != 1 {
			w.t.Errorf("warned %d times", n)
		}
		if got := w.events(api.EventKeptBegun, api.EventKeptEnded, api.EventHoldBegun); !slices.Equal(got, []string{api.EventKeptBegun}) {
			w.t.Errorf("events: %q", got)
		}
		if n := gauge(w.t, registry, "slotsync_source_kept"); n != 2 {
			w.t.Errorf("the metric says %v", n)
		}
		w.source.say(families([]int{80, 82}, []int{90}), nil)
		w.pass(time.Minute)
		w.wantPorts(a, 80, 82, 90)
		if len(w.kept()) > 0 || gauge(w.t, registry, "slotsync_source_kept") != 0 {
			w.t.Errorf("still kept: %+v", w.kept())
		}
		if got := w.events(api.EventKeptBegun, api.EventKeptEnded); !slices.Equal(got, []string{api.EventKeptBegun, api.EventKeptEnded}) {
			w.t.Errorf("events: %q", got)
		}
	}, a)
}

// TestKeptIsToldByWhatIsKnown: an outage is said as that, and neither its beginning nor its end
// speaks of each endpoint. What stays kept when the rest is known again is told then.
func TestKeptIsToldByWhatIsKnown(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, []int{90, 91})
		w.start()
		outage := func() {
			w.source.say(discovery.Reading{}, errors.New("no answer"))
			w.pass(time.Minute)
			w.wantPorts(a, 80, 81, 90, 91)
		}
		outage()
		w.source.say(families([]int{80, 81}, []int{90, 91}), nil)
		w.pass(time.Minute)
		if got := w.events(api.EventKeptBegun, api.EventKeptEnded); len(got) > 0 {
			w.t.Errorf("after an outage: %q", got)
		}
		outage()
		w.source.say(gap(80, 81), nil)
		w.pass(time.Minute)
		w.wantKept("90 91", "")
		if got := w.events(api.EventKeptBegun, api.EventKeptEnded); !slices.Equal(got, []string{api.EventKeptBegun}) {
			w.t.Errorf("after an outage that a part is left of: %q", got)
		}
	}, a)
}

// gauge is the sum of a gauge or counter over its labels.
func gauge(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// isUp says what HAProxy's check finds of the endpoint at this port.
func (f *fakeConn) isUp(port int, up bool) {
	f.with(func() {
		for i := range f.servers["web"] {
			if s := &f.servers["web"][i]; int(s.Addr.Port()) == port {
				s.Checked, s.Up = true, up
			}
		}
	})
}

// TestKeptGivesWay: what is listed comes first where slots are scarce. Those that are down
// go before a server is added, those that are up only before a listed endpoint would go
// without.
func TestKeptGivesWay(t *testing.T) {
	t.Run("the ones that are down, then those that are up", func(t *testing.T) {
		a := newFake("a", "web", 4)
		a.checked(true)
		inWorld(t, func(w *world) {
			w.opts.Resync = time.Second
			w.source.reading = families([]int{80, 81}, []int{90, 91})
			w.start()
			a.isUp(91, false)
			w.source.say(gap(80, 81), nil)
			w.pass(5 * time.Second)
			w.wantKept("90 91", "")
			w.wantPorts(a, 80, 81, 90, 91)
			w.source.say(gap(80, 81, 82), nil)
			w.pass(5 * time.Second)
			w.wantPorts(a, 80, 81, 82, 90)
			w.wantKept("90 91", "91")
			w.source.say(gap(80, 81, 82, 83), nil)
			w.pass(5 * time.Second)
			w.wantPorts(a, 80, 81, 82, 83)
			w.wantKept("90 91", "90 91")
			if b := w.status().Backends[0]; len(b.Overflow) > 0 || b.NeedReload != nil {
				w.t.Errorf("what is kept is no overflow: %+v, %+v", b.Overflow, b.NeedReload)
			}
			w.source.say(families([]int{80, 81}, []int{90, 91}), nil) // listed again: like any other
			w.pass(time.Minute)
			w.wantPorts(a, 80, 81, 90, 91)
		}, a)
	})
	t.Run("the one that is kept longest first", func(t *testing.T) {
		a := newFake("a", "web", 4)
		inWorld(t, func(w *world) {
			part := func(name string, ports ...int) discovery.Part {
				return discovery.Part{Name: name, Endpoints: eps(ports...)}
			}
			lost := func(name string) discovery.Part {
				return discovery.Part{Name: name, State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "SERVFAIL")}
			}
			say := func(parts ...discovery.Part) {
				w.source.say(discovery.Reading{Parts: parts}, nil)
				w.pass(5 * time.Second)
			}
			w.source.reading = discovery.Reading{Parts: []discovery.Part{part("a", 80), part("b", 85), part("c", 82), part("d", 87)}}
			w.start()
			say(part("a", 80), part("b", 85), part("c", 82), lost("d"))
			say(part("a", 80), lost("b"), part("c", 82), lost("d"))
			say(part("a", 80), lost("b"), lost("c"), lost("d"))
			w.wantPorts(a, 80, 82, 85, 87)
			say(part("a", 80, 81), lost("b"), lost("c"), lost("d"))
			w.wantPorts(a, 80, 81, 82, 85)
			say(part("a", 80, 81, 83), lost("b"), lost("c"), lost("d"))
			w.wantPorts(a, 80, 81, 82, 83)
		}, a)
	})
	t.Run("dynamic servers before those that are up, after those that are down", func(t *testing.T) {
		a := newFake("a", "web", 4)
		a.checked(true)
		inWorld(t, func(w *world) {
			w.opts.Resync = time.Second
			w.opts.Backends[0].Dynamic, w.opts.Backends[0].MaxSlots = true, 5
			w.source.reading = families([]int{80, 81}, []int{90, 91})
			w.start()
			a.isUp(90, false)
			w.source.say(gap(80, 81), nil)
			w.pass(5 * time.Second)
			w.source.say(gap(80, 81, 82), nil)
			w.pass(5 * time.Second)
			w.wantPorts(a, 80, 81, 82, 91)
			w.source.say(gap(80, 81, 82, 83), nil)
			w.pass(5 * time.Second)
			w.wantPorts(a, 80, 81, 82, 83, 91)
			w.wantKept("90 91", "90")
			w.source.say(gap(80, 81, 82, 83, 84), nil) // no more may be added
			w.pass(5 * time.Second)
			w.wantPorts(a, 80, 81, 82, 83, 84)
		}, a)
	})
}

// TestKeptSurvivesARestart: of the agent, with its reason, its id and since when; also at
// a HAProxy that lost its slots.
func TestKeptSurvivesARestart(t *testing.T) {
	for _, lost := range []bool{false, true} {
		a := newFake("a", "web", 20)
		inWorld(t, func(w *world) {
			w.source.reading = families([]int{80, 81}, []int{90, 91})
			w.start()
			w.source.say(gap(80, 81), nil)
			w.pass(time.Minute)
			before := w.wantKept("90 91", "")
			w.crash()
			time.Sleep(time.Minute)
			if lost {
				a.restart(false)
			}
			w.source = newSource()
			w.source.reading = gap(80, 82) // meanwhile one joined, and one left
			w.opts.Backends[0].Feeds[0].Source = w.source
			w.start()
			w.pass(5 * time.Second)
			w.wantPorts(a, 80, 82, 90, 91)
			after := w.wantKept("90 91", "")
			if after.ID != before.ID || after.Part != before.Part || !after.Since.Equal(before.Since) {
				w.t.Errorf("kept before: %+v\nand after: %+v", before, after)
			}
			w.source.say(families([]int{80, 82}, []int{91}), nil)
			w.settle()
			w.wantPorts(a, 80, 82, 91)
		}, a)
	}
}

// TestKeptIsAcceptedBeforeASourceSpoke: of what was stored, too, and with it goes what it
// serves.
func TestKeptIsAcceptedBeforeASourceSpoke(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, []int{90})
		w.start()
		w.source.say(gap(80, 81), nil)
		w.pass(time.Minute)
		kept := w.wantKept("90", "")
		w.crash()
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(5 * time.Second)
		w.wantPorts(a, 80, 81, 90)
		if _, err := w.agent.Accept(w.t.Context(), "web", kept.ID, "ann"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(5 * time.Second)
		w.wantPorts(a, 80, 81)
		w.source.say(families([]int{80, 81}, nil), nil)
		w.pass(5 * time.Second)
		w.wantPorts(a, 80, 81)
		if h := w.status().Backends[0].Hold; h != nil {
			w.t.Errorf("what was accepted is held: %+v", h)
		}
		if got := w.events(api.EventHoldBegun, api.EventHoldEnded); len(got) > 0 {
			w.t.Errorf("nothing was held, and there are events: %q", got)
		}
	}, a)
}
