package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
)

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
