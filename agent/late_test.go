package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestLateInstanceKeepsUnmanagedUntilAccepted(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	b.servers["web"][0].Addr, b.servers["web"][0].Class = addr(90), slots.Ready
	b.err = absent()
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(2 * DefaultTimeout)
		w.want(a, "web1=:80")
		b.with(func() { b.err = nil })
		w.pass(time.Hour)
		if b.show() != "web1=:90 web2=:80" { // what is left alone keeps nothing else out
			w.t.Errorf("b shows %s", b.show())
		}
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(b, "web1=:80")
		w.wantSync("b", true)
	}, a, b)
}

func TestLateInstanceWithReadySlotsIsNotTouchedForAStoredSet(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(2 * time.Second)
		w.stop()
		a.restart(false)
		b.set("web3", func(s *slots.Server) { s.Addr, s.Class = addr(82), slots.Ready })
		b.takeWrites()
		b.err = absent()
		w.source = newMute()
		w.source.err = discovery.Errorf(discovery.Transport, "refused")
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
		b.with(func() { b.err = nil })
		w.pass(time.Minute)
		if writes := b.takeWrites(); len(writes) > 0 {
			w.t.Errorf("an instance with ready slots was touched: %v", writes)
		}
	}, a, b)
}

func TestInstanceThatLosesItsSlotsIsFilledFromAStoredSet(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(2 * time.Second)
		w.stop()
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		a.restart(false)
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

func TestRestartIsCountedAlsoIfTheRoundFails(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		a.restart(false)
		a.with(func() { a.afterIt = &slots.InstanceError{Fault: slots.Garbled, Err: errors.New("cut")} })
		w.pass(2 * time.Second)
		a.with(func() { a.afterIt = nil })
		w.pass(10 * time.Second)
		w.want(a, "web1=:80")
		if n := w.status().Instances[0].Restarts; n != 1 {
			w.t.Errorf("%d restarts, want 1", n)
		}
	}, a)
}

// TestDeadInstanceDoesNotHoldUpTheStart: the others are brought up to date a moment later,
// and until then nothing is called in sync.
func TestDeadInstanceDoesNotHoldUpTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		hang bool
		at   time.Duration
	}{
		"nobody listens":  {err: absent(), at: startGrace},
		"may not be used": {err: &slots.InstanceError{Fault: slots.Denied, Err: errors.New("level user")}, at: startGrace},
		"hangs":           {hang: true, at: DefaultTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFake("a", "web", 5), newFake("b", "web", 5)
			inWorld(t, func(w *world) {
				if b.err = c.err; c.hang {
					b.hang = make(chan struct{})
				}
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				w.pass(c.at / 2)
				w.want(a, "")
				if w.status().Instances[0].InSync {
					w.t.Error("in sync before anything is wanted")
				}
				w.pass(c.at)
				w.want(a, "web1=:80")
				w.wantSync("a", true)
				if c.hang {
					b.wakeUp()
				}
			}, a, b)
		})
	}
}
