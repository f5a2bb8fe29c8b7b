package agent

import (
	"testing"
	"time"
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
