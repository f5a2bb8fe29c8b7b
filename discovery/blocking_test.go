package discovery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestSetbacks(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var s discovery.Setbacks
	add := func(after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if err := s.Add(now); (err != nil) != want || want && discovery.ClassOf(err) != discovery.Server {
			t.Errorf("got %v", err)
		}
	}
	add(0, false)
	add(time.Second, false)
	add(time.Second, true)
	add(time.Second, true)
	add(time.Hour, false)
	add(time.Second, false)
	s.End()
	add(time.Second, false)
	add(time.Second, false)
	s.End()
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
		if got := discovery.Collapsed(c.had, c.n); got != c.want {
			t.Errorf("from %d to %d: %t", c.had, c.n, got)
		}
	}
}

func TestHopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := discovery.NewHopes(10*time.Second, 2)
		for i, want := range []bool{true, true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			begin := time.Now()
			h.Wait(ctx)
			cancel()
			if took := time.Since(begin); want && took > 300*time.Millisecond || !want && took != time.Minute {
				t.Errorf("time %d: it went on after %s", i, took)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		for range 100 { // who has left takes no hope from others
			h.Wait(gone)
		}
		h.Wait(t.Context())
		if took := time.Since(begin); took > 300*time.Millisecond {
			t.Errorf("it went on after %s", took)
		}
	})
}

func TestPasses(t *testing.T) {
	for _, c := range discovery.Classes {
		want := c != discovery.Busy && c != discovery.Config && c != discovery.Protocol
		if c.Passes() != want {
			t.Errorf("%s: %t", c, !want)
		}
	}
}
