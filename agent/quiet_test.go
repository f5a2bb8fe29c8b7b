package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// TestQuietDay: the age of what is known counts from the last answer, also where no answer
// has changed anything for longer than a stored set is good for.
func TestQuietDay(t *testing.T) {
	t.Parallel()
	for _, answers := range []bool{true, false} {
		a := newFake("a", "web", 10)
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(80, 81)...)
			w.opts.Poll, w.opts.Resync = time.Minute, time.Hour // a day is long
			w.start()
			for range 25 * 12 {
				if answers {
					w.source.list(80, 81)
				}
				w.pass(5 * time.Minute)
			}
			w.crash()
			a.restart(false)
			w.source = newMute()
			w.opts.Backends[0].Feeds[0].Source = w.source
			w.start()
			w.pass(5 * time.Second)
			if !answers { // they may be somebody else's by now
				w.wantPorts(a)
				return
			}
			w.wantPorts(a, 80, 81)
			if phase := w.status().Backends[0].Phase; phase != phaseRestored {
				w.t.Errorf("it is %s", phase)
			}
		}, a)
	}
}

// TestQuietStateIsRarelyWritten: that sources answer is no reason to write all the time.
func TestQuietStateIsRarelyWritten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(time.Minute)
		file, last, writes := filepath.Join(w.opts.StateDir, stateFile), "", 0
		for range 60 * 6 {
			w.source.list(80, 81)
			w.pass(10 * time.Second)
			text, err := os.ReadFile(file)
			if err != nil {
				w.t.Fatal(err)
			}
			if string(text) != last {
				writes++
				last = string(text)
			}
		}
		if writes < 6 || writes > 8 {
			w.t.Errorf("written %d times in an hour", writes)
		}
	}, newFake("a", "web", 10))
}
