package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// This file changes what instances are called and where they are reached: what is known of one
// goes with it, and with nothing else.

// instanceAt is an instance at c, by that name.
func instanceAt(name string, c *fakeConn) Instance {
	return Instance{Name: name, Conn: c, Key: name + c.String()}
}

// goOnWith configures these instances.
func (w *world) goOnWith(instances ...Instance) {
	w.t.Helper()
	next := w.opts
	next.Instances = instances
	if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
		w.t.Fatal(err)
	}
	w.pass(time.Minute)
}

// goOnUnwritten is goOnWith where nothing is to be written to any HAProxy.
func (w *world) goOnUnwritten(instances ...Instance) {
	w.t.Helper()
	for _, c := range w.conns {
		c.takeWrites()
	}
	w.goOnWith(instances...)
	for _, c := range w.conns {
		if writes := c.takeWrites(); len(writes) > 0 {
			w.t.Errorf("written to %s: %v", c.name, writes)
		}
	}
}

// inTakenOut begins with three endpoints, the third of which somebody takes out at a.
func inTakenOut(t *testing.T, test func(w *world, a, b *fakeConn)) {
	t.Helper()
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	b.process.Pid += 1000
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(10 * time.Second)
		a.set("web3", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		test(w, a, b)
	}, a, b)
}

// TestInstancesSwapNames: who took what out at one is not asked at the other.
func TestInstancesSwapNames(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		for range 2 {
			w.goOnWith(instanceAt("b", a), instanceAt("a", b))
			w.want(a, "web1=:80 web2=:81")
			w.want(b, "web1=:80 web2=:81 web3=:82")
			w.goOnWith(instanceAt("a", a), instanceAt("b", b))
		}
	})
}

// TestRenamedWhileAway: an instance that comes back under another name is the same.
func TestRenamedWhileAway(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		w.goOnWith(instanceAt("b", b))
		w.goOnWith(instanceAt("c", a), instanceAt("b", b))
		w.want(a, "web1=:80 web2=:81")
	})
}

// TestOldNameIsForgotten: what was known under a name that the instance had once is not what is
// known of it.
func TestOldNameIsForgotten(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		w.goOnWith(instanceAt("c", a), instanceAt("b", b))
		w.source.list(80, 82)
		w.pass(time.Minute)
		w.want(a, "web1=:80")
		w.goOnWith(instanceAt("b", b))
		w.source.list(80, 81, 82)
		w.pass(time.Minute)
		w.goOnWith(instanceAt("a", a), instanceAt("b", b))
		w.want(a, "web1=:80 web2=:81")
	})
}

// TestRenamedOverARestart: it is the same although slotsync was restarted for it; so is one that is
// reached at another socket then.
func TestRenamedOverARestart(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		moved := Instance{Name: "a", Conn: movedConn{a}}
		for _, now := range [][]Instance{{instanceAt("c", a), instanceAt("a", b)}, {instanceAt("b", a), instanceAt("c", b)}, {instanceAt("a", a)}, {moved}, {{Name: "b", Conn: movedConn{a}}}} {
			w.stop()
			w.opts.Instances = now
			w.start()
			w.pass(time.Minute)
			w.want(a, "web1=:80 web2=:81")
			w.want(b, "web1=:80 web2=:81 web3=:82")
		}
	})
}

// TestNewHAProxyUnderANameThatIsFree: an instance gets another name, and another one the name that
// it had, at once.
func TestNewHAProxyUnderANameThatIsFree(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	b.process.Pid += 1000
	inWorld(t, func(w *world) {
		w.opts.Instances = w.opts.Instances[:1]
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(10 * time.Second)
		a.set("web3", func(s *slots.Server) { s.Class, s.Served = slots.Maint, true })
		w.pass(time.Minute)
		b.set("web3", func(s *slots.Server) { s.Addr, s.Served = addr(82), true })
		w.goOnWith(instanceAt("c", a), instanceAt("a", b))
		w.want(a, "web1=:80 web2=:81")
		w.want(b, "web1=:80 web2=:81 web3=:82")
	}, a, b)
}

// TestRenamedInstanceIsNotDrained: with DrainRemoved, what is removed is taken out of service, and
// an instance that is called otherwise, or reached at another socket, is not.
func TestRenamedInstanceIsNotDrained(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		w.opts.DrainRemoved = true
		for _, next := range [][]Instance{
			{instanceAt("c", a), instanceAt("b", b)}, {instanceAt("b", a), instanceAt("c", b)}, {{Name: "b", Conn: movedConn{a}, Key: "moved"}, instanceAt("c", b)},
		} {
			w.goOnUnwritten(next...)
			w.want(a, "web1=:80 web2=:81")
		}
		w.goOnWith(instanceAt("b", b)) // which was the name of the one that goes
		w.want(a, "")
		w.want(b, "web1=:80 web2=:81 web3=:82")
	})
}

// TestMovedAndRenamedAtOnce: what is known of who goes on is its own, and not what was known at the
// socket once.
func TestMovedAndRenamedAtOnce(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.pass(10 * time.Second)
		w.goOnWith(Instance{Name: "b", Conn: movedConn{a}, Key: "b"})
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
		if _, err := w.agent.Pause(w.t.Context(), "web", true, api.Who{}); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(80, 81, 82)
		w.pass(time.Second)
		w.goOnWith(instanceAt("b", a))
		if err := w.agent.Resume(w.t.Context(), "web"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81 web3=:82")
	}, a)
}

// TestNameThatIsTaken: who went by a name that another one has by now is known by its socket.
func TestNameThatIsTaken(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		c := newFake("c", "web", 5)
		c.process.Pid += 2000
		w.goOnWith(instanceAt("b", b))
		w.goOnWith(instanceAt("a", c), instanceAt("b", b))
		w.goOnWith(instanceAt("a", c), instanceAt("b", b), instanceAt("d", a))
		w.want(a, "web1=:80 web2=:81")
		w.want(c, "web1=:80 web2=:81 web3=:82")
	})
}

// TestBackendNamesTheNewNames: instances: of a backend goes with the names.
func TestBackendNamesTheNewNames(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		w.opts.DrainRemoved = true
		names := func(names ...string) {
			w.opts.Backends = slices.Clone(w.opts.Backends)
			w.opts.Backends[0].Instances = names
		}
		for _, x := range [][]string{{"c", "b"}, {"b", "c"}, {"a", "b"}} {
			names(x...)
			w.goOnUnwritten(instanceAt(x[0], a), instanceAt(x[1], b))
			w.want(a, "web1=:80 web2=:81")
			w.want(b, "web1=:80 web2=:81 web3=:82")
		}
		names("a")
		w.goOnWith(instanceAt("c", a), instanceAt("a", b))
		w.want(a, "")
		w.want(b, "web1=:80 web2=:81 web3=:82")
	})
}

// TestBackendRemovedAsAnInstanceIsRenamed: what is still in service there is said, also where the
// instance is begun anew at the same time.
func TestBackendRemovedAsAnInstanceIsRenamed(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	b.process.Pid += 1000
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		twoBackends(w, a, b)
		w.start()
		w.pass(10 * time.Second)
		b.with(func() { b.hang = make(chan struct{}) })
		w.pass(time.Second)
		next := w.opts
		next.Backends, next.DrainRemoved = slices.Clone(next.Backends[:1]), true
		next.Instances = []Instance{instanceAt("a", a), instanceAt("c", b)}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		if w.warned.of("backend is no longer configured; not all of its slots could be taken out of service first") != 1 {
			w.t.Errorf("warned %v", w.warned.counts)
		}
		wantReady(w.t, b, "api", 2)
	}, a, b)
}

// TestPrefixLeftOutAsAnInstanceIsRenamed: the backend goes on with the slots that it has.
func TestPrefixLeftOutAsAnInstanceIsRenamed(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		w.opts.Backends = slices.Clone(w.opts.Backends)
		w.opts.Backends[0].Prefix = ""
		w.goOnWith(instanceAt("c", a), Instance{Name: "b", Conn: b, Key: "other"})
		w.want(a, "web1=:80 web2=:81")
		if n := w.warned.of("backend has other slots now; those from before stay as they are"); n > 0 {
			w.t.Error("the slots are others")
		}
	})
}

// TestSocketWrittenOtherwise: it is the same HAProxy where its socket is written in another way.
func TestSocketWrittenOtherwise(t *testing.T) {
	inTakenOut(t, func(w *world, a, b *fakeConn) {
		w.opts.DrainRemoved = true
		one := Instance{Name: "a", Conn: a, Key: "one", Socket: "/run/a"}
		w.goOnUnwritten(one, instanceAt("b", b))
		w.goOnUnwritten(Instance{Name: "c", Conn: movedConn{a}, Key: "two", Socket: "/run/a"}, instanceAt("b", b))
		w.want(a, "web1=:80 web2=:81")
	})
}
