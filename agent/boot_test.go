package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestAgentRestartWritesNothing(t *testing.T) {
	a, b := newFake("a", "web", 10), newFake("b", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		w.start()
		w.source.list(81, 82, 83, 84)
		w.settle()
		w.stop()
		before := a.show()
		a.takeWrites()
		b.takeWrites()
		for _, dir := range []string{w.opts.StateDir, stateDir(w.t)} {
			w.opts.StateDir = dir
			w.source = newSource(81, 82, 83, 84)
			w.opts.Backends[0].Feeds[0].Source = w.source
			w.start()
			w.pass(2 * time.Minute)
			w.want(a, before)
			if writes := append(a.takeWrites(), b.takeWrites()...); len(writes) > 0 {
				w.t.Errorf("a restart wrote %v", writes)
			}
			w.stop()
		}
	}, a, b)
}

func TestNothingIsTouchedBeforeTheSourceHasSpoken(t *testing.T) {
	a := newFake("a", "web", 5)
	a.servers["web"][2].Addr, a.servers["web"][2].Class = addr(90), slots.Ready
	inWorld(t, func(w *world) {
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Hour)
		w.want(a, "web3=:90")
		w.source.fail()
		w.pass(time.Hour)
		w.want(a, "web3=:90")
		if !w.status().Ready {
			w.t.Errorf("not ready with an adopted instance: %v", w.status().NotReady)
		}
	}, a)
}

func TestMisspeltServiceAgainstSlotsFilledByHand(t *testing.T) {
	a := newFake("a", "web", 5)
	a.servers["web"][0].Addr, a.servers["web"][0].Class = addr(90), slots.Ready
	inWorld(t, func(w *world) {
		w.start() // the source lists nothing
		w.pass(2 * time.Hour)
		w.want(a, "web1=:90")
		if s := w.status().Backends[0]; !strings.Contains(s.Problem, "never listed") {
			w.t.Errorf("the status does not say so: %q", s.Problem)
		}
	}, a)
}

func TestTakeoverLeavesUnmanagedUntilAccepted(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	a.servers["web"][0].Addr, a.servers["web"][0].Class = addr(90), slots.Ready
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.pass(time.Hour)
		w.want(a, "web1=:90") // the name may be misspelt
		w.want(b, "")
		w.wantSync("a", true)
		hold := w.status().Backends[0].Hold
		if hold == nil || hold.Kind != "takeover" || !slices.Equal(hold.WouldRemove, []string{addr(90).String()}) {
			w.t.Fatalf("hold: %+v", hold)
		}
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.want(a, "web2=:80")
		w.want(b, "web2=:80")
		if err := w.accept("web"); !errors.Is(err, api.ErrNothingHeld) {
			w.t.Errorf("accepting nothing: %v", err)
		}
		if err := w.accept("nope"); !errors.Is(err, api.ErrNoBackend) {
			w.t.Errorf("accepting for nobody: %v", err)
		}
	}, a, b)
}

// Addresses that nobody listed are no reason to keep new ones out where the sources are
// known to be the right ones, or where nothing serves anyway.
func TestTakeoverThatDoesNotKeepOthersOut(t *testing.T) {
	for name, set := range map[string]func(s []slots.Server){
		"one is listed": func(s []slots.Server) { s[1].Addr, s[1].Class = addr(80), slots.Ready },
		"all are down":  func(s []slots.Server) { s[0].Checked, s[0].Up = true, false },
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			a.servers["web"][0].Addr, a.servers["web"][0].Class = addr(90), slots.Ready
			set(a.servers["web"])
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				w.pass(time.Hour)
				w.want(a, "web1=:90 web2=:80")
				if h := w.status().Backends[0].Hold; h == nil || h.Kind != api.HoldTakeover || h.BlocksWriting {
					w.t.Errorf("hold: %+v", h)
				}
			}, a)
		})
	}
}

func TestUnmanagedAddressThatIsListedLaterStaysInItsSlot(t *testing.T) {
	a := newFake("a", "web", 5)
	a.servers["web"][3].Addr, a.servers["web"][3].Class = addr(90), slots.Ready
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.source.list(80, 90)
		w.settle()
		w.want(a, "web1=:80 web4=:90")
		if w.status().Backends[0].Hold != nil {
			w.t.Error("still held")
		}
	}, a)
}

func TestLateInstanceDoesNotChangeTheTable(t *testing.T) {
	a, b := newFake("a", "web", 8), newFake("b", "web", 8)
	for i, p := range []int{83, 82, 81, 80} { // the same endpoints, elsewhere
		b.servers["web"][i].Addr, b.servers["web"][i].Class = addr(p), slots.Ready
	}
	b.err = absent()
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		w.start()
		w.pass(DefaultTimeout)
		w.want(a, "web1=:80 web2=:81 web3=:82 web4=:83")
		b.with(func() { b.err = nil })
		w.pass(3 * time.Second)
		w.want(a, "web1=:80 web2=:81 web3=:82 web4=:83")
		w.want(b, "web1=:80 web2=:81 web3=:82 web4=:83")
	}, a, b)
}

func TestRestoredSetFillsEmptyInstancesOnly(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(2 * time.Second)
		w.stop()
		b.restart(false) // a is full, b lost everything, the source is away
		a.set("web2", func(s *slots.Server) { s.Class, s.Addr = slots.Maint, parked })
		a.takeWrites()
		w.source = newMute()
		w.source.err = discovery.Errorf(discovery.Transport, "refused")
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Minute)
		w.want(b, "web1=:80 web2=:81")
		w.want(a, "web1=:80")
		if writes := a.takeWrites(); len(writes) > 0 {
			w.t.Errorf("an instance with ready slots was touched: %v", writes)
		}
		w.source.list(80, 81)
		w.pass(time.Minute)
		w.want(a, "web1=:80 web2=:81")
	}, a, b)
}

func TestOldStoredSetFillsNothing(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(2 * time.Second)
		w.stop()
		a.restart(false)
		time.Sleep(25 * time.Hour)
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.pass(time.Hour)
		w.want(a, "")
	}, a)
}

func TestManyBackendsAreFilledWhoeverStartsFirst(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, 2 * time.Second, 30 * time.Second} {
		t.Run(fmt.Sprint("haproxy after ", late), func(t *testing.T) {
			a, b := newFake("a", "web", 0), newFake("b", "web", 0)
			inWorld(t, func(w *world) {
				w.opts.Backends = nil
				for i := range 100 {
					name := fmt.Sprintf("be%d", i)
					a.addBackend(name, 40)
					b.addBackend(name, 40)
					source := newSource()
					for p := range 20 {
						source.reading = discovery.Complete(append(source.reading.Endpoints(), eps(1000+100*i+p)...)...)
					}
					w.opts.Backends = append(w.opts.Backends, Backend{Name: name, Proxy: name, Prefix: "web", Feeds: []Feed{{Name: "test", Source: source, Key: name}}})
				}
				if late > 0 {
					a.err, b.err = absent(), absent()
				}
				w.start()
				w.pass(late)
				for _, c := range w.conns {
					c.with(func() { c.err = nil })
				}
				w.pass(3 * time.Second)
				for _, c := range w.conns {
					ready := 0
					for _, servers := range c.servers {
						ready += len(strings.Fields(showServers(servers)))
					}
					if ready != 2000 {
						w.t.Errorf("%s has %d of 2000 slots ready", c.name, ready)
					}
				}
			}, a, b)
		})
	}
}
