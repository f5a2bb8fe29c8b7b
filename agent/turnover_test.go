package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// checked has HAProxy check every slot of a fake.
func (f *fakeConn) checked(up bool) {
	f.with(func() {
		for _, servers := range f.servers {
			for i := range servers {
				servers[i].Checked, servers[i].Up = true, up
			}
		}
	})
}

func TestTurnoverWaitsUntilOneIsUp(t *testing.T) {
	a := newFake("a", "web", 10)
	a.checked(true)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.list(90, 91)
		w.pass(upProof - time.Second) // up as far as HAProxy knows, for it has not checked yet
		w.wantPorts(a, 80, 81, 90, 91)
		turn := w.status().Backends[0].Turnover
		if turn == nil || len(turn.Leaving) != 2 || !turn.EndsAt.Equal(turn.Since.Add(guard.DefaultTurnover)) {
			w.t.Errorf("turnover: %+v", turn)
		}
		w.pass(3 * time.Second)
		w.wantPorts(a, 90, 91)
		if w.status().Backends[0].Turnover != nil {
			w.t.Error("still turning")
		}
	}, a)
}

// A deployment whose batches overlap, so that there are never as many again as at its
// beginning, is not held: what came before works, and makes up for what goes.
func TestOverlappingBatchesAreNotHeld(t *testing.T) {
	a := newFake("a", "web", 30)
	a.checked(true)
	inWorld(t, func(w *world) {
		ports := func(from, to int) (list []int) {
			for p := from; p <= to; p++ {
				list = append(list, p)
			}
			return list
		}
		w.source.reading = discovery.Complete(eps(ports(80, 99)...)...)
		w.start()
		for old, fresh := 85, 203; old <= 95; old, fresh = old+5, fresh+5 {
			w.source.list(slices.Concat(ports(old, 99), ports(200, fresh-5))...)
			w.settle()
			if hold := w.status().Backends[0].Hold; hold != nil {
				w.t.Fatalf("%d of 20 are new, and it is held: %+v", fresh-204, hold)
			}
			w.source.list(slices.Concat(ports(old, 99), ports(200, fresh))...)
			w.pass(20 * time.Second)
			w.wantPorts(a, slices.Concat(ports(old, 99), ports(200, fresh))...)
		}
	}, a)
}

// What came shortly before something is held ends the hold as soon as it has proved itself.
func TestNewcomersFromBeforeAHoldEndIt(t *testing.T) {
	a := newFake("a", "web", 30)
	a.checked(true)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83, 84, 85, 86, 87, 88, 89)...)
		w.start()
		w.source.list(84, 85, 86, 87, 88, 89, 200, 201, 202)
		w.pass(2 * time.Second)
		w.source.list(88, 89, 200, 201, 202)
		w.settle()
		if w.status().Backends[0].Hold == nil {
			w.t.Fatal("8 of 10 are gone, and nobody has proved himself: it is not held")
		}
		w.pass(6 * time.Second)
		w.wantPorts(a, 88, 89, 200, 201, 202)
	}, a)
}

func TestTurnoverEndsWhateverTheNewOnesDo(t *testing.T) {
	a := newFake("a", "web", 10)
	a.checked(false)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.list(90, 91)
		w.pass(10 * time.Second)
		w.wantPorts(a, 80, 81, 90, 91)
		w.stop() // how long it has lasted is remembered
		w.source = newSource(90, 91)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.wantPorts(a, 80, 81, 90, 91)
		w.pass(4 * time.Second)
		w.wantPorts(a, 80, 81, 90, 91)
		w.pass(2 * time.Second)
		w.wantPorts(a, 90, 91)
	}, a)
}

func TestTurnoverFollowsTheNewSet(t *testing.T) {
	a := newFake("a", "web", 10)
	a.checked(false)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.list(90, 91)
		w.settle()
		w.source.list(91, 92)
		w.settle()
		w.wantPorts(a, 80, 81, 91, 92)
		w.source.list(80, 81) // it was a wrong answer
		w.settle()
		w.wantPorts(a, 80, 81)
		w.pass(time.Minute)
		w.wantPorts(a, 80, 81)
	}, a)
}

func TestTurnoverMakesRoom(t *testing.T) {
	for n, want := range map[int][]int{1: {90}, 8: {80, 81, 82, 83, 84, 85, 90, 91}} {
		a := newFake("a", "web", n)
		a.checked(false)
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(span(80, 79+n)...)...)
			w.start()
			w.source.list(span(90, 89+n)...)
			w.pass(5 * time.Second)
			w.wantPorts(a, want...)
			w.pass(guard.DefaultRemovalHold)
			w.wantPorts(a, span(90, 89+n)...)
		}, a)
	}
}

// TestHeldGivesWayLast: where a server can be added, or what is kept and down gives its slot up,
// what is held stays; a hold that never ends gives nothing away at all.
func TestHeldGivesWayLast(t *testing.T) {
	held := span(80, 87)
	t.Run("never", func(t *testing.T) {
		a := newFake("a", "web", 8)
		a.checked(false)
		inWorld(t, func(w *world) {
			w.opts.Backends[0].Guard.RemovalHold = guard.Never
			w.source.reading = discovery.Complete(eps(held...)...)
			w.start()
			w.source.list(span(90, 97)...)
			w.pass(time.Minute)
			w.wantPorts(a, held...)
			if n := len(w.status().Backends[0].Overflow); n != 8 {
				w.t.Errorf("%d have no slot", n)
			}
		}, a)
	})
	t.Run("servers can be added", func(t *testing.T) {
		a := newFake("a", "web", 8)
		a.checked(false)
		inWorld(t, func(w *world) {
			w.opts.Backends[0].Dynamic, w.opts.Backends[0].MaxSlots = true, 100
			w.source.reading = discovery.Complete(eps(held...)...)
			w.start()
			w.source.list(span(90, 97)...)
			w.pass(5 * time.Second)
			w.wantPorts(a, append(slices.Clone(held), span(90, 97)...)...)
		}, a)
	})
	t.Run("what is kept gives way", func(t *testing.T) {
		a := newFake("a", "web", 9)
		inWorld(t, func(w *world) {
			w.source.reading = families(held, []int{99})
			w.start()
			w.source.say(gap(held...), nil)
			w.settle()
			w.source.say(gap(span(90, 97)...), nil)
			w.pass(5 * time.Second)
			w.wantPorts(a, append(slices.Clone(held), 90)...)
		}, a)
	})
}

func TestTurnoverThatIsOff(t *testing.T) {
	a := newFake("a", "web", 10)
	a.checked(false)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Guard.TurnoverWait = guard.Off
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.source.list(90, 91)
		w.settle()
		w.wantPorts(a, 90, 91)
	}, a)
}

func TestTurnoverLeavesByDraining(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Leave = slots.Drain
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.source.list(90)
		w.pass(time.Second)
		w.want(a, "web1=:80/drain web2=:90")
		w.pass(DefaultDrain)
		w.want(a, "web2=:90")
	}, a)
}

// allDown is a set in which every endpoint is unhealthy.
func allDown(ports ...int) discovery.Reading {
	return discovery.Complete(states(eps(ports...), discovery.Down, "critical")...)
}

func TestAllUnhealthy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, rule string
		checked    bool
		keep       bool
	}{
		{"kept", KeepUnhealthy, false, true},
		{"dropped", DropUnhealthy, true, false},
		{"kept if HAProxy checks", "", true, true},
		{"dropped if nobody checks", "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newFake("a", "web", 10)
			if tt.checked {
				a.checked(true)
			}
			inWorld(t, func(w *world) {
				w.opts.Backends[0].OnAllUnhealthy = tt.rule
				w.source.reading = discovery.Complete(eps(80, 81, 82)...)
				w.start()
				w.source.say(allDown(80, 81, 82), nil)
				w.pass(guard.DefaultEmptyHold - time.Second)
				w.wantPorts(a, 80, 81, 82)
				kind := guard.Empty
				if tt.keep {
					kind = guard.Unhealthy
				}
				if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != kind || len(hold.WouldRemove) != 3 {
					w.t.Fatalf("hold: %+v", hold)
				}
				w.pass(time.Hour)
				if tt.keep {
					w.wantPorts(a, 80, 81, 82)
				} else {
					w.wantPorts(a)
				}
			}, a)
		})
	}
}

func TestAllUnhealthyInTheEnd(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].OnAllUnhealthy = KeepUnhealthy
		w.source.reading = discovery.Complete(eps(80, 81, 82)...)
		w.start()
		w.source.say(allDown(80, 81, 82), nil)
		w.pass(time.Hour)
		since := w.status().Backends[0].Hold.Since

		// What is deregistered meanwhile is gone.
		w.source.say(allDown(81, 82), nil)
		w.settle()
		w.wantPorts(a, 81, 82)

		// It is remembered.
		w.stop()
		w.source = newSource()
		w.source.reading = allDown(81, 82)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		w.wantPorts(a, 81, 82)
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != guard.Unhealthy || hold.Since.Sub(since).Abs() > time.Second {
			w.t.Fatalf("hold: %+v, want one since %s", hold, since)
		}

		// One that is healthy ends it, for then health tells them apart.
		set := allDown(81, 82)
		set.Parts[0].Endpoints[0].State, set.Parts[0].Endpoints[0].Reason = discovery.Ready, ""
		w.source.say(set, nil)
		w.settle()
		w.wantPorts(a, 81)

		// And so does somebody who accepts it.
		w.source.say(allDown(81, 82), nil)
		w.pass(time.Hour)
		w.wantPorts(a, 81)
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Hour)
		w.wantPorts(a)
		if hold := w.status().Backends[0].Hold; hold != nil {
			w.t.Errorf("hold: %+v", hold)
		}

		// All deregistered is an empty set.
		w.source.list(81, 82)
		w.settle()
		w.source.say(allDown(81, 82), nil)
		w.pass(time.Minute)
		w.source.list()
		w.settle()
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != guard.Empty {
			w.t.Errorf("hold: %+v", hold)
		}
	}, a)
}

func TestMinEndpoints(t *testing.T) {
	guardWorld(t, guard.Rules{MinEndpoints: 9}, func(w *world, a *fakeConn) {
		w.source.list(span(80, 88)...)
		w.settle()
		w.wantReady(a, 9)
		w.source.list(span(80, 87)...) // one less than there must be
		w.pass(guard.DefaultRemovalHold - time.Second)
		w.wantReady(a, 9)
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != guard.Removal {
			w.t.Fatalf("hold: %+v", hold)
		}
		w.pass(2 * time.Second)
		w.wantReady(a, 8)
		w.source.list(span(80, 86)...)
		w.pass(10 * time.Second)
		w.wantReady(a, 8)
		w.source.list(span(80, 87)...) // still too few, but nothing is missing
		w.settle()
		if hold := w.status().Backends[0].Hold; hold != nil {
			w.t.Errorf("hold: %+v", hold)
		}
	})
}

func TestConfirmationsAreCarriedOverARestart(t *testing.T) {
	guardWorld(t, guard.Rules{}, func(w *world, a *fakeConn) {
		w.source.list(80)
		w.pass(25 * time.Second)
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Confirmations != 2 {
			w.t.Fatalf("hold: %+v", hold)
		}
		w.stop()
		time.Sleep(time.Hour)
		w.source = newSource(80)
		w.opts.Backends[0].Feeds[0].Source = w.source
		w.start()
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Confirmations != 2 || time.Until(hold.ReleasesAt) > 6*time.Second {
			w.t.Fatalf("hold: %+v", hold)
		}
		w.pass(6 * time.Second)
		w.wantReady(a, 1)
	})
}
