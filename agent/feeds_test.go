package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// second gives the backend of a world another feed.
func (w *world) second(s *fakeSource) *fakeSource {
	b := &w.opts.Backends[0]
	b.Feeds = append(b.Feeds, Feed{Name: "other", Source: s, Key: "o"})
	return s
}

// wantPorts fails the test if other addresses are ready than these.
func (w *world) wantPorts(c *fakeConn, ports ...int) {
	w.t.Helper()
	var got []int
	c.with(func() {
		for _, s := range c.servers["web"] {
			if s.Class == slots.Ready {
				got = append(got, int(s.Addr.Port()))
			}
		}
	})
	slices.Sort(got)
	if !slices.Equal(got, ports) {
		w.t.Fatalf("%v are ready, want %v: %s", got, ports, c.show())
	}
}

// again stops the agent and starts it with sources that say nothing yet.
func (w *world) again(away time.Duration) (first, second *fakeSource) {
	w.stop()
	time.Sleep(away)
	w.source = newMute()
	second = newMute()
	w.opts.Backends[0].Feeds[0].Source, w.opts.Backends[0].Feeds[1].Source = w.source, second
	w.start()
	return w.source, second
}

func TestX12_TwoSourcesOneFailing(t *testing.T) {
	t.Run("union keeps the part of the failing one", func(t *testing.T) {
		a := newFake("a", "web", 10)
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(80, 81)...)
			other := w.second(newSource(90, 91))
			w.start()
			w.wantPorts(a, 80, 81, 90, 91)
			other.fail()
			w.source.list(81)
			w.pass(time.Hour)
			w.wantPorts(a, 81, 90, 91)
			other.list(91)
			w.settle()
			w.wantPorts(a, 81, 91)
		}, a)
	})
	t.Run("failover is for a lack and not for an error", func(t *testing.T) {
		a := newFake("a", "web", 10)
		inWorld(t, func(w *world) {
			w.opts.Backends[0].Failover.Primary = "test"
			w.source.reading = discovery.Complete(eps(80, 81)...)
			w.second(newSource(90, 91))
			w.start()
			w.wantPorts(a, 80, 81)
			w.source.fail()
			w.pass(time.Hour)
			w.wantPorts(a, 80, 81)
		}, a)
	})
	t.Run("one that has never answered", func(t *testing.T) {
		a := newFake("a", "web", 10)
		inWorld(t, func(w *world) {
			w.source.reading = discovery.Complete(eps(80, 81)...)
			other := w.second(newMute())
			w.start()
			w.wantPorts(a, 80, 81)
			w.source.list(81, 82) // the other one never listed 80
			w.pass(time.Hour)
			w.wantPorts(a, 81, 82)
			other.list(90)
			w.settle()
			w.wantPorts(a, 81, 82, 90)
		}, a)
	})
}

func TestFailover(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover.Primary = "test"
		w.opts.Backends[0].Guard.EmptyHold = guard.Off
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.second(newSource(90, 91))
		w.start()
		inUse := func() [2]bool { s := w.status().Sources; return [2]bool{s[0].InUse, s[1].InUse} }
		if inUse() != [2]bool{true, false} {
			w.t.Errorf("in use: %v", inUse())
		}
		w.source.list()
		w.pass(sources.DefaultFailoverAfter - time.Second)
		w.wantPorts(a)
		w.pass(time.Second)
		w.wantPorts(a, 90, 91)
		if inUse() != [2]bool{false, true} {
			w.t.Errorf("in use: %v", inUse())
		}
		w.wantTold(api.EventFailover, "test lists 0 ready endpoints and needs 1; in use now: "+w.status().Sources[1].Name)

		// It is back for a while, away again, and then for good.
		w.source.list(80)
		w.pass(sources.DefaultFailoverBack - time.Second)
		w.source.list()
		w.settle()
		w.source.list(80)
		w.pass(sources.DefaultFailoverBack - time.Second)
		w.wantPorts(a, 90, 91)
		first, second := w.again(time.Hour) // which is remembered
		first.list(80)
		second.list(90, 91)
		w.settle()
		w.wantPorts(a, 90, 91)
		w.pass(2 * time.Second)
		w.wantPorts(a, 80)
	}, a)
}

// After a failback the sources that stood in list theirs still, as they may: that holds none of it.
func TestFailbackEndsWithoutThoseWhoStoodIn(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover.Primary = "test"
		w.opts.Backends[0].Guard.EmptyHold = guard.Off
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.second(newSource(span(90, 97)...))
		w.start()
		w.source.list()
		w.pass(sources.DefaultFailoverAfter + time.Second)
		w.wantPorts(a, span(90, 97)...)
		w.source.list(80, 81)
		w.pass(sources.DefaultFailoverBack + time.Second)
		w.wantPorts(a, append([]int{80, 81}, span(90, 97)...)...) // too many to go unconfirmed
		w.pass(guard.DefaultRemovalHold + 5*time.Second)
		w.wantPorts(a, 80, 81)
	}, a)
}

// What stands by and is dead keeps no hold of the primary's from ending, though it listed the same.
func TestDeadStandInHoldsNothing(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover.Primary = "test"
		w.source.reading = discovery.Complete(eps(span(80, 89)...)...)
		other := w.second(newSource(span(80, 89)...))
		w.start()
		other.fail()
		w.pass(time.Second)
		w.source.list(80)
		w.pass(guard.DefaultRemovalHold + 5*time.Second)
		w.wantPorts(a, 80)
	}, a)
}

// A primary that never answers is stood in for, but nothing is removed.
func TestPrimaryThatNeverAnswers(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover.Primary = "test"
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.second(newSource(90))
		w.start()
		w.stop()
		w.opts.StateDir = stateDir(w.t) // nothing is known any more
		w.source = newMute()
		w.opts.Backends[0].Feeds[0].Source, w.opts.Backends[0].Feeds[1].Source = w.source, newSource(90)
		w.start()
		w.pass(sources.DefaultFailoverAfter - time.Second)
		w.wantPorts(a, 80, 81)
		w.pass(time.Hour)
		w.wantPorts(a, 80, 81) // which nobody listed: the other one may be of another service
		w.source.list(81)
		w.pass(2 * time.Minute)
		w.wantPorts(a, 80, 81) // 80 is nobody's: somebody has to accept that it goes
	}, a)
}

func TestFeedsAreStored(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.second(newSource(90, 91))
		w.start()
		first, second := w.again(time.Hour)
		first.list(81) // strong, for the part of the other is known
		w.settle()
		w.wantPorts(a, 81, 90, 91)
		second.list(91)
		w.settle()
		w.wantPorts(a, 81, 91)
	}, a)
}

func TestFeedsAreReconfigured(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		other := w.second(newSource(90, 91))
		w.start()
		change := func(feeds ...Feed) {
			w.t.Helper()
			next := w.opts
			next.Backends = []Backend{next.Backends[0]}
			next.Backends[0].Feeds = feeds
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				w.t.Fatal(err)
			}
			w.opts = next
			w.settle()
		}
		kept := w.opts.Backends[0].Feeds[1]
		changed := newMute()
		change(Feed{Name: "test", Source: changed, Key: "b"}, kept)
		other.list(91) // goes on, and what the changed one had stays
		w.settle()
		w.wantPorts(a, 80, 81, 91)
		changed.list(81)
		w.settle()
		w.wantPorts(a, 80, 81, 91) // 80 is no feed's to remove
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		w.wantPorts(a, 81, 91)

		change(w.opts.Backends[0].Feeds[0]) // the other one goes: its endpoint is nobody's
		w.pass(time.Hour)
		w.wantPorts(a, 81, 91)
		if hold := w.status().Backends[0].Hold; hold == nil || hold.Kind != api.HoldTakeover {
			w.t.Errorf("hold: %+v", hold)
		}

		other.asked = false // it comes back and lists what was nobody's
		change(w.opts.Backends[0].Feeds[0], kept)
		w.pass(time.Minute)
		w.wantPorts(a, 81, 91)
		if hold := w.status().Backends[0].Takeover; hold != nil {
			w.t.Errorf("takeover of what is listed: %+v", hold)
		}
	}, a)
}

func TestFeedsThatCannotBe(t *testing.T) {
	ok := Backend{Name: "web", Feeds: []Feed{{Name: "a"}, {Name: "b"}}}
	tests := map[string]func(*Backend){
		"none":            func(b *Backend) { b.Feeds = nil },
		"two of one name": func(b *Backend) { b.Feeds[1].Name = "a" },
		"no such primary": func(b *Backend) { b.Failover.Primary = "c" },
		"no such way":     func(b *Backend) { b.OnAllUnhealthy = "pray" },
	}
	if err := errors.Join(ok.checkFeeds()...); err != nil {
		t.Error(err)
	}
	for name, spoil := range tests {
		b := Backend{Name: "web", Feeds: []Feed{{Name: "a"}, {Name: "b"}}}
		if spoil(&b); len(b.checkFeeds()) != 1 {
			t.Errorf("%s: %v", name, b.checkFeeds())
		}
	}
}

// A slowSource takes its time to confirm.
type slowSource struct{ *fakeSource }

func (s slowSource) Confirm(ctx context.Context) (discovery.Reading, error) {
	time.Sleep(8 * time.Second)
	return s.fakeSource.Confirm(ctx)
}

func TestFailoverBeginsAnewWithAnotherPrimary(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover = sources.Failover{Primary: "test", Min: 2}
		w.opts.Backends[0].Guard.EmptyHold = guard.Off
		w.source.reading = discovery.Complete(eps(80)...)
		w.second(newSource(90, 91))
		w.start()
		w.pass(sources.DefaultFailoverAfter)
		w.pass(guard.DefaultTurnover)
		w.wantPorts(a, 90, 91)
		next := w.opts
		next.Backends = []Backend{next.Backends[0]}
		next.Backends[0].Failover.Primary = "other"
		if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
		s := w.status().Sources
		if s[0].InUse || !s[1].InUse {
			w.t.Errorf("in use: %v %v", s[0].InUse, s[1].InUse)
		}
		w.pass(guard.DefaultTurnover)
		w.wantPorts(a, 90, 91)

		// The same over a restart.
		w.source.list()
		w.settle()
		w.opts.Backends[0].Failover.Primary = "test"
		first, second := w.again(time.Minute)
		first.list(80, 81)
		second.list(90, 91)
		w.settle()
		if s := w.status().Sources; !s[0].InUse || s[1].InUse {
			w.t.Errorf("in use after a restart: %v %v", s[0].InUse, s[1].InUse)
		}
	}, a)
}
