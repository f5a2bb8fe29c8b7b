package discovery

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	maxSetbacks  = 3 // that many in a row within
	setbacksTime = time.Minute
)

// Setbacks counts how often in a row the index of blocking queries went back. The
// zero value is none. It is not safe for concurrent use.
type Setbacks struct{ at []time.Time }

// Add counts one more. A server whose index goes back again and again is in trouble,
// and must not be asked in a circle: 3 within a minute are an error.
func (s *Setbacks) Add(now time.Time) error {
	s.at = append(s.at, now)
	if len(s.at) < maxSetbacks {
		return nil
	}
	first := s.at[len(s.at)-maxSetbacks]
	s.at = s.at[len(s.at)-maxSetbacks+1:]
	if now.Sub(first) < setbacksTime {
		return Errorf(Server, "the index went back %d times within %s", maxSetbacks, setbacksTime)
	}
	return nil
}

// End says that a blocking query was answered as it should be.
func (s *Setbacks) End() { s.at = nil }

// Collapsed reports whether so few instances are left that a server which is behind,
// or was just started, would be a better reason than the service.
func Collapsed(had, n int) bool { return n < had && (n == 0 || had-n >= 3 && 2*n <= had) }

// Around returns d ±20 %, so that what began together does not stay together. d is
// some nanoseconds at least.
func Around(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }

// Sleep returns after d, or when ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
