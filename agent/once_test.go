package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestOnceDoesNotWaitForWhatCannotCome(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.start()
		w.stop()
		for name, source := range map[string]*fakeSource{"absent": newSource(80), "never listed": newSource()} {
			a.with(func() {
				a.err = nil
				if name == "absent" {
					a.err = absent()
				}
			})
			w.opts.Backends[0].Feeds[0].Source = source
			agent, err := New(w.opts)
			if err != nil {
				w.t.Fatal(err)
			}
			begun := time.Now()
			agent.Once(w.t.Context())
			if took := time.Since(begun); took > 10*time.Second {
				w.t.Errorf("%s: took %s", name, took)
			}
		}
	}, a)
}

// TestOnceIsNotDoneWithAHalf has a source whose first word may be a part of what there
// is, as a file that was just written: what is known goes in, and nobody may take that
// for all there is.
func TestOnceIsNotDoneWithAHalf(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.start()
		w.stop()
		half := newSource()
		say := func() {
			half.say(discovery.Reading{Parts: []discovery.Part{
				{Name: "one", Endpoints: eps(80)},
				{Name: "two", State: discovery.Unknown, Err: discovery.Errorf(discovery.Protocol, "it may be half written")},
			}}, nil)
		}
		say()
		w.opts.Backends[0].Feeds[0].Source = half
		agent, err := New(w.opts)
		if err != nil {
			w.t.Fatal(err)
		}
		const want = "two: protocol: it may be half written"
		if _, err := agent.Once(w.t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			w.t.Errorf("got %v, want %q", err, want)
		}
		say()
		if agent, err = New(w.opts); err != nil {
			w.t.Fatal(err)
		}
		if plan, err := agent.Plan(w.t.Context()); err != nil || len(plan.Problems) != 1 || !strings.Contains(plan.Problems[0], want) {
			w.t.Errorf("got %q and %v, want %q", plan.Problems, err, want)
		}
	}, a)
}
