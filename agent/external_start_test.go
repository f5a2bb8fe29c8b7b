package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// An operator's start reaches an instance that is away: what was taken out there before it is
// back serves again.
func TestStartWhileTheInstanceIsAway(t *testing.T) {
	goesOn := func(*world) {}
	restarts := func(w *world) { w.stop(); w.start(); w.source.list(80, 81, 82) }
	isKilled := func(w *world) { w.crash(); w.start(); w.source.list(80, 81, 82) }
	for name, agent := range map[string]struct{ before, after func(*world) }{
		"the agent runs":                {goesOn, goesOn},
		"the agent is restarted before": {restarts, goesOn},
		"the agent is killed before":    {isKilled, goesOn},
		"the agent is restarted after":  {goesOn, restarts},
		"the agent is killed after":     {goesOn, isKilled},
		"the agent is killed twice":     {isKilled, isKilled},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81, 82)...)
				w.start()
				w.pass(10 * time.Second)
				a.with(func() { a.err = absent() })
				a.set("web3", func(s *slots.Server) { s.Class, s.Served = slots.Maint, true })
				agent.before(w)
				w.pass(10 * time.Second)
				w.state("127.0.0.9:82", api.StateReady, api.Who{})
				agent.after(w)
				w.pass(10 * time.Second)
				a.with(func() { a.err = nil })
				w.pass(time.Minute)
				w.want(a, "web1=:80 web2=:81 web3=:82")
				a.set("web3", func(s *slots.Server) { s.Class, s.Served = slots.Maint, true })
				w.pass(time.Minute)
				w.want(a, "web1=:80 web2=:81")
			}, a)
		})
	}
}

// An old start gives nothing back that somebody takes out after it, whoever goes on with the
// instance.
func TestOldStartGivesNothingBack(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(10 * time.Second)
		a.set("web3", func(s *slots.Server) { s.Served = true })
		w.state("127.0.0.9:82", api.StateReady, api.Who{})
		w.pass(3 * time.Hour)
		a.with(func() { a.err = absent() })
		w.pass(10 * time.Second)
		next := w.opts
		next.Instances = []Instance{{Name: "a", Conn: a, Key: "another timeout"}}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		a.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(10 * time.Second)
		a.with(func() { a.err = nil })
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}
