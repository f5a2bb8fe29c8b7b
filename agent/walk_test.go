package agent

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// TestRandomWalk lets everything go wrong that can, at random: at every step no
// slot is ready at an address that the source never listed, and no error takes
// one out; once all is well again, every instance shows what the source lists.
func TestRandomWalk(t *testing.T) {
	seeds := 25
	if testing.Short() {
		seeds = 5
	}
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomWalk(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func randomWalk(t *testing.T, random *rand.Rand) {
	a, b, c := newFake("a", "web", 30), newFake("b", "web", 30), newFake("c", "web", 30)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].RepairExternal = true // a walk cannot tell its own steps from somebody else's
		w.source.reading.Endpoints = eps(span(80, 89)...)
		w.start()
		listed := map[netip.AddrPort]bool{}
		last := span(80, 89)
		for range 60 {
			for _, p := range last {
				listed[addr(p)] = true
			}
			last = w.misfortune(random, last)
			for _, p := range last {
				listed[addr(p)] = true
			}
			w.pass(time.Duration(random.IntN(4000)) * time.Millisecond)
			for _, conn := range w.conns {
				conn.wantOnly(w, listed)
			}
		}
		for _, conn := range w.conns {
			conn.heal()
		}
		w.source.list(last...)
		w.pass(10 * time.Minute) // holds, drains, fights
		w.source.list(last...)
		w.pass(time.Hour)
		for _, conn := range w.conns {
			w.wantReady(conn, len(last))
			w.wantSync(conn.name, true)
			if conn.show() != a.show() {
				w.t.Fatalf("%s differs: %s\n%s", conn.name, conn.show(), a.show())
			}
		}
	}, a, b, c)
}

// misfortune does one thing and returns the ports that the source listed last.
func (w *world) misfortune(random *rand.Rand, last []int) []int {
	conn := w.conns[random.IntN(len(w.conns))]
	switch random.IntN(12) {
	case 0:
		w.source.fail()
	case 1:
		conn.with(func() { conn.err = absent() })
	case 2:
		conn.with(func() {
			if conn.hang == nil {
				conn.hang = make(chan struct{})
			}
		})
	case 3, 4:
		conn.heal()
	case 5:
		conn.restart(random.IntN(2) == 0)
	case 6:
		conn.with(func() {
			conn.afterIt = &slots.InstanceError{Fault: slots.Hung, Sent: true, Err: errors.New("no answer")}
		})
	case 7:
		conn.set(fmt.Sprintf("web%d", 1+random.IntN(30)), func(s *slots.Server) { s.Class = slots.Class(random.IntN(2)) })
	case 8:
		conn.set(fmt.Sprintf("web%d", 1+random.IntN(30)), func(s *slots.Server) {
			if s.Class != slots.Maint || s.Sessions > 0 { // in maintenance sessions only end
				s.Sessions = random.IntN(2)
			}
		})
	default:
		next := map[int]bool{}
		for range 5 + random.IntN(10) {
			next[80+random.IntN(25)] = true
		}
		last = slices.Sorted(maps.Keys(next))
		w.source.say(discovery.Reading{Endpoints: eps(last...)}, nil)
	}
	return last
}

// heal ends whatever is wrong with the instance.
func (f *fakeConn) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hang != nil {
		close(f.hang)
	}
	f.hang, f.err, f.afterIt, f.late = nil, nil, nil, nil
	for _, servers := range f.servers {
		for i := range servers {
			servers[i].Sessions = 0
		}
	}
}

// wantOnly fails the test if a slot is ready where none may be.
func (f *fakeConn) wantOnly(w *world, listed map[netip.AddrPort]bool) {
	w.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.servers["web"] {
		if s.Class == slots.Ready && !listed[s.Addr] {
			w.t.Fatalf("%s: %s is ready at %s, which nobody ever listed", f.name, s.Name, s.Addr)
		}
	}
}
