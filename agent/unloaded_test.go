package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/discovery"
)

const unloadedText = "HAProxy came up without what the state file says: it does not load it"

// A HAProxy that comes up without its state file is noticed at its first restart, until it
// comes up with it.
func TestStateFileThatIsNotLoadedIsNoticed(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Instances[0].StateFile = true
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(time.Minute)
		a.restart(false)
		w.pass(time.Second)
		if got := w.status().Instances[0].Unloaded; w.warned.of(unloadedText) != 1 || !cmp.Equal(got, []string{"web"}) {
			t.Errorf("%d warnings, %q", w.warned.of(unloadedText), got)
		}
		w.wantReady(a, 2)
		w.pass(time.Minute)
		a.restart(true)
		w.pass(time.Second)
		if got := w.status().Instances[0].Unloaded; w.warned.of(unloadedText) != 1 || len(got) > 0 {
			t.Errorf("%d warnings, %q of a process that has loaded it", w.warned.of(unloadedText), got)
		}
	}, a)
}

// Where there is no state file nothing is to be said, nor of what was written only just.
func TestNothingIsSaidOfStateFilesThatSayNothing(t *testing.T) {
	for name, with := range map[string]func(w *world){
		"no file":      func(w *world) { w.start(); w.pass(time.Minute) },
		"written late": func(w *world) { w.opts.Instances[0].StateFile = true; w.start() },
		"nothing ready": func(w *world) {
			w.opts.Instances[0].StateFile = true
			w.source.reading = discovery.Complete()
			w.start()
			w.pass(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				with(w)
				a.restart(false)
				w.pass(time.Second)
				if w.warned.of(unloadedText) > 0 {
					t.Error("it is said")
				}
			}, a)
		})
	}
}
