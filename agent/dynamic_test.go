package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// Servers are added when no slot is left, found again after a restart of the
// agent, and removed when nothing needs them and their sessions have ended. No
// endpoint ever changes its slot.
func TestDynamicServers(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		b := &w.opts.Backends[0]
		b.Dynamic, b.DynamicOptions = true, "check inter 1s"
		b.Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.start()
		w.source.list(span(80, 85)...)
		w.settle()
		const six = "web1=:80 web2=:81 web3=:82 web4=:83 web5=:84 web6=:85"
		for _, c := range w.conns {
			w.want(c, six)
			w.wantSync(c.name, true)
			if c.options != "check inter 1s" {
				t.Errorf("added with %q", c.options)
			}
		}
		w.stop()
		w.source.asked = false
		for _, c := range w.conns {
			c.takeWrites()
		}
		w.start()
		w.pass(time.Second)
		for _, c := range w.conns {
			if got := c.takeWrites(); len(got) > 0 {
				t.Errorf("a restart writes %v", got)
			}
			w.want(c, six)
		}
		a := w.conns[0]
		a.set("web6", func(s *slots.Server) { s.Sessions = 1 })
		w.source.list(80, 81, 82, 84)
		w.pass(5 * time.Second)
		w.want(a, "web1=:80 web2=:81 web3=:82 web5=:84")
		if n := len(a.servers["web"]); n != 6 {
			t.Errorf("%d servers: one with a session was removed", n)
		}
		a.set("web6", func(s *slots.Server) { s.Sessions = 0 })
		w.pass(5 * time.Second)
		if n := len(a.servers["web"]); n != 5 {
			t.Errorf("%d servers, want 5", n)
		}
		w.source.list(80, 81, 82, 84, 90)
		w.settle()
		w.want(a, "web1=:80 web2=:81 web3=:82 web4=:90 web5=:84")
		w.pass(time.Hour)
		if len(f.ran()) != 0 {
			t.Errorf("%d reloads", len(f.ran()))
		}
	})
}

// Where no server can be added, a reload gives the slots; the refusal is said
// once.
func TestDynamicRefused(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Dynamic = true
		for _, c := range w.conns {
			for _, slot := range []string{"web5", "web6", "web7", "web8", "web9", "web10"} {
				c.refuse[slot] = slots.NoDynamic
			}
		}
		w.start()
		w.source.list(span(80, 89)...)
		w.settle()
		if n := w.need(); n == nil || n.Wanted != 10 {
			t.Fatalf("need %+v", n)
		}
		for _, c := range w.conns {
			c.with(func() { clear(c.refuse) }) // what refused adding takes slots
		}
		w.pass(10 * time.Second)
		if len(f.ran()) != 1 {
			t.Fatalf("%d reloads", len(f.ran()))
		}
		for _, c := range w.conns {
			w.wantReady(c, 10)
		}
	})
}

// An endpoint that drains because it left gives its slot up early if it has no
// sessions, before anything else is done for one that has none.
func TestReclaimsDrainingSlots(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		b := &w.opts.Backends[0]
		b.Leave, b.Drain = slots.Drain, time.Hour
		b.Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.start()
		for _, c := range w.conns {
			c.set("web1", func(s *slots.Server) { s.Sessions = 1 })
		}
		w.source.list(82, 83)
		w.pass(5 * time.Second)
		w.want(w.conns[0], "web1=:80/drain web2=:81/drain web3=:82 web4=:83")
		w.source.list(82, 83, 90)
		w.pass(5 * time.Second)
		for _, c := range w.conns {
			if got := c.show(); !strings.Contains(got, "web2=:90") || !strings.Contains(got, "web1=:80/drain") {
				t.Errorf("%s shows %s", c.name, got)
			}
		}
		w.source.list(82, 83, 90, 91)
		w.pass(10 * time.Second)
		if len(f.ran()) != 1 {
			t.Errorf("%d reloads: the slot with a session cannot be had", len(f.ran()))
		}
	})
}

// What is rendered has a slot for every endpoint that has one, added ones
// included, and slots for a backend that HAProxy does not have yet.
func TestRenderedHoldsWhatWasAdded(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Dynamic = true
		next := w.opts.Backends[0]
		next.Name, next.Proxy, next.Feeds = "api", "api", []Feed{{Name: "test", Source: newSource(90, 91), Key: "b"}}
		w.opts.Backends = append(w.opts.Backends, next)
		w.start()
		w.source.list(span(80, 85)...)
		w.pass(time.Second)
		if _, err := w.agent.ReloadHAProxy(context.Background(), api.ReloadRequest{By: "me"}); err != nil {
			t.Fatal(err)
		}
		web, api := f.ran()[0].Data.Backends[0], f.ran()[0].Data.Backends[1]
		if web.Slots != 6 || len(web.Servers) != 6 || api.Slots != 10 || len(api.Servers) != 2 {
			t.Errorf("rendered %+v and %+v", web, api)
		}
		for _, s := range web.Servers {
			if n, _ := slots.Number(s.Slot, web.Prefix); n == 0 || n > web.Slots {
				t.Errorf("%+v is in none of %d slots", s, web.Slots)
			}
		}
		w.pass(time.Second)
		w.want(w.conns[0], "web1=:80 web2=:81 web3=:82 web4=:83 web5=:84 web6=:85")
	})
}

// A server that still has connections is asked for them before its removal is
// tried again, and nothing else waits for it.
func TestBusyServerIsRemovedLater(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		b := &w.opts.Backends[0]
		b.Dynamic, b.Guard = true, guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.start()
		w.source.list(span(80, 85)...)
		w.settle()
		a := w.conns[0]
		w.source.list(span(80, 83)...)
		a.with(func() { a.refuse["web6"], a.applies = slots.Busy, 0 })
		w.pass(time.Minute)
		if a.applies > 100 {
			t.Errorf("%d rounds of changes in a minute", a.applies)
		}
		if p := w.status().Backends[0].Paused; p != nil {
			t.Error("writing to the backend pauses")
		}
		a.with(func() { clear(a.refuse) })
		w.pass(10 * time.Second)
		if n := len(a.servers["web"]); n != 4 {
			t.Errorf("%d servers are left, want 4", n)
		}
	})
}

// An instance that takes no added servers lacks them: that is counted, it is in
// step with what it can be, and a reload cures it.
func TestOneInstanceTakesNoServers(t *testing.T) {
	f := &fakeReload{command: true}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Dynamic = true
		b := w.conns[1]
		b.refuse["web5"], b.refuse["web6"] = slots.NoDynamic, slots.NoDynamic
		w.start()
		w.source.list(span(80, 85)...)
		w.pass(time.Minute)
		w.wantReady(w.conns[0], 6)
		w.wantReady(b, 4)
		w.wantSync("a", true)
		w.wantSync("b", true)
		if in := w.status().Instances[1]; in.Overflow != 2 || in.LagSeconds != 0 {
			t.Errorf("got %+v", in)
		}
	})
}

// TestSlotsOfOthersAreAdded: an instance with fewer slots in its template than another has
// the rest added, again after a restart, and nothing moves.
func TestSlotsOfOthersAreAdded(t *testing.T) {
	a, b := newFake("a", "web", 5), newFake("b", "web", 2)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Dynamic, w.opts.Backends[0].DynamicOptions = true, "check inter 1s"
		w.opts.Backends[0].Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83)...)
		w.start()
		w.pass(time.Minute)
		const four = "web1=:80 web2=:81 web3=:82 web4=:83"
		for _, c := range w.conns {
			w.want(c, four)
			w.wantSync(c.name, true)
		}
		if s := w.status(); len(s.Backends[0].Overflow) > 0 || s.Instances[1].Overflow > 0 {
			t.Errorf("without a slot: %v, %d", s.Backends[0].Overflow, s.Instances[1].Overflow)
		}

		b.restart(false)
		w.pass(time.Minute)
		w.want(b, four)

		w.source.list(80, 81)
		w.pass(time.Minute)
		w.source.list(80, 81, 84)
		w.pass(time.Minute)
		for _, c := range w.conns {
			w.want(c, "web1=:80 web2=:81 web3=:84") // which both have now
			w.wantSync(c.name, true)
		}

		w.stop()
		a.takeWrites()
		b.takeWrites()
		w.source.asked = false
		w.start()
		w.pass(time.Minute)
		if x, y := a.takeWrites(), b.takeWrites(); len(x) > 0 || len(y) > 0 {
			t.Errorf("a restart writes %v and %v", x, y)
		}
	}, a, b)
}

// Slots whose numbers do not start at 1, or whose prefix ends in digits, are rendered
// where they are, and grown upwards.
func TestRenderedKeepsTheRange(t *testing.T) {
	for _, r := range []slots.Range{{Prefix: "web", First: 5, Last: 8}, {Prefix: "web", First: 0, Last: 3}, {Prefix: "web1", First: 8, Last: 11}} {
		f := &fakeReload{}
		managed(t, f, func(w *world) {
			for _, c := range w.conns {
				c.with(func() {
					for i := range c.servers["web"] {
						c.servers["web"][i].Name = r.Name(r.First + i)
					}
				})
			}
			w.opts.Backends[0].Prefix = ""
			w.start()
			w.source.list(span(80, 85)...)
			w.pass(10 * time.Second)
			if len(f.ran()) == 0 {
				t.Fatal("no reload")
			}
			web := f.ran()[0].Data.Backends[0]
			if web.Prefix != r.Prefix || web.Offset != r.First-1 || web.Slots != 10 || len(web.Servers) != 6 {
				t.Errorf("%+v: rendered %+v", r, web)
			}
			for _, s := range web.Servers {
				if n, ok := slots.Number(s.Slot, r.Prefix); !ok || n < r.First || n > r.First+web.Slots-1 {
					t.Errorf("%+v: %+v is in none of its slots", r, s)
				}
			}
		})
	}
}
