package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
)

// exactlyOne are the rules for a service of which exactly one endpoint is to be used, as
// docs/operating.md has them.
func exactlyOne() guard.Rules { return guard.Rules{RemovalHold: guard.Off, TurnoverWait: guard.Off} }

// TestExactlyOneLeader: with these rules the old leader goes the moment the new one is
// listed, also where for a while there was none; and one that is only gone is held.
func TestExactlyOneLeader(t *testing.T) {
	for name, checked := range map[string]bool{"with checks": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 10)
			if checked {
				a.checked(false) // what HAProxy finds of the new one is not waited for
			}
			inWorld(t, func(w *world) {
				w.opts.Backends[0].Guard = exactlyOne()
				w.source.reading = discovery.Complete(eps(80)...)
				w.start()
				w.wantPorts(a, 80)
				w.source.list(81)
				w.settle()
				w.wantPorts(a, 81)

				w.source.list() // Patroni has lost its leader
				w.pass(3 * time.Second)
				w.wantPorts(a, 81)
				if h := w.status().Backends[0].Hold; h == nil || h.Kind != guard.Empty {
					w.t.Errorf("held: %+v", h)
				}
				w.source.list(82)
				w.settle()
				w.wantPorts(a, 82)
				if h := w.status().Backends[0].Hold; h != nil {
					w.t.Errorf("still held: %+v", h)
				}

				w.source.list() // and with no new one it is obeyed like any empty set
				w.pass(guard.DefaultEmptyHold - time.Second)
				w.wantPorts(a, 82)
				w.pass(2 * time.Minute)
				w.wantPorts(a)
			}, a)
		})
	}
}

// TestHoldGoesOnThatChangesItsKind: without those rules the old leader is held once, and
// not anew when the new one appears.
func TestHoldGoesOnThatChangesItsKind(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Guard = guard.Rules{MinEndpoints: 2}
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		began := time.Now()
		w.source.list()
		w.pass(10 * time.Second)
		w.source.list(82)
		w.pass(time.Second)
		h := w.status().Backends[0].Hold
		if h == nil || h.Kind != guard.Removal || h.Since.Sub(began) > time.Second {
			w.t.Fatalf("held: %+v, since the beginning %s ago", h, time.Since(began))
		}
		if left := h.ReleasesAt.Sub(began); left > guard.DefaultRemovalHold+2*time.Second {
			w.t.Errorf("it ends %s after its beginning", left)
		}
	}, a)
}
