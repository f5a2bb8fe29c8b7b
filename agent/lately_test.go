package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// While things move, a slot is filled without another look; after that it is
// looked at before it is.
func TestFillsWhatItSawLately(t *testing.T) {
	c := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(500 * time.Millisecond)
		views := c.viewed()
		w.source.list(80, 81)
		w.settle()
		w.want(c, "web1=:80 web2=:81")
		if n := c.viewed() - views; n > 1 { // that of every 40 ms
			t.Errorf("%d looks before a slot was filled that was seen just now", n)
		}
		w.pass(5 * time.Second)
		views = c.viewed()
		w.source.list(80, 81, 82)
		w.settle()
		if n := c.viewed() - views; n == 0 {
			t.Error("a slot that was not seen for seconds was filled without a look")
		}
	}, c)
}

// What somebody does to a slot right after it was written is seen at once.
func TestSeesAtOnceWhatMoves(t *testing.T) {
	c := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].RepairExternal = true
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		c.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(2 * alertEvery)
		w.want(c, "web1=:80")
	}, c)
}
