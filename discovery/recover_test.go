package discovery_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A system is what many sources ask; it is up or not.
type system struct {
	mu    sync.Mutex
	up    bool
	sick  map[int]bool // members that it never answers
	asked []time.Time
	gate  discovery.RecoveryProbe
}

var errDown = discovery.Errorf(discovery.Transport, "down")

// ask takes 10 ms.
func (s *system) ask(ctx context.Context, id int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	if !s.up || s.sick[id] {
		return errDown
	}
	return nil
}

func (s *system) set(up bool) { s.mu.Lock(); s.up, s.asked = up, nil; s.mu.Unlock() }

// questions returns how many there were since the system last went up or down.
func (s *system) questions() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.asked) }

// A member is a source of a system.
type member struct {
	system   *system
	id       int
	activity discovery.Activity
	told     bool
}

func (m *member) String() string                                           { return "member" }
func (m *member) Activity() discovery.Activity                             { return m.activity }
func (m *member) Confirm(context.Context) (r discovery.Reading, err error) { return r, errDown }

// Next answers once, and then again when the system has gone and come back.
func (m *member) Next(ctx context.Context) (discovery.Reading, error) {
	for {
		if err := m.system.ask(ctx, m.id); err != nil {
			m.told = false
			return discovery.Reading{}, err
		}
		if !m.told {
			m.told = true
			return reading(m.id), nil
		}
		select {
		case <-ctx.Done():
			return discovery.Reading{}, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (m *member) Recovered(ctx context.Context, _ error) {
	m.system.gate.Wait(ctx, func(ctx context.Context) error { return m.system.ask(ctx, m.id) })
}

// watchMembers watches n sources of s, and tells of every update.
func watchMembers(ctx context.Context, s *system, n int, publish func(id int, u discovery.Update)) (wait func()) {
	var all sync.WaitGroup
	for id := range n {
		all.Go(func() {
			discovery.Watch(ctx, &member{system: s, id: id}, func(u discovery.Update) { publish(id, u) })
		})
	}
	return all.Wait
}

// Hundreds of sources are current within about two seconds of their system,
// however long it was away, and ask less than once each a minute in between. One
// that is never answered holds up nobody.
func TestWatchIsCurrentSoonAfterRecovery(t *testing.T) {
	const n = 150
	for _, away := range []time.Duration{3 * time.Second, time.Minute, 5 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &system{up: true, sick: map[int]bool{7: true}}
				var mu sync.Mutex
				current := map[int]time.Time{}
				ctx, cancel := context.WithCancel(t.Context())
				wait := watchMembers(ctx, s, n, func(id int, u discovery.Update) {
					mu.Lock()
					defer mu.Unlock()
					if delete(current, id); u.Err == nil {
						current[id] = u.At
					}
				})
				time.Sleep(time.Minute)
				for range 3 {
					s.set(false)
					time.Sleep(away)
					if asked, most := s.questions(), n*int(away/(14*time.Second)+8); asked > most {
						t.Errorf("%d questions in %s, want at most %d", asked, away, most)
					}
					s.set(true)
					back := time.Now()
					time.Sleep(2750 * time.Millisecond) // two questions, of which one may be 7's, and what they are spread over
					synctest.Wait()
					mu.Lock()
					var last time.Duration
					for _, at := range current {
						last = max(last, at.Sub(back))
					}
					if len(current) != n-1 {
						t.Errorf("%d of %d are current", len(current), n-1)
					}
					t.Logf("away for %s: all current after %s", away, last)
					mu.Unlock()
					time.Sleep(time.Minute)
				}
				cancel()
				wait()
			})
		})
	}
}

// TestRecoveryProbeGoesOnAfterAQuestionThatIsCut: who leaves while it asks does not put off the
// others, who learn at once what it would have learnt.
func TestRecoveryProbeGoesOnAfterAQuestionThatIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g discovery.RecoveryProbe
		first, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			g.Wait(first, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		})
		synctest.Wait()
		all.Go(func() { g.Wait(t.Context(), func(context.Context) error { return nil }) })
		time.Sleep(1500 * time.Millisecond) // the first one asks
		cut := time.Now()
		cancel()
		all.Wait()
		if late := time.Since(cut); late > 0 {
			t.Errorf("the second one went on %s after the first had left", late)
		}
	})
}

// TestRecoveryProbeWaitsAfterEveryAnswer: one who is answered, badly, and leaves for that, has
// asked.
func TestRecoveryProbeWaitsAfterEveryAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g discovery.RecoveryProbe
		asked := 0
		for begun := time.Now(); time.Since(begun) < time.Minute; {
			ctx, leave := context.WithCancel(t.Context())
			g.Wait(ctx, func(context.Context) error { asked++; leave(); return errDown })
		}
		if asked > 75 {
			t.Errorf("asked %d times in a minute", asked)
		}
	})
}

func TestRecoveryProbeAsksOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &system{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var all sync.WaitGroup
		for id := range 50 {
			all.Go(func() { (&member{system: s, id: id}).Recovered(ctx, errDown) })
		}
		all.Wait()
		if n := s.questions(); n < 48 || n > 75 {
			t.Errorf("50 waited for a minute and asked %d times", n)
		}
	})
}

func TestRecoveryProbeLetsGo(t *testing.T) {
	ok := func(context.Context) error { return nil }
	tests := []struct {
		name string
		ask  func(context.Context) error
		ctx  time.Duration
		want time.Duration // about, ±20 % of a second
	}{
		{"when it is answered", ok, time.Hour, time.Second},
		{"when ctx is done", func(context.Context) error { return errDown }, 10 * time.Second, 10 * time.Second},
		{"when ctx is done before the first question", ok, 100 * time.Millisecond, 100 * time.Millisecond},
		{"when ctx was done before", ok, 0, 0},
		{"when ctx ends a question", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 5 * time.Second, 5 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g discovery.RecoveryProbe
				for range 2 { // it is as good as new afterwards
					ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
					start := time.Now()
					g.Wait(ctx, test.ask)
					if took := time.Since(start); took < test.want-200*time.Millisecond || took > test.want+200*time.Millisecond {
						t.Errorf("it took %s, want about %s", took, test.want)
					}
					cancel()
				}
			})
		})
	}
}

// Who leaves hands the turn on; so does who panics.
func TestRecoveryProbeTurnIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g discovery.RecoveryProbe
		var all sync.WaitGroup
		all.Go(func() {
			defer func() { _ = recover() }()
			g.Wait(t.Context(), func(context.Context) error { panic("broken") })
		})
		synctest.Wait()
		brief, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		all.Go(func() { g.Wait(brief, func(context.Context) error { return errDown }) })
		synctest.Wait()
		start := time.Now()
		g.Wait(t.Context(), func(context.Context) error { return nil })
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the third waited %s", took)
		}
		all.Wait()
	})
}

// A recoverer is a source that fails, and says at once that it is worth asking
// again, or panics.
type recoverer struct {
	scripted
	recovered func(ctx context.Context)
}

func (r *recoverer) Recovered(ctx context.Context, _ error) { r.recovered(ctx) }

func TestWatchWithRecoverer(t *testing.T) {
	tests := []struct {
		name      string
		recovered func(ctx context.Context)
		min, max  int // questions within ten minutes, by a source that fails for ever
	}{
		{"that is always hopeful", func(context.Context) {}, 11_000, 12_001},
		{"that waits", func(ctx context.Context) { <-ctx.Done() }, 20, 100},
		{"that panics", func(context.Context) { panic("nil map") }, 20, 100},
		{"that ignores its end for a while", func(context.Context) { time.Sleep(time.Minute) }, 9, 11},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &recoverer{recovered: test.recovered}
				src.answer = func(context.Context, int) (discovery.Reading, error) { return discovery.Reading{}, errDown }
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				late := 0
				last := time.Time{}
				discovery.Watch(ctx, src, func(u discovery.Update) {
					if !errors.Is(u.Err, errDown) || len(u.Reading.Parts) != 0 || u.Again.Before(u.At) {
						t.Errorf("update %+v", u)
					}
					if !last.IsZero() && u.At.After(last) {
						late++
					}
					last = u.Again
				})
				if n := len(src.asked); n < test.min || n > test.max {
					t.Errorf("asked %d times, want %d to %d", n, test.min, test.max)
				}
				if late > 0 && test.min > 11 {
					t.Errorf("%d times later than Again said", late)
				}
			})
		})
	}
}

// One that is answered without having waited lets all others go on.
func TestRecoveryProbeIsOpenedFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g discovery.RecoveryProbe
		g.Open() // nobody waits
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { g.Wait(t.Context(), func(context.Context) error { return errDown }) })
		}
		time.Sleep(5 * time.Second)
		start := time.Now()
		g.Open()
		all.Wait()
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %s", took)
		}
	})
}
