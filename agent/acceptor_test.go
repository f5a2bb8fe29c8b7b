package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// An acceptor is a source with one part, as Consul's list: it stays partial until somebody
// accepts what it lacks.
type acceptor struct {
	*fakeSource
	accepted int
	memory   string
}

func (s *acceptor) Accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	s.reading = discovery.Complete(s.reading.Endpoints()...)
}

func (s *acceptor) Memory() []byte { s.mu.Lock(); defer s.mu.Unlock(); return []byte(s.memory) }

func (s *acceptor) Remember(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked {
		panic("it is reminded after it was asked")
	}
	s.memory = string(text)
}

func (s *acceptor) told() int { s.mu.Lock(); defer s.mu.Unlock(); return s.accepted }

// accepting starts with an acceptor that lists four, of which it may not see one any more.
func (w *world) accepting(a *fakeConn) *acceptor {
	w.t.Helper()
	s := &acceptor{fakeSource: newSource(80, 81, 82, 83)}
	w.source = s.fakeSource
	w.opts.Backends[0].Feeds[0].Source = s
	w.start()
	s.say(partial(eps(80, 81, 82)...), nil)
	w.settle()
	w.wantKept("83", "")
	w.wantPorts(a, 80, 81, 82, 83)
	return s
}

// TestAcceptOfAPartOfWhatIsKept: a source is told that what it lacks is gone when nothing of it
// is kept any more, and not when some of that was shown.
func TestAcceptOfAPartOfWhatIsKept(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		s := w.accepting(a)
		first := w.wantKept("83", "").ID
		s.say(partial(eps(80, 81)...), nil)
		w.settle()
		w.wantKept("82 83", "")
		if _, err := w.agent.Accept(w.t.Context(), "web", first, "ann"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.wantPorts(a, 80, 81, 82)
		if s.told() != 0 {
			w.t.Error("the source is told that what was not shown is gone")
		}
		if err := w.accept("web"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.wantPorts(a, 80, 81)
		if s.told() != 1 {
			w.t.Errorf("the source is told %d times", s.told())
		}
	}, a)
}

// TestAcceptOfAnotherSourcesKept: nor is one told that keeps the same and more.
func TestAcceptOfAnotherSourcesKept(t *testing.T) {
	a := newFake("a", "web", 10)
	inWorld(t, func(w *world) {
		other, s := &acceptor{fakeSource: newSource(83, 84)}, &acceptor{fakeSource: newSource(80, 83)}
		w.opts.Backends[0].Feeds = []Feed{{Name: "other", Source: other, Key: "o"}, {Name: "test", Source: s, Key: "a"}}
		w.start()
		s.say(partial(eps(80)...), nil)
		w.settle()
		other.say(partial(), nil)
		w.settle()
		kept := w.kept()
		if len(kept) != 2 || portsOf(kept[1].Endpoints) != "83" {
			w.t.Fatalf("kept: %+v", kept)
		}
		if _, err := w.agent.Accept(w.t.Context(), "web", kept[1].ID, "ann"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantPorts(a, 80, 84)
		if s.told() != 1 || other.told() != 0 {
			w.t.Errorf("the source is told %d times, the other %d", s.told(), other.told())
		}
	}, a)
}

// inOrder holds the loop, has each of these post something to it, and lets it do them with a
// second after the second.
func (w *world) inOrder(first, then func()) {
	w.t.Helper()
	hold := func() (release chan struct{}) {
		release = make(chan struct{})
		w.agent.do <- task{do: func(context.Context) { <-release }}
		return release
	}
	begin := hold()
	first()
	w.settle()
	between := hold()
	then()
	w.settle()
	close(begin)
	w.pass(time.Second)
	close(between)
	w.settle()
}

// TestAcceptMeetsAnOlderAnswer: what a list that was judged before the accept lacks besides is
// not kept for good: the reading that was asked for because of the accept is the younger one,
// and one that cannot be had is asked for again.
func TestAcceptMeetsAnOlderAnswer(t *testing.T) {
	for name, fails := range map[string]int{"the reading is there": 0, "it cannot be had at first": 2} {
		t.Run(name, func(t *testing.T) {
			a := newFake("a", "web", 10)
			inWorld(t, func(w *world) {
				s := w.accepting(a)
				if fails > 0 {
					s.onConfirm(func() (discovery.Reading, error) {
						if s.confirms <= fails {
							return discovery.Reading{}, errors.New("no leader")
						}
						return s.reading, nil
					})
				}
				id := w.wantKept("83", "").ID
				done := make(chan error, 1)
				w.inOrder(func() {
					go func() { _, err := w.agent.Accept(context.Background(), "web", id, "ann"); done <- err }()
				}, func() {
					s.say(partial(eps(80, 81)...), nil)
				})
				if err := <-done; err != nil {
					w.t.Fatal(err)
				}
				w.pass(time.Duration(fails) * 2 * time.Second)
				w.wantPorts(a, 80, 81)
				if len(w.kept()) > 0 {
					w.t.Errorf("kept: %+v", w.kept())
				}
				asked := s.confirmed()
				w.pass(time.Hour)
				if n := s.confirmed() - asked; n > 0 {
					w.t.Errorf("asked %d times more", n)
				}
			}, a)
		})
	}
}

// TestReconfiguredSourceIsReminded: the same question, asked otherwise, goes on with what the
// source learnt; another one does not.
func TestReconfiguredSourceIsReminded(t *testing.T) {
	for _, identity := range []string{"a", "other"} {
		a := newFake("a", "web", 10)
		inWorld(t, func(w *world) {
			w.opts.Backends[0].Feeds[0].Source = &acceptor{fakeSource: newSource(80), memory: "it was whole"}
			w.start()
			next := w.opts
			next.Backends = []Backend{next.Backends[0]}
			s := &acceptor{fakeSource: newSource(80)}
			next.Backends[0].Feeds = []Feed{{Name: "test", Source: s, Key: "other", Identity: identity}}
			if err := w.agent.Reconfigure(w.t.Context(), next); err != nil {
				w.t.Fatal(err)
			}
			w.settle()
			if reminded := s.memory != ""; reminded != (identity == "a") {
				w.t.Errorf("of %q it remembers %q", identity, s.memory)
			}
		}, a)
	}
}
