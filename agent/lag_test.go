package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestLagCountsFromTheOldestNewsThatIsNotThere(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.with(func() { a.refuse["web2"] = slots.NoServer })
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.source.list(80, 81, 82)
		w.pass(10 * time.Second)
		if lag := w.status().Instances[0].LagSeconds; lag < 60 {
			w.t.Errorf("lag is %v, though 81 has been waiting for 70 s", lag)
		}
	}, a)
}

// The last report of an instance may be of the generation before: that it was in sync says nothing of the newest.
func TestNotInSyncBeforeTheNewestIsThere(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.wantSync("a", true)
		a.with(func() { a.delay = 500 * time.Millisecond })
		w.source.list(80, 81)
		w.settle()
		w.wantSync("a", false)
		a.with(func() { a.delay = 0 })
		w.pass(5 * time.Second)
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", true)
	}, a)
}
