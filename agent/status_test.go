package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

func (w *world) from() map[string][]string {
	out := map[string][]string{}
	for _, s := range w.status().Backends[0].Slots {
		if s.Endpoint != "" {
			out[s.Endpoint] = s.From
		}
	}
	return out
}

func TestWhoListsAnEndpointIsShown(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83, 84, 85)...)
		other := w.second(newSource(83, 90))
		w.start()
		if _, err := w.agent.AddServer(w.t.Context(), "web", addr(99), "spare", "", api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		first := w.opts.Backends[0].Feeds[0].Name
		want := map[string][]string{addr(80).String(): {first}, addr(81).String(): {first}, addr(82).String(): {first}, addr(84).String(): {first}, addr(85).String(): {first},
			addr(83).String(): {first, "other"}, addr(90).String(): {"other"}, addr(99).String(): nil}
		if diff := cmp.Diff(want, w.from()); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		other.fail()
		w.source.list(80)
		w.pass(time.Second) // the guard holds what is missing
		want[addr(83).String()] = []string{"other"}
		for _, lost := range []int{81, 82, 84, 85} {
			want[addr(lost).String()] = nil
		}
		if diff := cmp.Diff(want, w.from()); diff != "" {
			w.t.Errorf("held (-want +got):\n%s", diff)
		}
	}, a)
}

// TestPropagationIsTold: from the news to what was read back, and not for what is no news.
func TestPropagationIsTold(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.settle()
		last := func() api.Event {
			past, r, err := w.agent.Events().Read(1)
			if err != nil {
				w.t.Fatal(err)
			}
			r.Close()
			for i := len(past) - 1; i >= 0; i-- {
				if past[i].Kind == api.EventSlotsChanged {
					return past[i]
				}
			}
			return api.Event{}
		}
		a.with(func() { a.delay = 100 * time.Millisecond })
		w.source.list(80, 81, 82)
		w.pass(5 * time.Second)
		told := last().Fields
		took, err := time.ParseDuration(told["took"])
		whole, wrong := time.ParseDuration(told["propagation"])
		if err != nil || wrong != nil || took < 100*time.Millisecond || whole < took {
			w.t.Errorf("told is %v", told)
		}
		w.state("web1", api.StateDrain, api.Who{})
		w.pass(5 * time.Second)
		if e := last(); e.Fields["propagation"] != "" || e.Changes["drain"] != 1 {
			w.t.Errorf("of an operator's wish, told is %+v", e)
		}
	}, a)
}
