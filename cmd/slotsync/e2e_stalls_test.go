package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// grain is how long a look at a HAProxy may take, which takes a millisecond: what it takes
// beyond that is time that the machine gave to others, and does not count.
const grain = 20 * time.Millisecond

// waitOwn is waitUntil without the time that the machine gave to others.
func waitOwn(ctx context.Context, most time.Duration, done func() bool) (took time.Duration, err error) {
	last := time.Now()
	isDone := false
	_, err = waitUntil(ctx, time.Minute, func() bool {
		isDone = done()
		took += min(time.Since(last), grain)
		last = time.Now()
		return isDone || took > most
	})
	if err == nil && (took > most || !isDone) {
		err = fmt.Errorf("not within %s", most)
	}
	return took, err
}

// eventuallyOwn is eventually without the time that the machine gave to others.
func eventuallyOwn(t *testing.T, within time.Duration, check func() string) {
	t.Helper()
	wrong := ""
	if _, err := waitOwn(t.Context(), within, func() bool { wrong = check(); return wrong == "" }); err != nil {
		t.Fatalf("%v: %s", err, wrong)
	}
}

// stalls are the times that the machine gave to others, as far as looks at a HAProxy show
// them that are made all the time.
type stalls struct {
	mu    sync.Mutex
	begun time.Time // of the look that is under way
	past  []stall
}

type stall struct{ from, to time.Time }

// watch looks until the test is over.
func (s *stalls) watch(t *testing.T, look func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { cancel(); group.Wait() })
	s.begun = time.Now()
	group.Go(func() {
		tick := time.NewTicker(grain / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			s.looked(look(ctx) == nil, time.Now())
		}
	})
}

// looked notes that a look is over. One that failed says nothing of the machine.
func (s *stalls) looked(answered bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from := s.begun.Add(grain); answered && now.After(from) {
		s.past = append(s.past, stall{from, now})
	}
	s.begun = now
}

// since returns how much of the time from then to now was given to others.
func (s *stalls) since(then, now time.Time) (lost time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.past) - 1; i >= 0 && s.past[i].to.After(then); i-- {
		lost += s.past[i].to.Sub(later(s.past[i].from, then))
	}
	if from := later(s.begun.Add(grain), then); now.After(from) {
		lost += now.Sub(from)
	}
	return lost
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestStalls(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	s := stalls{begun: begin}
	s.looked(true, at(10))
	s.looked(true, at(130)) // of which 100 ms were given to others
	s.looked(false, at(530))
	s.looked(true, at(545))
	for _, c := range []struct{ from, to, want int }{
		{0, 545, 100}, {0, 565, 100}, {0, 600, 135}, {80, 545, 50}, {130, 545, 0}, {580, 600, 20},
	} {
		if got := s.since(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d: %s, want %d ms", c.from, c.to, got, c.want)
		}
	}
}
