package agent

import (
	"strings"
	"testing"
	"time"

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
