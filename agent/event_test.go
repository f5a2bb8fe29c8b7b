package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// happened returns what has happened in w so far, in the order of it: kinds, with
// what they are about.
func (w *world) happened() []string {
	past, r, err := w.agent.Events().Read(1)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Close()
	var out []string
	for _, e := range past[1:] {
		words := []string{e.Kind, e.Instance, e.Backend, e.Slot, strings.Join(e.Slots, ",")}
		out = append(out, strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " "))
	}
	return out
}

func TestWhatHappensIsTold(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		told := 0
		expect := func(what string, want ...string) {
			w.t.Helper()
			all := w.happened()
			if diff := cmp.Diff(want, all[told:]); diff != "" {
				w.t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			told = len(all)
		}
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		expect("start", "instance_up a", "slots_changed a web web1,web2", "instance_in_step a")

		a.set("web1", func(s *slots.Server) { s.Addr = addr(99) })
		w.pass(DefaultResync * 12 / 10)
		expect("drift", "slots_changed a web web1", "drift a web")

		a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(DefaultResync * 12 / 10)
		expect("taken", "external_taken a web web2")

		if _, err := w.agent.SetState(w.t.Context(), "web", "web2", api.StateReady, api.Who{By: "ann"}); err != nil {
			w.t.Error(err)
		}
		w.pass(time.Second)
		if _, err := w.agent.SetState(w.t.Context(), "web", "web1", api.StateDrain, api.Who{By: "ann", For: time.Minute}); err != nil {
			w.t.Error(err)
		}
		w.pass(2 * time.Minute)
		if got := w.happened(); !slices.Contains(got, "override_set web") || !slices.Contains(got, "override_over web") {
			w.t.Errorf("an override: %q", got)
		}
		told = len(w.happened())

		w.source.list(80, 81, 82, 83, 84)
		w.pass(time.Second)
		expect("overflow", "overflow web", "slots_changed a web web3")
		w.source.list(80, 81, 82)
		w.pass(time.Second)
		expect("overflow ends", "overflow_end web")

		if _, err := w.agent.Pause(w.t.Context(), "web", false, api.Who{For: time.Second}); err != nil {
			w.t.Error(err)
		}
		w.pass(3 * time.Second)
		expect("pause", "paused web", "pause_over web")
		if _, err := w.agent.Pause(w.t.Context(), "", true, api.Who{}); err != nil {
			w.t.Error(err)
		}
		if err := w.agent.Resume(w.t.Context(), ""); err != nil {
			w.t.Error(err)
		}
		expect("resume", "paused", "resumed")
	}, a)
}

// TestWhoEndsAnOverrideIsTold: as who began it is.
func TestWhoEndsAnOverrideIsTold(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		_, r, err := w.agent.Events().Read(0)
		if err != nil {
			w.t.Fatal(err)
		}
		defer r.Close()
		by := func(kind string) string {
			for e := range r.C {
				if e.Kind == kind {
					return e.Fields["by"]
				}
			}
			return "nobody: the events have ended"
		}
		w.state("web1", api.StateDrain, api.Who{By: "ann"})
		w.state("web1", api.StateReady, api.Who{By: "bob"})
		if set, ended := by(api.EventOverrideSet), by(api.EventOverrideEnded); set != "ann" || ended != "bob" {
			w.t.Errorf("set by %q, ended by %q", set, ended)
		}
		w.weigh("web1", "20%")
		if _, err := w.agent.SetWeight(w.t.Context(), "web", "web1", "", api.Who{By: "bob\x1b"}); err != nil {
			w.t.Fatal(err)
		}
		if ended := by(api.EventOverrideEnded); ended != "bob." {
			w.t.Errorf("the weight is ended by %q", ended)
		}
	}, a)
}

// TestWhoStaysBehindIsTold: once, and when that is over; a change that is made at once is
// not worth a word.
func TestWhoStaysBehindIsTold(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		steps := func() []string {
			return slices.DeleteFunc(w.happened(), func(e string) bool {
				return e != "instance_behind a" && e != "instance_in_step a"
			})
		}
		w.pass(time.Minute)
		w.source.list(80, 81)
		w.pass(time.Minute)
		want := []string{"instance_in_step a"}
		if diff := cmp.Diff(want, steps()); diff != "" {
			w.t.Errorf("at once (-want +got):\n%s", diff)
		}
		a.with(func() {
			for _, slot := range []string{"web3", "web4", "web5"} {
				a.refuse[slot] = slots.OtherCause
			}
		})
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		want = append(want, "instance_behind a")
		if diff := cmp.Diff(want, steps()); diff != "" {
			w.t.Errorf("refused (-want +got):\n%s", diff)
		}
		a.with(func() { clear(a.refuse) })
		w.pass(time.Minute)
		want = append(want, "instance_in_step a")
		if diff := cmp.Diff(want, steps()); diff != "" {
			w.t.Errorf("taken (-want +got):\n%s", diff)
		}
	}, a)
}

func TestRecordingDelaysNobody(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		_, r, err := w.agent.Events().Read(0)
		if err != nil {
			w.t.Fatal(err)
		}
		defer r.Close()      // it reads nothing
		for i := range 512 { // twice what a reader may leave unread
			w.agent.Events().Add(api.Event{Kind: api.EventNote, Text: fmt.Sprint(i)})
		}
		w.source.list(80, 81)
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestEventsOfAnInstanceThatLacksSlots: it is told once that endpoints get no traffic there,
// and once that they do.
func TestEventsOfAnInstanceThatLacksSlots(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 2)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(time.Minute)
		count := func(what string) (n int) {
			for _, got := range w.happened() {
				if got == what {
					n++
				}
			}
			return n
		}
		if got := w.happened(); count("overflow b web") > 0 || count("overflow_end b web") > 0 {
			t.Errorf("with as many as there are slots: %q", got)
		}
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.source.list(80, 81, 82, 83)
		w.pass(time.Minute)
		if got := w.happened(); count("overflow b web") != 1 || count("overflow a web") > 0 {
			t.Errorf("with more: %q", got)
		}
		w.source.list(80, 81)
		w.pass(time.Minute)
		if got := w.happened(); count("overflow_end b web") != 1 {
			t.Errorf("with fewer again: %q", got)
		}
	}, a, b)
}

// TestEventNamesSlots: each once, and as many as the API says.
func TestEventNamesSlots(t *testing.T) {
	var made []reconciler.Move
	for n := range 100 {
		slot := fmt.Sprint("web", n)
		made = append(made, reconciler.Move{Slot: slot}, reconciler.Move{Slot: slot})
	}
	if got := slotNames(made); len(got) != 50 || got[0] != "web0" || got[49] != "web49" {
		t.Errorf("%d slots: %v", len(got), got)
	}
}
