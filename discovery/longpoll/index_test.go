package longpoll

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestIndexResets(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var s indexResets
	add := func(after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if err := s.add(now); (err != nil) != want || want && discovery.ClassOf(err) != discovery.Server {
			t.Errorf("got %v", err)
		}
	}
	add(0, false)
	add(time.Second, false)
	add(time.Second, true)
	add(time.Second, true)
	add(time.Hour, false)
	add(time.Second, false)
	s.end()
	add(time.Second, false)
	add(time.Second, false)
	s.end()
	add(0, false)
	add(30*time.Second, false)
	add(30*time.Second, false) // a minute is not within one
	add(29*time.Second, true)
}

func TestCollapsed(t *testing.T) {
	for _, c := range []struct {
		had, n int
		want   bool
	}{
		{-1, 0, false}, {0, 0, false}, {1, 0, true}, {2, 1, false}, {4, 2, false}, {5, 2, true}, {6, 3, true}, {6, 4, false}, {3, 3, false}, {3, 9, false},
	} {
		if got := Collapsed(c.had, c.n); got != c.want {
			t.Errorf("from %d to %d: %t", c.had, c.n, got)
		}
	}
}
