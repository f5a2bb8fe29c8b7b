package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestExternalIsKeptWhileTheInstanceIsAway(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		a.err = absent()
		w.start()
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.stop()
		a.err = nil
		w.start()
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.want(a, "web2=:81 web3=:82")
	}, a)
}

func TestExternalEndsThatWasGivenBackWhileTheAgentWasAway(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.stop()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Ready })
		w.start()
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}
