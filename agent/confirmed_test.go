package agent

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
)

// This file is about who has a say of what is held, where there are several sources.

// TestSilentSourceHoldsNothingOfAnothers: where what two sources listed is held, and one of them
// does not answer then, or not of a part, what the other one listed is confirmed and goes.
func TestSilentSourceHoldsNothingOfAnothers(t *testing.T) {
	t.Parallel()
	for name, silence := range map[string]func(*fakeSource){
		"of all": func(s *fakeSource) { s.fail() },
		"of a part": func(s *fakeSource) {
			unknown := discovery.Part{Name: "old", State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "503")}
			s.say(discovery.Reading{Parts: []discovery.Part{{Name: "new", Endpoints: eps(90)}, unknown}}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 20)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(span(80, 89)...)...)
				other := newSource()
				other.reading = discovery.Reading{Parts: []discovery.Part{{Name: "new", Endpoints: eps(90)}, {Name: "old", Endpoints: eps(span(91, 94)...)}}}
				w.second(other)
				w.start()
				w.pass(time.Minute)
				w.source.list(80)
				w.settle() // the other loses few, which go at once unless something is held
				other.say(discovery.Reading{Parts: []discovery.Part{{Name: "new", Endpoints: eps(90)}, {Name: "old"}}}, nil)
				w.pass(time.Second)
				silence(other)
				w.pass(guard.DefaultRemovalHold + 5*time.Second)
				w.wantPorts(a, append([]int{80}, span(90, 94)...)...)
			}, a)
		})
	}
}

// TestSilentStandInHoldsNothingOfThePrimary: of several that stand in, one that never answered has no
// say of what it never listed.
func TestSilentStandInHoldsNothingOfThePrimary(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 30)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover.Primary = "test"
		w.source.reading = discovery.Complete(eps(span(80, 89)...)...)
		w.second(newSource(90, 91))
		third := newMute()
		b := &w.opts.Backends[0]
		b.Feeds = append(b.Feeds, Feed{Name: "third", Source: third, Key: "t"})
		w.start()
		third.fail()
		w.pass(time.Minute)
		w.source.list()
		w.pass(sources.DefaultFailoverAfter + guard.DefaultEmptyHold + guard.DefaultRemovalHold + time.Minute)
		w.wantPorts(a, 90, 91)
	}, a)
}

// TestErrorsConfirmNothing: where no source in use ever listed what would go, and those that are
// asked instead do not answer, nothing is confirmed.
func TestErrorsConfirmNothing(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.opts.Backends[0].Failover.Primary = "test"
		w.second(newSource(span(90, 97)...))
		w.start()
		w.source.list()
		w.pass(sources.DefaultFailoverAfter + time.Second)
		w.wantPorts(a, span(90, 97)...)
		w.source.onConfirm(func() (discovery.Reading, error) {
			return discovery.Reading{}, discovery.Errorf(discovery.Server, "no leader")
		})
		w.source.list(80, 81)
		w.pass(sources.DefaultFailoverBack + time.Hour)
		w.wantPorts(a, append([]int{80, 81}, span(90, 97)...)...)
		w.source.onConfirm(nil)
		w.pass(guard.DefaultRemovalHold + 20*time.Second)
		w.wantPorts(a, 80, 81)
	}, a)
}

// A hold waits for the feed whose endpoints would go, and with those alone.
func TestHoldWaitsForTheFeedWhoseEndpointsWouldGo(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(span(80, 87)...)...)
		other := w.second(newSource(90, 91))
		w.start()
		other.fail() // nothing of it would go: it delays nothing
		w.source.list(80)
		w.pass(guard.DefaultRemovalHold - time.Second)
		w.wantReady(a, 10)
		w.pass(2 * time.Second)
		w.wantReady(a, 3)
		if w.source.confirmed() != 3 || other.confirmed() != 0 {
			w.t.Errorf("confirmed %d and %d times, want 3 and 0", w.source.confirmed(), other.confirmed())
		}

		w.source.list(span(80, 87)...)
		other.list(span(90, 94)...)
		w.settle()
		w.wantReady(a, 13)
		w.source.list(80)
		w.settle()
		other.list(90)
		w.pass(time.Second)
		other.fail()
		w.pass(time.Hour)
		w.wantPorts(a, append([]int{80}, span(90, 94)...)...)
		other.list(90)
		w.pass(guard.DefaultRemovalHold)
		w.wantReady(a, 2)
	}, a)
}

func TestConfirmationIsOfItsFeed(t *testing.T) {
	t.Parallel()
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(span(80, 86)...)...)
		other := w.second(newSource(span(90, 94)...))
		w.start()
		other.onConfirm(func() (discovery.Reading, error) {
			return discovery.Reading{}, discovery.Errorf(discovery.Server, "no leader")
		})
		w.source.list()
		w.settle()
		other.list()
		w.pass(time.Hour)
		w.wantPorts(a, span(90, 94)...)
		other.onConfirm(nil)
		w.pass(guard.DefaultEmptyHold + 20*time.Second)
		w.wantReady(a, 0)
	}, a)
}

// TestConfirmationThatIsOlderThanNews: of two feeds one confirms at once, the other
// only after the first has said something else.
func TestConfirmationThatIsOlderThanNews(t *testing.T) {
	a := newFake("a", "web", 20)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81, 82, 83, 84, 85)...)
		other := newSource(80, 81, 82, 83, 84, 85)
		w.second(other)
		w.opts.Backends[0].Feeds[1].Source = slowSource{other}
		w.start()
		w.wantPorts(a, 80, 81, 82, 83, 84, 85)
		w.source.list(80)
		other.list(80)
		w.pass(11 * time.Second) // it is confirmed by one, and the other one takes its time
		w.source.list(80, 81, 82, 83, 84, 85, 86)
		other.list(80, 81, 82, 83, 84, 85)
		w.settle()
		w.wantPorts(a, 80, 81, 82, 83, 84, 85, 86)
		w.pass(10 * time.Second)
		w.wantPorts(a, 80, 81, 82, 83, 84, 85, 86)
		if h := w.status().Backends[0].Hold; h != nil {
			t.Errorf("held: %+v", h)
		}
	}, a)
}
