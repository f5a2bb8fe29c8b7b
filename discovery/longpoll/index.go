package longpoll

import (
	"math/rand/v2"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	maxResets  = 3 // that many in a row within
	resetsTime = time.Minute
)

// indexResets counts how often in a row the index of blocking queries went back. The
// zero value is none. It is not safe for concurrent use.
type indexResets struct{ at []time.Time }

// add counts one more. A server whose index goes back again and again is in trouble,
// and must not be asked in a circle: 3 within a minute are an error.
func (s *indexResets) add(now time.Time) error {
	s.at = append(s.at, now)
	if len(s.at) < maxResets {
		return nil
	}
	first := s.at[len(s.at)-maxResets]
	s.at = s.at[len(s.at)-maxResets+1:]
	if now.Sub(first) < resetsTime {
		return discovery.Errorf(discovery.Server, "the index went back %d times within %s", maxResets, resetsTime)
	}
	return nil
}

// end says that a blocking query was answered as it should be.
func (s *indexResets) end() { s.at = nil }

// Collapsed reports whether so few instances are left that a server which is behind,
// or was just started, would be a better reason than the service.
func Collapsed(had, n int) bool { return n < had && (n == 0 || had-n >= 3 && 2*n <= had) }

// Around returns d ±20 %, so that what began together does not stay together. d is
// some nanoseconds at least.
func Around(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }
