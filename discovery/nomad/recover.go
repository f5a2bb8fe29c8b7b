package nomad

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeTime = 10 * time.Second       // for one probe
	spread    = 300 * time.Millisecond // within which all sources go on after a recovery
	hopeEvery = 10 * time.Second       // how often a source goes on sooner than its pause ends,
	hopeBurst = 5                      // after so many times
)

// Recovered implements [discovery.Recoverer]: after trouble with the agent, its
// servers or the token, one source of the client at a time asks plainly what it
// wants to know, about once a second, and when one is answered all go on.
func (s *Source) Recovered(ctx context.Context, err error) {
	switch discovery.ClassOf(err) {
	case discovery.Transport, discovery.Server, discovery.Auth:
	default:
		<-ctx.Done()
		return
	}
	s.client.gate.Wait(ctx, s.probe)
	// A source whose own question fails though others are answered would else go
	// on for ever with each of them.
	if ctx.Err() == nil && !s.hopes.Allow() {
		<-ctx.Done()
		return
	}
	discovery.Sleep(ctx, rand.N(spread))
}

func (s *Source) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err := s.plainly(ctx)
	return err
}
