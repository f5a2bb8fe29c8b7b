package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// TestStaleSetIsNotFilledFrom: what was stored days ago does not come into service
// again at a HAProxy that lost it, also not for as long as its removal is held.
func TestStaleSetIsNotFilledFrom(t *testing.T) {
	for name, after := range map[string][]int{"others": {90, 91}, "some of them": {80, 90}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 20)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(span(80, 87)...)...)
				w.start()
				w.pass(time.Minute)
				w.stop()
				time.Sleep(72 * time.Hour)
				a.restart(false)
				w.source = newSource(after...)
				w.opts.Backends[0].Feeds[0].Source = w.source
				w.start()
				for range 70 {
					w.pass(5 * time.Second)
					got := map[int]bool{}
					a.with(func() {
						for _, s := range a.servers["web"] {
							if s.Class != 0 && s.Addr != parked {
								got[int(s.Addr.Port())] = true
							}
						}
					})
					if len(got) != len(after) {
						w.t.Fatalf("in service: %v, listed: %v", got, after)
					}
				}
				if h := w.status().Backends[0].Hold; h != nil && h.Kind != api.HoldTakeover {
					w.t.Errorf("held: %+v", h)
				}
			}, a)
		})
	}
}

// TestStaleSetThatServesIsKept: what is in service at a HAProxy that kept it goes by
// the rules of the guard.
func TestStaleSetThatServesIsKept(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(span(80, 87)...)...)
		w.start()
		w.pass(time.Minute)
		w.stop()
		time.Sleep(72 * time.Hour)
		w.source = newSource(80, 90)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(5 * time.Second)
		w.wantReady(a, 9)
		w.pass(time.Minute)
		w.wantReady(a, 2)
	}, a)
}

func TestLeavingIsBoundedWhenRestored(t *testing.T) {
	now := time.Now()
	b := newBackend(Backend{Name: "web", Drain: time.Minute, Feeds: []Feed{{Name: "test", Source: newSource(), Key: "a"}}})
	b.restore(storedBackend{Leaving: []leaving{{discovery.Endpoint{Addr: addr(80)}, now.Add(1000 * time.Hour)}}}, now)
	if until := b.leaving[addr(80)].Until; until.After(now.Add(time.Minute)) {
		t.Errorf("it leaves until %s", until.Sub(now))
	}
}
