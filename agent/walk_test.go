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

// TestRandomWalk lets everything go wrong that can, at random, with one feed, with
// two, and with one that stands in for the other: at every step no slot is ready
// at an address that no feed ever listed, and what a feed in use listed last is in
// force, also while it fails; once all is well again, every instance shows what
// the feeds list.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	seeds := 8
	if testing.Short() {
		seeds = 4
	}
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomWalk(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

// A walker is a feed in a walk, with what it listed last.
type walker struct {
	*fakeSource
	from, wide, least int
	last              []int
}

// walkers gives a world its feeds.
func (w *world) walkers(random *rand.Rand) []*walker {
	out := []*walker{{fakeSource: w.source, from: 80, wide: 25, least: 5, last: span(80, 89)}}
	kind := random.IntN(3)
	if kind > 0 {
		out = append(out, &walker{fakeSource: w.second(newSource()), from: 180, wide: 8, last: span(180, 182)})
	}
	if kind == 2 { // the primary may lack
		w.opts.Backends[0].Failover.Primary = "test"
		out[0].wide, out[0].least = 12, 0
	}
	for _, s := range out {
		s.reading = discovery.Complete(eps(s.last...)...)
	}
	return out
}

// wander has the feed list something else.
func (s *walker) wander(random *rand.Rand) {
	next := map[int]bool{}
	for range s.least + random.IntN(10) {
		next[s.from+random.IntN(s.wide)] = true
	}
	s.last = slices.Sorted(maps.Keys(next))
	s.list(s.last...)
}

// wantInForce fails the test if something is not in force that a feed in use was
// heard to list last.
func (w *world) wantInForce(feeds []*walker) {
	w.t.Helper()
	status := w.status()
	for i, s := range feeds {
		for _, e := range s.heard() {
			if status.Sources[i].InUse && !slices.Contains(status.Backends[0].Endpoints, e) {
				w.t.Fatalf("%v is not in force, of %+v", e, status.Sources[i])
			}
		}
	}
}

// inTheEnd are the ports that feeds at rest have in force.
func (w *world) inTheEnd(feeds []*walker) []int {
	if w.opts.Backends[0].Failover.Primary == "" || len(feeds[0].last) == 0 {
		var all []int
		for _, s := range feeds {
			all = append(all, s.last...)
		}
		return all
	}
	return feeds[0].last
}

func randomWalk(t *testing.T, random *rand.Rand) {
	a, b, c := newFake("a", "web", 30), newFake("b", "web", 30), newFake("c", "web", 30)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].RepairExternal = true // a walk cannot tell its own steps from somebody else's
		feeds := w.walkers(random)
		w.start()
		listed := map[netip.AddrPort]bool{}
		list := func() {
			for _, s := range feeds {
				for _, p := range s.last {
					listed[addr(p)] = true
				}
			}
		}
		list()
		for range 60 {
			w.misfortune(random, feeds[random.IntN(len(feeds))])
			list()
			w.pass(time.Duration(random.IntN(4000)) * time.Millisecond)
			w.wantInForce(feeds)
			for _, conn := range w.conns {
				conn.wantOnly(w, listed)
			}
		}
		for _, conn := range w.conns {
			conn.heal()
		}
		for range 3 {
			for _, s := range feeds {
				s.list(s.last...)
			}
			w.pass(10 * time.Minute) // holds, drains, fights
		}
		w.pass(time.Hour)
		want := w.inTheEnd(feeds)
		for _, conn := range w.conns {
			w.wantPorts(conn, want...)
			w.wantSync(conn.name, true)
			if conn.show() != a.show() {
				w.t.Fatalf("%s differs: %s\n%s", conn.name, conn.show(), a.show())
			}
		}
	}, a, b, c)
}

// misfortune does one thing to an instance or to a feed.
func (w *world) misfortune(random *rand.Rand, feed *walker) {
	conn := w.conns[random.IntN(len(w.conns))]
	switch random.IntN(12) {
	case 0:
		feed.fail()
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
		feed.wander(random)
	}
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
