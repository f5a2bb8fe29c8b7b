package agent

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A backend that nothing serves any more is warned of, once, however it came to that and
// whatever operators asked for that serves nothing; and each line names who went, and why.
func TestEmptiedIsTold(t *testing.T) {
	listsNone := func(w *world) error { w.source.list(); return nil }
	gone := "web is empty: the source has listed nothing for 5m, 2 servers taken out: "
	for name, c := range map[string]struct {
		empty func(*world) error
		says  string // "" for nothing
	}{
		"listed no more": {listsNone, gone},
		"all in maintenance": {func(w *world) error {
			w.source.say(discovery.Complete(states(eps(80, 81), discovery.Drain, "maintenance")...), nil)
			return nil
		}, "web is empty: the source has listed none that may serve, 2 servers taken out: "},
		"another weight of one": {func(w *world) error {
			_, err := w.agent.SetWeight(w.t.Context(), "web", "web1", "50%", api.Who{})
			return errors.Join(err, listsNone(w))
		}, gone},
		"another address drained": {func(w *world) error {
			_, err := w.agent.SetAddressState(w.t.Context(), netip.MustParseAddr("127.0.0.99"), api.StateDrain, api.Who{})
			return errors.Join(err, listsNone(w))
		}, gone},
		"a server added": {func(w *world) error {
			_, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{})
			return errors.Join(err, listsNone(w))
		}, ""},
		"a server added and drained": {func(w *world) error {
			_, added := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{})
			_, drained := w.agent.SetState(w.t.Context(), "web", addr(90).String(), api.StateDrain, api.Who{})
			return errors.Join(added, drained, listsNone(w))
		}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				if err := c.empty(w); err != nil {
					w.t.Fatal(err)
				}
				w.pass(guard.DefaultEmptyHold + time.Minute)
				want := 0
				if c.says != "" {
					want = 1
				}
				if n := w.warned.of("backend is empty"); n != want {
					w.t.Errorf("warned of %d times", n)
				}
				past, r, err := w.agent.Events().Read(1)
				if err != nil {
					w.t.Fatal(err)
				}
				r.Close()
				var said []string
				for _, e := range past {
					if e.Kind == api.EventEmptied {
						said = append(said, e.Text)
					}
				}
				if len(said) != want || want == 1 && !strings.HasPrefix(said[0], c.says) {
					w.t.Errorf("said %q, want %q", said, c.says)
				}
			}, a)
		})
	}
}

func TestCalled(t *testing.T) {
	e := discovery.Endpoint{Addr: addr(80), Name: "web-1"}
	if got := called(e, "critical"); got != "web-1 127.0.0.9:80: critical" {
		t.Error(got)
	}
}

func TestEnumerate(t *testing.T) {
	many := strings.Split("1 2 3 4 5 6 7 8 9 10 11 12", " ")
	for _, tt := range []struct {
		words []string
		all   int
		want  string
	}{{nil, 0, ""}, {nil, 3, "3"}, {many[:1], 1, "1"}, {many[:2], 5, "1, 2 and 3 more"}, {many, 12, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"}} {
		if got := enumerate(tt.words, tt.all); got != tt.want {
			t.Errorf("%d of %d: %q, want %q", len(tt.words), tt.all, got, tt.want)
		}
	}
}

// What became of each slot is said by slot, address and reason, whether the source, an
// operator or nobody asked for it.
func TestChangesOfSlotsAreSaidInWords(t *testing.T) {
	a := newFake("a", "web", 30)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		w.start()
		w.pass(time.Second)
		critical := slices.Concat(states(eps(80), discovery.Down, "critical"), eps(81, 82, 84))
		w.source.say(discovery.Complete(critical...), nil)
		w.pass(guard.DefaultEmptyHold)
		if _, err := w.agent.SetState(w.t.Context(), "web", "127.0.0.9:81", api.StateDrain, api.Who{By: "ann", Reason: "disk"}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		a.takeWrites()
		a.set("web3", func(s *slots.Server) { s.Addr = addr(99) })
		w.pass(time.Minute)
		w.source.say(discovery.Complete(append(critical, eps(span(100, 119)...)...)...), nil)
		w.pass(time.Second)
		past, r, err := w.agent.Events().Read(1)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Close()
		var said []string
		for _, e := range past {
			if e.Kind == api.EventSlotsChanged || e.Kind == api.EventDrift {
				said = append(said, e.Text)
			}
		}
		for _, want := range []string{
			"web1 127.0.0.9:80 in, web2 127.0.0.9:81 in",
			"web1 127.0.0.9:80 out: critical",
			"web4 127.0.0.9:83 out: not listed any more",
			"web5 127.0.0.9:84 in",
			"web2 127.0.0.9:81 drains: an operator asked for drain by ann: disk",
			"put right what somebody or something had changed: web3 127.0.0.9:99 out: not listed any more",
			"web3 127.0.0.9:82 in",
			" and 10 more",
		} {
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
				w.t.Errorf("nobody said %q, but %q", want, said)
			}
		}
	}, a)
}

// TestEndOfAHoldSaysWhatBecameOfIt: back again, or taken out.
func TestEndOfAHoldSaysWhatBecameOfIt(t *testing.T) {
	const back, gone = "nothing is held any more: what was missing is back", "nothing is held any more: what was missing is taken out"
	for _, comes := range []bool{true, false} {
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(span(80, 89)...)...)
			got := w.logs(func() {
				w.source.list(80)
				w.pass(time.Second)
				if comes {
					w.source.list(span(80, 89)...)
				}
				w.pass(10 * time.Minute)
			})
			want := gone
			if comes {
				want = back
			}
			if slices.Contains(got, back) == slices.Contains(got, gone) || comes != slices.Contains(got, back) {
				w.t.Errorf("logged %q, want %q", got, want)
			}
		}, newFake("a", "web", 20))
	}
}

// TestHoldOfOneIsTold: what is held is counted as people count.
func TestHoldOfOneIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.source.list()
		w.settle()
		past, r, err := w.agent.Events().Read(1)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Close()
		held := slices.IndexFunc(past, func(e api.Event) bool { return e.Kind == api.EventHoldBegun })
		if held < 0 || !strings.HasPrefix(past[held].Text, "held (empty): 1 endpoint would be removed; ") {
			w.t.Errorf("%+v", past)
		}
	}, newFake("a", "web", 5))
}
