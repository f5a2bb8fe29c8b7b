package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func absent() error {
	return &slots.InstanceError{Fault: slots.Absent, Err: errors.New("connection refused")}
}

func TestFollowsTheSourceOnEveryInstance(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		for _, c := range w.conns {
			w.want(c, "web1=:80 web2=:81")
		}
		w.source.list(80, 81, 82)
		w.settle()
		w.source.list(80, 82)
		w.settle()
		for _, c := range w.conns {
			w.want(c, "web1=:80 web3=:82")
			w.wantSync(c.name, true)
		}
	}, a, b)
}

func TestErrorRemovesNothing(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.fail()
		w.pass(2 * time.Hour)
		w.want(a, "web1=:80 web2=:81")
		if s := w.status().Sources[0]; s.State != "failing" || s.LastError == "" {
			w.t.Errorf("source: %+v", s)
		}
		w.source.list(80)
		w.pass(time.Minute)
		w.want(a, "web1=:80")
	}, a)
}

func TestWeakAnswerAddsAndNeverRemoves(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.say(partial(eps(80, 82)...), nil)
		w.pass(time.Hour)
		w.want(a, "web1=:80 web2=:81 web3=:82")
	}, a)
}

func TestDeadInstanceDelaysNobody(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	b.err = absent()
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(DefaultTimeout) // at the start only: who is there?
		w.want(a, "web1=:80")
		w.source.list(80, 81)
		w.settle()
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("b", false)
		b.with(func() { b.err = nil })
		w.pass(320 * time.Millisecond)
		w.want(b, "web1=:80 web2=:81")
		w.wantSync("b", true)
	}, a, b)
}

func TestHungInstanceGetsOneProbeAndIsRightAfterwards(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		b.with(func() { b.hang = make(chan struct{}) })
		w.source.list(80, 81)
		w.settle()
		w.want(a, "web1=:80 web2=:81")
		w.pass(time.Minute)
		b.with(func() {
			if b.hung != 1 {
				w.t.Errorf("%d calls wait for a hung instance, want 1", b.hung)
			}
			if b.met != 2 { // the round that noticed, and the probe
				w.t.Errorf("a hung instance had %d calls, want 2", b.met)
			}
		})
		w.source.list(80, 81, 83)
		w.settle()
		b.wakeUp()
		w.settle()
		w.want(b, a.show())
		w.pass(10 * time.Second)
		w.want(b, a.show())
		w.wantSync("b", true)
	}, a, b)
}

func TestBatchOfUnknownOutcomeThatWinsLateIsPutRight(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.with(func() {
			a.afterIt = &slots.InstanceError{Fault: slots.Hung, Sent: true, Err: errors.New("no answer")}
		})
		w.source.list(80)
		w.settle()
		a.with(func() { a.afterIt = nil })
		w.source.list(80, 81)
		w.pass(600 * time.Millisecond)
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", false)
		// HAProxy executes what was sent long ago.
		a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(6 * time.Second)
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", true)
		if n := w.status().Instances[0].External; n != 0 {
			w.t.Errorf("%d slots are taken for somebody else's doing", n)
		}
	}, a)
}

// TestUnknownOutcomeIsComparedOnTime: a round with another backend at that moment does not stand
// for the comparison.
func TestUnknownOutcomeIsComparedOnTime(t *testing.T) {
	a := newFake("a", "web", 5)
	a.addBackend("api", 5)
	inWorld(t, func(w *world) {
		api := newSource(90)
		w.opts.Backends = append(w.opts.Backends, Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: api, Key: "b"}}})
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.with(func() {
			a.afterIt = &slots.InstanceError{Fault: slots.Hung, Sent: true, Err: errors.New("no answer")}
		})
		w.source.list(80)
		w.settle()
		a.with(func() { a.afterIt = nil })
		w.source.list(80, 81)
		w.pass(2500 * time.Millisecond)
		a.with(func() { a.servers["web"][1].Class = slots.Maint }) // HAProxy executes what was sent long ago
		w.pass(2400 * time.Millisecond)
		a.with(func() { a.delay = 250 * time.Millisecond })
		api.list(90, 91) // the last comparison is due while this round reads
		w.pass(time.Second)
		a.with(func() { a.delay = 0 })
		w.pass(2 * time.Second)
		if got := showServers(a.servers["web"]); got != "web1=:80 web2=:81" {
			w.t.Errorf("web shows %q", got)
		}
		w.wantSync("a", true)
	}, a)
}

func TestRestartedInstanceIsFilledAgain(t *testing.T) {
	for _, fromFile := range []bool{false, true} {
		t.Run(fmt.Sprint("from file ", fromFile), func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				w.pass(5 * time.Second)
				a.takeWrites()
				a.restart(fromFile)
				w.pass(DefaultPoll + 20*time.Millisecond)
				w.want(a, "web1=:80 web2=:81")
				if writes := a.takeWrites(); fromFile && len(writes) > 0 {
					w.t.Errorf("a file that was right was corrected: %v", writes)
				}
				if n := w.status().Instances[0].Restarts; n != 1 {
					w.t.Errorf("%d restarts were seen, want 1", n)
				}
			}, a)
		})
	}
}

func TestStateFileIsCurrentWhileTheInstanceIsAway(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.with(func() { a.err = absent() })
		w.pass(time.Second)
		w.source.list(80)
		w.settle()
		if got := showServers(a.saved["web"]); got != "web1=:80" {
			w.t.Errorf("the state file has %q: a starting HAProxy would use an address that left", got)
		}
	}, a)
}

func TestStateFileHasWhatIsLiveWhileTheSourceIsSilent(t *testing.T) {
	a := newFake("a", "web", 5)
	a.servers["web"][2].Addr, a.servers["web"][2].Class = addr(90), slots.Ready
	inWorld(t, func(w *world) {
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		if got := showServers(a.saved["web"]); got != "web3=:90" {
			w.t.Errorf("the state file has %q", got)
		}
	}, a)
}

func TestReloadInTheMiddleIsDoneAgainOnTheNewProcess(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		// The next change finds another process than the one that was read.
		a.with(func() { a.delay = 5 * time.Millisecond })
		w.source.list(80, 81)
		w.pass(7 * time.Millisecond)
		a.restart(false)
		w.pass(200 * time.Millisecond)
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", true)
	}, a)
}

func TestOverflowIsStableAndReported(t *testing.T) {
	a := newFake("a", "web", 2)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(81, 82)...)
		w.start()
		w.source.list(80, 81, 82, 83)
		w.pass(time.Minute)
		w.want(a, "web1=:81 web2=:82")
		if n := len(w.status().Backends[0].Overflow); n != 2 {
			w.t.Errorf("%d endpoints overflow, want 2", n)
		}
		w.wantSync("a", true)
		w.source.list(80, 82, 83)
		w.pass(2 * time.Second)
		w.want(a, "web1=:80 web2=:82")
	}, a)
}

func TestBusySlotIsNotUsedAgain(t *testing.T) {
	a := newFake("a", "web", 2)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Sessions = 3 })
		w.source.list(81)
		w.settle()
		w.source.list(81, 82)
		w.pass(time.Minute)
		w.want(a, "web2=:81")
		if s := w.status().Instances[0]; s.Waiting != 1 || s.InSync {
			w.t.Errorf("instance: %+v", s)
		}
		a.set("web1", func(s *slots.Server) { s.Sessions = 0 })
		w.pass(1100 * time.Millisecond)
		w.want(a, "web1=:82 web2=:81")
		w.wantSync("a", true)
	}, a)
}

func TestLeaveByDraining(t *testing.T) {
	a := newFake("a", "web", 3)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Leave = slots.Drain
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.list(80)
		w.settle()
		w.want(a, "web1=:80 web2=:81/drain")
		w.pass(2 * time.Second)
		w.stop() // the start of the drain is remembered
		w.source = newSource(80)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.want(a, "web1=:80 web2=:81/drain")
		w.pass(DefaultDrain)
		w.want(a, "web1=:80")
	}, a)
}

func TestStatesOfTheSource(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		set := eps(80, 81, 82)
		set[0].State, set[0].Reason = discovery.Drain, "maintenance"
		set[1].State, set[1].Reason = discovery.Down, "critical"
		w.source.say(discovery.Complete(set...), nil)
		w.settle()
		w.want(a, "web1=:80/drain web3=:82")
		w.source.list(80, 81, 82)
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:82")
	}, a)
}

func TestWeightsThatAreNotTaken(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		set := eps(80, 81)
		set[0].Weight, set[1].Weight = 10, 20
		a.refuse["web1"], a.refuse["web2"] = slots.NoWeights, slots.NoWeights
		w.source.reading = discovery.Complete(set...)
		w.start()
		a.with(func() { clear(a.refuse) })
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
		w.wantSync("a", true)
	}, a)
}

// The endpoint of a slot that takes no address goes to another one, at once and for as
// long as it lives; the slot is shown with what HAProxy said.
func TestRefusingSlotGivesItsEndpointAway(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		a.refuse["web1"], a.refuse["web2"] = slots.OtherCause, slots.NoAddress
		b.set("web3", func(s *slots.Server) { s.Addr = netip.AddrPort{} }) // a unix socket
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		for _, c := range w.conns {
			w.wantReady(c, 2)
			w.wantSync(c.name, true)
		}
		if got := w.status().Backends[0].Slots[0].Instances[0].LastReply; got != "no" {
			w.t.Errorf("last reply: %q", got)
		}
		w.source.list(80, 81, 82)
		w.pass(time.Second)
		for _, c := range w.conns {
			w.wantReady(c, 3)
			w.wantSync(c.name, true)
		}
		a.takeWrites()
		w.pass(time.Minute)
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("a minute later it writes %v", writes)
		}
	}, a, b)
}

func TestSlotThatTookNoAddressIsTriedAgainWhenThatIsDue(t *testing.T) {
	a := newFake("a", "web", 2)
	a.refuse["web1"] = slots.NoAddress
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(3 * time.Second)
		w.want(a, "web2=:81")
		a.with(func() { a.refuse = nil })
		w.pass(barredFor)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

func TestRefusedSlotIsTriedAgainWithPauses(t *testing.T) {
	a := newFake("a", "web", 2)
	inWorld(t, func(w *world) {
		a.refuse["web1"] = slots.OtherCause
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.wantReady(a, 1)
		w.wantSync("a", false)
		if got := w.status().Backends[0].Slots[0].Instances[0].LastReply; got != "no" {
			w.t.Errorf("last reply: %q", got)
		}
		a.with(func() { clear(a.refuse) })
		w.pass(DefaultResync + 4*time.Second)
		w.wantReady(a, 2)
		w.wantSync("a", true)
	}, a)
}

func TestPaceBoundsRounds(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.takeWrites()
		for i := range 2000 { // two seconds of flapping at 1000 a second
			w.source.list(slices.Concat([]int{80}, [][]int{{}, {81}}[i%2])...)
			time.Sleep(time.Millisecond)
		}
		w.source.list(80, 81)
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81")
		if n := len(a.takeWrites()); n > roundBurst+3*roundRate+5 {
			w.t.Errorf("%d writes in three seconds of flapping", n)
		}
	}, a)
}
