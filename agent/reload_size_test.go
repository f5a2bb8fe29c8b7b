package agent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/slots"
)

// takesNoAddress has both instances refuse the addresses of their slots of these numbers.
func (w *world) takesNoAddress(from, to int) {
	for _, c := range w.conns {
		c.with(func() {
			for n := from; n <= to; n++ {
				c.refuse[fmt.Sprintf("web%d", n)] = slots.NoAddress
			}
		})
	}
}

// A slot that takes no address for a while is in HAProxy's configuration all the same: what a
// reload did not cure is not tried again because of it.
func TestUnusableSlotIsNoOtherCause(t *testing.T) {
	f := &fakeReload{stuck: true}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Guard = guard.Rules{EmptyHold: guard.Off, RemovalHold: guard.Off}
		w.start()
		w.source.list(span(80, 88)...)
		w.pass(time.Minute)
		if len(f.ran()) != 1 {
			t.Fatalf("%d runs", len(f.ran()))
		}
		w.source.list(span(80, 82)...)
		w.pass(time.Minute)
		w.takesNoAddress(4, 4)
		w.source.list(80, 81, 82, 84)
		w.pass(10 * time.Second)
		if n := w.need(); len(f.ran()) != 1 || n == nil || n.Slots != 4 || !n.Latched {
			t.Errorf("%d runs for one cause, need %+v", len(f.ran()), n)
		}
	})
}

// A configuration has the slots that take no address, too: the next one has no fewer.
func TestReloadNeverShrinks(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		for _, c := range w.conns {
			c.grow(30)
		}
		w.takesNoAddress(5, 30)
		w.start()
		w.source.list(span(80, 85)...)
		w.pass(time.Minute)
		if runs := f.ran(); len(runs) != 1 || runs[0].Data.Backends[0].Slots != 60 {
			t.Errorf("runs %+v, and there were 30 slots", runs)
		}
	})
}

// Nor of an HAProxy in which the backend is not filled any more: it loads the same file.
func TestReloadShrinksNothingWhereABackendIsNotFilled(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.conns[1].grow(30)
		w.start()
		w.pass(5 * time.Second)
		next := w.opts
		next.Backends = slices.Clone(next.Backends)
		next.Backends[0].Instances = []string{"a"}
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(span(80, 85)...)
		w.pass(time.Minute)
		if runs := f.ran(); len(runs) != 1 || runs[0].Data.Backends[0].Slots != 60 {
			t.Errorf("runs %+v, and there were 30 slots", runs)
		}
	})
}

// Nor where HAProxy is down, and was since slotsync was started: it is as large as it was.
func TestReloadOfWhoIsDownShrinksNothing(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.opts.Backends[0].Prefix = "" // it is found
		for _, c := range w.conns {
			c.grow(30)
			for i := range c.servers["web"] {
				c.servers["web"][i].Name = fmt.Sprintf("srv%d", i+1)
			}
		}
		w.start()
		w.pass(5 * time.Second)
		w.stop()
		for _, c := range w.conns {
			c.with(func() { c.err = absent() })
		}
		w.start()
		w.pass(time.Minute)
		if _, err := w.agent.ReloadHAProxy(w.t.Context(), api.ReloadRequest{By: "me"}); err != nil {
			t.Fatal(err)
		}
		if b := f.ran()[0].Data.Backends[0]; b.Slots != 30 || b.Prefix != "srv" {
			t.Errorf("%d slots %s are rendered, and there were 30 srv", b.Slots, b.Prefix)
		}
	})
}

// A backend that was configured a moment ago has the slots that HAProxy has of it.
func TestReloadOfANewBackendShrinksNothing(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		for _, c := range w.conns {
			c.addBackend("api", 30)
			c.delay = time.Millisecond
		}
		w.start()
		w.pass(5 * time.Second)
		next := w.opts
		api2 := next.Backends[0]
		api2.Name, api2.Proxy = "api", "api"
		next.Backends = append(slices.Clone(next.Backends), api2)
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if _, err := w.agent.ReloadHAProxy(w.t.Context(), api.ReloadRequest{By: "me"}); err != nil {
			t.Fatal(err)
		}
		if b := f.ran()[0].Data.Backends; len(b) != 2 || b[1].Slots != 30 {
			t.Errorf("%+v are rendered, and there were 30 slots", b)
		}
	})
}
