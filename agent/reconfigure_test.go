package agent

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestLateWordOfAnOldSourceIsNotTheNewOnes(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		next := w.opts
		next.Backends = []Backend{next.Backends[0]}
		other := newMute()
		next.Backends[0].Feeds = []Feed{{Name: "test", Source: other, Key: "other"}}
		held := make(chan struct{})
		w.agent.do <- task{do: func(context.Context) { <-held }}
		done := make(chan error)
		go func() {
			done <- w.agent.ask(context.Background(), func(loop context.Context) { w.agent.change(loop, next) })
		}()
		w.settle()
		w.source.list(80, 81, 82)
		w.settle()
		close(held)
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		other.list(83)
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:83")
	}, a)
}

func TestBackendThatComesIsFilledAtOnce(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		a.addBackend("api", 5)
		w.start()
		w.pass(time.Second)
		next := w.opts
		next.Backends = append(next.Backends[:1:1], Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: newSource(90), Key: "x"}}})
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		if got := showServers(a.servers["api"]); got != "web1=:90" {
			w.t.Errorf("api: %q", got)
		}
	}, a)
}

func TestOtherSlotsAreFilledAtOnce(t *testing.T) {
	a := newFake("a", "web", 3)
	for i := range 3 {
		a.servers["web"] = append(a.servers["web"], slots.Server{Name: "srv" + strconv.Itoa(i+1), Addr: parked, Weight: 100, Initial: 100, Disabled: true})
	}
	inWorld(t, func(w *world) {
		mute := newMute()
		w.opts.Backends[0].Feeds[0].Source = mute
		w.start()
		w.pass(time.Second)
		next := w.opts
		next.Backends = []Backend{next.Backends[0]}
		next.Backends[0].Prefix = "srv"
		next.Backends[0].Feeds = []Feed{{Name: "test", Source: newSource(80), Key: "x"}}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		if a.show() != "srv1=:80" {
			w.t.Errorf("soon: %q", a.show())
		}
		w.pass(2 * time.Minute)
		w.want(a, "srv1=:80")
		if w.warned.of("backend has other slots now; those from before stay as they are") != 1 ||
			w.warned.of("backend is no longer configured; its slots stay as they are") != 0 {
			t.Errorf("warned of %v", w.warned.counts)
		}
	}, a)
}

func TestExternalIsUndoneOnceRepairIsConfigured(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(time.Minute)
		w.want(a, "web2=:81")
		next := w.opts
		next.Backends = []Backend{next.Backends[0]}
		next.Backends[0].RepairExternal = true
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}

// TestHoldThatEndsAsAnInstanceComes: one reconfiguration ends a hold and brings an instance,
// which nobody speaks to yet.
func TestHoldThatEndsAsAnInstanceComes(t *testing.T) {
	a, b := newFake("a", "web", 10), newFake("b", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83, 84, 85)...)
		all := w.opts.Instances
		w.opts.Instances = all[:1]
		w.start()
		w.source.list(80)
		w.settle()
		if w.status().Backends[0].Hold == nil {
			w.t.Fatal("5 of 6 are gone, and nothing is held")
		}
		next := w.opts
		next.Instances = all
		next.Backends = []Backend{next.Backends[0]}
		next.Backends[0].Guard.RemovalHold = guard.Off
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web1=:80")
		w.want(b, "web1=:80")
	}, a, b)
}

// TestUnknownOutcomeOverAReconfiguration: who goes on with an instance, under another timeout or
// name, knows of a batch whose outcome is not known.
func TestUnknownOutcomeOverAReconfiguration(t *testing.T) {
	for _, next := range []Instance{{Name: "a", Key: "another timeout"}, {Name: "renamed", Key: "renamed"}} {
		t.Run(next.Name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				a.with(func() { a.hang = make(chan struct{}) })
				w.source.list(80)
				w.pass(500 * time.Millisecond)
				next.Conn = a
				opts := w.opts
				opts.Instances = []Instance{next}
				if err := w.agent.Reconfigure(w.t.Context(), opts); err != nil {
					w.t.Fatal(err)
				}
				w.source.list(80, 81)
				w.settle()
				a.wakeUp()
				w.pass(3 * time.Second)
				w.want(a, "web1=:80 web2=:81")
				w.wantSync(next.Name, false)
				a.set("web2", func(s *slots.Server) { s.Class = slots.Maint }) // what was sent before the change
				w.pass(4 * time.Second)
				w.want(a, "web1=:80 web2=:81")
				w.wantSync(next.Name, true)
			}, a)
		})
	}
}

// TestOneWriterOverAReconfiguration: the reconciler of an HAProxy begins when the one before it has
// ended, whatever the instance is called and wherever it is reached, and not when the disk has.
func TestOneWriterOverAReconfiguration(t *testing.T) {
	moved := func(a *fakeConn) Instance { return Instance{Name: "a", Conn: movedConn{a}, Key: "moved"} }
	for name, instances := range map[string]func(a *fakeConn) []Instance{
		"renamed":              func(a *fakeConn) []Instance { return []Instance{instanceAt("renamed", a)} },
		"moved":                func(a *fakeConn) []Instance { return []Instance{moved(a)} },
		"moved and moved back": func(a *fakeConn) []Instance { return []Instance{moved(a), instanceAt("a", a)} },
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			oneWriter(t, a, instances(a))
		})
	}
}

// A movedConn is reached at another socket.
type movedConn struct{ *fakeConn }

func (c movedConn) String() string { return "/run/haproxy/" + c.name }

// oneWriter goes on with a as each of instances, with the last while it is written to.
func oneWriter(t *testing.T, a *fakeConn, instances []Instance) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		for len(instances) > 1 {
			w.goOnWith(instances[0])
			instances = instances[1:]
		}
		a.with(func() { a.disk, a.delay = time.Hour, 300*time.Millisecond })
		w.source.list(80)
		w.pass(time.Second) // the disk is asked by now
		w.source.list(80, 82)
		w.pass(100 * time.Millisecond)
		opts := w.opts
		opts.Instances = instances
		if err := w.agent.Reconfigure(w.t.Context(), opts); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(80, 83)
		w.pass(5 * time.Second)
		w.want(a, "web1=:80 web4=:83")
		a.with(func() {
			if a.delay = 0; a.together > 1 {
				w.t.Errorf("%d spoke to it at once", a.together)
			}
		})
	}, a)
}
