package agent

import (
	"os"
	"path/filepath"
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

// TestNoRoundWithoutTheState: where what operators asked for may be in a state that cannot be read,
// a round that is asked for writes nothing, a plan says so, and both leave everything as it is.
func TestNoRoundWithoutTheState(t *testing.T) {
	for name, text := range map[string]string{"newer": `{"version":2}`, "cut": `{"version":1,`} {
		for _, file := range []string{stateFile, operatorsFile} {
			t.Run(name+" "+file, func(t *testing.T) {
				a := newFake("a", "web", 5)
				inWorld(t, func(w *world) {
					w.start()
					w.stop()
					w.source.list(80)
					before := filepath.Join(w.opts.StateDir, file)
					if err := os.WriteFile(before, []byte(text), 0o600); err != nil {
						w.t.Fatal(err)
					}
					kept := filesIn(t, w.opts.StateDir)
					a.takeWrites()
					agent, err := New(w.opts)
					if err != nil {
						w.t.Fatal(err)
					}
					if _, err := agent.Once(w.t.Context()); err == nil || !strings.Contains(err.Error(), before) {
						w.t.Errorf("a round: %v", err)
					}
					plan, err := agent.Plan(w.t.Context())
					if err != nil || len(plan.Problems) != 1 || !strings.Contains(plan.Problems[0], before) {
						w.t.Errorf("a plan: %q, %v", plan.Problems, err)
					}
					if wrote := a.takeWrites(); len(wrote) > 0 {
						w.t.Errorf("wrote %q", wrote)
					}
					if now := filesIn(t, w.opts.StateDir); now != kept {
						w.t.Errorf("the folder has %s, want %s", now, kept)
					}
				}, a)
			})
		}
	}
}

// filesIn has the names and texts of all files of a folder.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range list {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(f.Name() + ": " + string(text) + "\n")
	}
	return all.String()
}
