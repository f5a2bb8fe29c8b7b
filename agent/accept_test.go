package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

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

		if _, err := w.agent.Accept(w.t.Context(), "web", "k000000", "ann"); !errors.Is(err, api.ErrNoSuchID) || !strings.Contains(err.Error(), k.ID) {
			w.t.Errorf("an unknown id: %v", err)
		}
		if _, err := w.agent.Accept(w.t.Context(), "web", "", "ann"); !errors.Is(err, api.ErrNoSuchID) || !strings.Contains(err.Error(), k.ID) {
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
		if got := w.events(api.EventAccepted, api.EventHoldBegun, api.EventKeptBegun, api.EventKeptEnded); got[len(got)-2] != api.EventAccepted || slices.Contains(got, api.EventHoldBegun) {
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
