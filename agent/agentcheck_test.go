package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// withAgents gives all slots of a fake an agent-check.
func (f *fakeConn) withAgents() {
	f.with(func() {
		for i := range f.servers["web"] {
			f.servers["web"][i].Agent, f.servers["web"][i].AgentOn = true, true
		}
	})
}

// Where an agent-check runs the weight is the agent's: nothing is corrected, and new
// endpoints go in at once.
func TestWeightsOfAnAgentCheck(t *testing.T) {
	a := newFake("a", "web", 5)
	a.withAgents()
	inWorld(t, func(w *world) {
		set := eps(80, 81)
		set[0].Weight, set[1].Weight = 10, 20
		w.source.reading = discovery.Complete(set...)
		w.start()
		if got := a.servers["web"][1].Weight; got != 20 {
			t.Errorf("filled with weight %d", got)
		}
		a.takeWrites()
		for i := range 60 { // up 30%, up 31% …
			a.set("web1", func(s *slots.Server) { s.Weight = 30 + i })
			if _, err := w.agent.Sync(w.t.Context()); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Second)
		}
		if writes := a.takeWrites(); len(writes) > 0 {
			t.Errorf("written: %v", writes)
		}
		w.wantSync("a", true)
		w.source.list(80, 81, 82)
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:82")
		if s := w.status().Backends[0].Slots[0].Instances[0]; !s.AgentCheck {
			t.Errorf("shown as %+v", s)
		}
	}, a)
}

// An agent that says ready brings nobody back who left, nor slots that were never used:
// it is disabled there. It is enabled with the next fill.
func TestAgentCheckBringsNobodyBack(t *testing.T) {
	a := newFake("a", "web", 3)
	a.withAgents()
	agentSays := func() { // ready
		for i := range a.servers["web"] {
			if s := &a.servers["web"][i]; s.AgentOn {
				s.Class = slots.Ready
			}
		}
	}
	inWorld(t, func(w *world) {
		a.with(agentSays)
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(time.Second)
		a.with(agentSays)
		w.want(a, "web1=:80 web2=:81")
		w.source.list(80)
		w.settle()
		a.with(agentSays)
		w.pass(time.Minute)
		a.with(agentSays)
		w.want(a, "web1=:80")
		w.wantSync("a", true)
		a.set("web2", func(s *slots.Server) { s.AgentOn, s.Class = true, slots.Ready }) // somebody enabled it
		if _, err := w.agent.Sync(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		a.with(agentSays)
		w.want(a, "web1=:80")
		w.source.list(80, 82)
		w.pass(time.Second)
		w.want(a, "web1=:80 web3=:82")
		if !a.servers["web"][2].AgentOn {
			t.Error("the agent of the new endpoint is disabled")
		}
	}, a)
}

// What an agent takes out of service is left so, as what anybody does.
func TestAgentCheckTakesOut(t *testing.T) {
	a := newFake("a", "web", 3)
	a.withAgents()
	inWorld(t, func(w *world) {
		a.with(func() { a.sick = addr(80) })
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(time.Minute)
		w.want(a, "web2=:81")
		w.wantSync("a", true)
		if s := w.status().Backends[0].Slots[0].Instances[0]; s.HeldBy != "external" {
			t.Errorf("shown as %+v", s)
		}
		if n := len(a.takeWrites()); n > 10 {
			t.Errorf("%d writes", n)
		}
		if !a.servers["web"][0].AgentOn {
			t.Error("the agent cannot bring it back")
		}
		a.set("web1", func(s *slots.Server) { s.Class = slots.Ready })
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// What is in traffic and should not be is not in sync, while a fight keeps the agent from
// it as well.
func TestFightOverOneThatLeft(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		for range 4 {
			a.set("web2", func(s *slots.Server) { s.Addr, s.Class = addr(81), slots.Ready })
			if _, err := w.agent.Sync(w.t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", false)
		if p := w.status().Backends[0].Problem; !strings.Contains(p, "web2") {
			t.Errorf("problem: %q", p)
		}
		if err := w.agent.Resume(w.t.Context(), "web"); err != nil {
			t.Error(err)
		}
		w.pass(time.Second)
		w.want(a, "web1=:80")
		w.wantSync("a", true)
	}, a)
}

// A restart of the agent during a fight takes the foreign address for what it is, and no
// endpoint moves.
func TestFightOutlivesARestart(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(2 * time.Second)
		w.stop()
		a.set("web1", func(s *slots.Server) { s.Addr = addr(99) })
		w.source.asked = false
		w.start()
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81")
		if h := w.status().Backends[0].Takeover; h != nil {
			t.Errorf("a takeover: %+v", h)
		}
	}, a)
}

// A pause has a state of its own; the lag of an endpoint that is missing meanwhile grows.
func TestPauseHidesNothing(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		if _, err := w.agent.Pause(w.t.Context(), "web", false, api.Who{}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantSync("a", true)
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.wantSync("a", true) // the pause has a state of its own
		s := w.status()
		if lag := s.Instances[0].LagSeconds; lag < 59 || s.Backends[0].Serving != 1 {
			t.Errorf("lag %v, serving %d", lag, s.Backends[0].Serving)
		}
		if err := s.Undone(); err == nil || !strings.Contains(err.Error(), "nothing is written until") {
			t.Errorf("left undone: %v", err)
		}
		if err := w.agent.Resume(w.t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", true)
	}, a)
}

// READY counts what takes traffic, and an instance whose socket has too low a level
// answers.
func TestServingCountsTraffic(t *testing.T) {
	a, b := newFake("a", "web", 4), newFake("b", "web", 4)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		if n := w.status().Backends[0].Serving; n != 3 {
			t.Errorf("serving %d", n)
		}
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		a.set("web2", func(s *slots.Server) { s.Checked = true }) // and down
		w.pass(time.Minute)
		if n := w.status().Backends[0].Serving; n != 1 {
			t.Errorf("serving %d", n)
		}
		b.with(func() {
			b.refuse["web4"] = slots.Level
			b.afterIt = &slots.InstanceError{Fault: slots.Denied, Err: api.ErrStopped}
		})
		w.source.list(80, 81, 82, 83)
		w.pass(time.Second)
		if s := w.status(); s.Instances[1].Up || s.Instances[1].Fault != "denied" || len(api.Silent(s.Instances)) > 0 {
			t.Errorf("shown as %+v, silent %v", s.Instances[1], api.Silent(s.Instances))
		}
	}, a, b)
}

// TestRefusedFillIsNobodysDoing: a slot with an agent-check that could not be made ready is
// not out of service by its agent's word: it is tried again.
func TestRefusedFillIsNobodysDoing(t *testing.T) {
	for name, fail := range map[string]func(*fakeConn){
		"refused": func(a *fakeConn) { a.refuse["web1"] = slots.OtherCause },
		"denied":  func(a *fakeConn) { a.err = &slots.InstanceError{Fault: slots.Denied, Err: errors.New("may not")} },
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			a.withAgents()
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				w.state("web1", api.StateMaint, api.Who{})
				w.want(a, "web2=:81")
				a.with(func() { fail(a) })
				w.state("web1", api.StateReady, api.Who{})
				w.want(a, "web2=:81")
				a.with(func() { delete(a.refuse, "web1"); a.err = nil })
				w.pass(2 * DefaultResync)
				w.want(a, "web1=:80 web2=:81")
			}, a)
		})
	}
}
