package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// twoBackends adds a second backend, api, to a world.
func twoBackends(w *world, conns ...*fakeConn) *fakeSource {
	api := newSource(90, 91)
	w.opts.Backends = append(w.opts.Backends,
		Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: api, Key: "api"}}})
	for _, c := range conns {
		c.addBackend("api", 5)
	}
	return api
}

// wantReady checks how many slots of a backend are ready at a fake.
func wantReady(t interface{ Errorf(string, ...any) }, f *fakeConn, backend string, want int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.servers[backend] {
		if s.Class == slots.Ready {
			n++
		}
	}
	if n != want {
		t.Errorf("%s: %d slots of %s are ready, want %d", f.name, n, backend, want)
	}
}

func TestRemovedIsEmptiedFirstIfAsked(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		wantA  [2]int // ready slots of web and api
		wantB  [2]int
	}{
		{"nothing is removed", func(*Options) {}, [2]int{2, 2}, [2]int{2, 2}},
		{"a backend", func(o *Options) { o.Backends = o.Backends[:1] }, [2]int{2, 0}, [2]int{2, 0}},
		{"an instance", func(o *Options) { o.Instances = o.Instances[:1] }, [2]int{2, 2}, [2]int{0, 0}},
		{"a backend from an instance", func(o *Options) { o.Backends[1].Instances = []string{"a"} }, [2]int{2, 2}, [2]int{2, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newFake("a", "web", 5), newFake("b", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				twoBackends(w, a, b)
				w.start()
				next := w.opts
				next.Backends = append([]Backend(nil), w.opts.Backends...)
				next.DrainRemoved = true
				tt.change(&next)
				if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
					w.t.Fatal(err)
				}
				for _, of := range []string{"backend", "instance"} {
					if text := of + " is no longer configured; its slots stay as they are"; w.warned.of(text) > 0 {
						w.t.Errorf("it is said: %s", text)
					}
				}
				w.pass(time.Minute)
				for f, want := range map[*fakeConn][2]int{a: tt.wantA, b: tt.wantB} {
					wantReady(w.t, f, "web", want[0])
					wantReady(w.t, f, "api", want[1])
				}
			}, a, b)
		})
	}
}

func TestRemovedThatCannotBeEmptiedIsGivenUp(t *testing.T) {
	tests := []struct {
		name string
		with func(*fakeConn)
		most time.Duration
	}{
		{"dead", func(f *fakeConn) { f.err = absent() }, time.Second},
		{"hangs", func(f *fakeConn) { f.hang = make(chan struct{}) }, DefaultTimeout + time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newFake("a", "web", 5), newFake("b", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				twoBackends(w, a, b)
				w.start()
				b.with(func() { tt.with(b) })
				if tt.name == "dead" {
					w.pass(2 * DefaultPoll)
				}
				next := w.opts
				next.Backends, next.DrainRemoved = w.opts.Backends[:1], true
				before := time.Now()
				if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
					w.t.Fatal(err)
				}
				if took := time.Since(before); took > tt.most {
					w.t.Errorf("took %s", took)
				}
				if w.warned.of("backend is no longer configured; not all of its slots could be taken out of service first") != 1 {
					w.t.Error("nobody says that slots are left")
				}
				wantReady(w.t, a, "api", 0)
				wantReady(w.t, b, "api", 2)
				b.with(func() {
					if b.hang != nil {
						close(b.hang)
					}
					b.err, b.hang = nil, nil
				})
			}, a, b)
		})
	}
}

// TestGivenUpIsNobodysDoing: a kill while slots are given up does not have them taken for somebody else's.
func TestGivenUpIsNobodysDoing(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		twoBackends(w, a, b)
		w.start()
		w.pass(10 * time.Second)
		next := w.opts
		next.Backends, next.DrainRemoved = w.opts.Backends[:1], true
		changed := make(chan error, 1)
		go func() { changed <- w.agent.Reconfigure(w.t.Context(), next) }()
		synctest.Wait()
		wantReady(w.t, a, "api", 0)
		w.crash()
		<-changed
		w.start()
		w.pass(time.Minute)
		wantReady(w.t, a, "api", 2)
		wantReady(w.t, b, "api", 2)
	}, a, b)
}

func TestInterruptedRemovalIsUndone(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		twoBackends(w, a, b)
		w.start()
		b.with(func() { b.delay = time.Second })
		next := w.opts
		next.Backends, next.DrainRemoved = w.opts.Backends[:1], true
		ctx, cancel := context.WithTimeout(w.t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := w.agent.Reconfigure(ctx, next); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("Reconfigure: %v", err)
		}
		b.with(func() { b.delay = 0 })
		w.pass(time.Minute)
		wantReady(w.t, a, "api", 2)
		wantReady(w.t, b, "api", 2)
		w.wantSync("a", true)
		w.wantSync("b", true)
	}, a, b)
}

func TestUnmanagedAddressesOfTheRemovedStay(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		twoBackends(w, a)
		a.servers["api"][2].Addr, a.servers["api"][2].Class = addr(90), slots.Ready
		a.servers["api"][3].Addr, a.servers["api"][3].Class = addr(99), slots.Ready
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		wantReady(w.t, a, "api", 3)
		next := w.opts
		next.Backends, next.DrainRemoved = w.opts.Backends[:1], true
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		wantReady(w.t, a, "api", 1)
	}, a)
}
