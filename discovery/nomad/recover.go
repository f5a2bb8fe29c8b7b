package nomad

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeTime = 10 * time.Second // for one probe
	hopeEvery = 10 * time.Second // how often a source goes on sooner than its pause ends,
	hopeBurst = 5                // after so many times
)

// Recovered implements [discovery.Recoverer]: after trouble with the agent, its
// servers or the token, one source of the client at a time asks plainly what it
// wants to know, about once a second, and when one is answered all go on.
func (s *Source) Recovered(ctx context.Context, err error) {
	if !discovery.ClassOf(err).Passes() {
		<-ctx.Done()
		return
	}
	s.client.gate.Wait(ctx, s.probe)
	s.hopes.Wait(ctx)
}

func (s *Source) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err := s.plainly(ctx)
	return err
}
