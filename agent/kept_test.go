package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
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
func (w *world) kept() []KeptSet { return w.status().Backends[0].Kept }

// portsOf are the ports of endpoints, without their address.
func portsOf(endpoints []string) string {
	out := make([]string, len(endpoints))
	for i, e := range endpoints {
		out[i] = strings.TrimPrefix(e, "127.0.0.9:")
	}
	return strings.Join(out, " ")
}

// wantKept fails the test unless one set is kept, of these ports, with these without a slot.
func (w *world) wantKept(ports, yielded string) KeptSet {
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
		registry := prometheus.NewRegistry()
		if err := w.agent.ask(w.t.Context(), func(context.Context) {
			w.agent.opts.Metrics = metrics.New(registry, "test", metrics.Lists{})
			w.agent.track()
		}); err != nil {
			w.t.Fatal(err)
		}
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
		if got := w.events(EventKeptBegun, EventKeptEnded, EventHoldBegun); !slices.Equal(got, []string{EventKeptBegun}) {
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
		if got := w.events(EventKeptBegun, EventKeptEnded); !slices.Equal(got, []string{EventKeptBegun, EventKeptEnded}) {
			w.t.Errorf("events: %q", got)
		}
	}, a)
}

// gauge is the sum of a gauge over its labels.
func gauge(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue()
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

// TestAcceptOfWhatIsKept: what was shown and is still kept goes, however many these are,
// and nothing else.
func TestAcceptOfWhatIsKept(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = families([]int{80, 81}, span(90, 97))
		w.start()
		w.source.say(gap(80, 81), nil)
		w.settle()
		k := w.wantKept("90 91 92 93 94 95 96 97", "")

		if _, err := w.agent.Accept(w.t.Context(), "web", "k000000", "ann"); !errors.Is(err, ErrNoSuchID) || !strings.Contains(err.Error(), k.ID) {
			w.t.Errorf("an unknown id: %v", err)
		}
		if _, err := w.agent.Accept(w.t.Context(), "web", "", "ann"); !errors.Is(err, ErrNoSuchID) || !strings.Contains(err.Error(), k.ID) {
			w.t.Errorf("no id: %v", err)
		}
		w.source.say(gap(80, 81, 97), nil) // one is back
		w.settle()
		done, err := w.agent.Accept(w.t.Context(), "web", k.ID, "ann")
		if err != nil || portsOf(done.Removed) != "90 91 92 93 94 95 96" || done.ID != k.ID || done.Backend != "web" {
			w.t.Errorf("%+v, %v", done, err)
		}
		w.settle()
		w.wantPorts(a, 80, 81, 97)
		if b := w.status().Backends[0]; b.Hold != nil || len(b.Kept) > 0 || b.Turnover != nil {
			w.t.Errorf("hold %+v, kept %+v, turnover %+v", b.Hold, b.Kept, b.Turnover)
		}
		if got := w.events(EventAccepted, EventHoldBegun, EventKeptBegun, EventKeptEnded); got[len(got)-2] != EventAccepted || slices.Contains(got, EventHoldBegun) {
			w.t.Errorf("events: %q", got)
		}
		w.pass(time.Hour) // nothing of it comes back by itself
		w.wantPorts(a, 80, 81, 97)
		done, err = w.agent.Accept(w.t.Context(), "web", k.ID, "ann") // once more
		if err != nil || len(done.Removed) > 0 {
			w.t.Errorf("%+v, %v", done, err)
		}
		w.wantPorts(a, 80, 81, 97)
	}, a)
}

// TestAcceptNamesWhatItMeans: a hold, what is kept and a takeover stand beside each other,
// and each goes by its own id.
func TestAcceptNamesWhatItMeans(t *testing.T) {
	const hold, kept, takeover = 0, 1, 2
	for _, order := range [][]int{{hold, kept, takeover}, {takeover, kept, hold}, {kept, takeover, hold}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			a := newFake("a", "web", 20)
			a.set("web20", func(s *slots.Server) { s.Addr, s.Class = addr(99), slots.Ready })
			a.set("web19", func(s *slots.Server) { s.Addr, s.Class = addr(80), slots.Ready })
			inWorld(t, func(w *world) {
				w.source.reading = families(span(80, 87), []int{90})
				w.start()
				w.source.say(gap(80, 81), nil)
				w.settle()
				w.wantPorts(a, append(span(80, 87), 90, 99)...)
				b := w.status().Backends[0]
				if b.Hold == nil || b.Takeover == nil || len(b.Kept) != 1 || len(b.Acceptable()) != 3 {
					w.t.Fatalf("hold %+v, takeover %+v, kept %+v", b.Hold, b.Takeover, b.Kept)
				}
				id := []string{b.Hold.ID, b.Kept[0].ID, b.Takeover.ID}
				gone := [][]int{span(82, 87), {90}, {99}}
				left := append(span(80, 87), 90, 99)
				for _, i := range order {
					done, err := w.agent.Accept(w.t.Context(), "web", id[i], "ann")
					if err != nil || len(done.Removed) != len(gone[i]) {
						w.t.Errorf("%s: %+v, %v", id[i], done, err)
					}
					left = slices.DeleteFunc(left, func(p int) bool { return slices.Contains(gone[i], p) })
					w.settle()
					w.wantPorts(a, left...)
				}
				if b := w.status().Backends[0]; len(b.Acceptable()) > 0 {
					w.t.Errorf("what is left: %+v", b.Acceptable())
				}
			}, a)
		})
	}
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
			w.kill()
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

// TestSilentSourceTakesNoSlots: what is listed serves, however often it is replaced, beside
// a source that falls silent or never speaks, in several backends, over restarts.
func TestSilentSourceTakesNoSlots(t *testing.T) {
	for name, first := range map[string][]int{"never speaks": nil, "falls silent": {90, 91, 92, 93}} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 10)
			a.addBackend("api", 10)
			inWorld(t, func(w *world) {
				listing := map[string]*fakeSource{}
				w.opts.Backends = nil
				for _, backend := range []string{"web", "api"} {
					silent := newMute()
					if first != nil {
						silent = newSource(first...)
					}
					listing[backend] = newSource(80, 81, 82)
					w.opts.Backends = append(w.opts.Backends, Backend{Name: backend, Proxy: backend, Prefix: "web", Feeds: []Feed{
						{Name: "test", Source: listing[backend], Key: backend}, {Name: "other", Source: silent, Key: "other " + backend}}})
				}
				w.start()
				for _, b := range w.opts.Backends {
					b.Feeds[1].Source.(*fakeSource).fail()
				}
				w.pass(time.Second)
				for round := 1; round <= 4; round++ {
					for _, s := range listing {
						s.list(span(80+3*round, 82+3*round)...)
					}
					if round == 3 {
						w.pass(20 * time.Second)
						w.stop()
						for i := range w.opts.Backends {
							mute := newMute()
							mute.fail()
							w.opts.Backends[i].Feeds[1].Source = mute
							listing[w.opts.Backends[i].Name] = newSource(span(89, 91)...)
							w.opts.Backends[i].Feeds[0].Source = listing[w.opts.Backends[i].Name]
						}
						w.start()
					}
					w.pass(time.Minute)
				}
				want := append(span(92, 94), first...)
				slices.Sort(want)
				want = slices.Compact(want)
				for _, b := range w.status().Backends {
					var got []int
					for _, s := range a.servers[b.Backend] {
						if s.Class == slots.Ready {
							got = append(got, int(s.Addr.Port()))
						}
					}
					slices.Sort(got)
					if !slices.Equal(got, want) {
						w.t.Errorf("%s: %v are ready, want %v", b.Name, got, want)
					}
					if n := len(first); n > 0 && len(b.Kept) != 1 || n == 0 && len(b.Kept) > 0 {
						w.t.Errorf("%s: kept: %+v", b.Name, b.Kept)
					}
				}
			}, a)
		})
	}
}
