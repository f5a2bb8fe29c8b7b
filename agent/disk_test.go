package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// No change waits for the disk that state files are brought to.
func TestSlowDiskDelaysNoChange(t *testing.T) {
	a := newFake("a", "web", 8)
	a.disk = time.Minute
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(2 * syncAfter) // the disk is at work
		for port := 81; port <= 85; port++ {
			w.source.list(span(80, port)...)
			w.pass(time.Second)
			w.wantPorts(a, span(80, port)...)
		}
	}, a)
}
