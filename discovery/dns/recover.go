package dns

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// probeTime bounds one look at whether servers are back. With the second that
// [discovery.RecoveryProbe] waits before it, no more than two pass between two of them.
const probeTime = 700 * time.Millisecond

// Recovered implements [discovery.Recoverer]. Where no server answered, or none
// knew, one source of the client after the other asks all servers its shortest
// question, one a second, until there is an answer. Other trouble is not of the
// kind that passes so soon.
func (s *Source) Recovered(ctx context.Context, failed error) {
	class := discovery.ClassOf(failed)
	if class != discovery.Transport && class != discovery.Server {
		<-ctx.Done()
		return
	}
	if class == discovery.Transport && s.recoveredMeanwhile() {
		return
	}
	for ctx.Err() == nil {
		turn, next := context.WithCancel(ctx)
		s.client.recovery.Wait(turn, func(ctx context.Context) error {
			err := s.answers(ctx, class)
			if err != nil {
				next() // the question of another source may be answered
			}
			return err
		})
		over := turn.Err() == nil
		next()
		if over {
			return
		}
	}
}

// recoveredMeanwhile reports whether servers came back while the lookup still waited for
// the answer to what it had asked before. A lookup that failed at once is not worth
// repeating at once.
func (s *Source) recoveredMeanwhile() bool {
	s.mu.Lock()
	asked, took := s.activity.Asked, s.activity.Answered.Sub(s.activity.Asked)
	s.mu.Unlock()
	return took >= s.client.setup().timeout && s.client.servers.answeredSince(asked)
}

// answers asks all servers at once. A server that was silent is back when it says
// anything; one that failed is when it answers.
func (s *Source) answers(ctx context.Context, failed discovery.Class) error {
	l := s.begin()
	ctx, cancel := context.WithTimeout(ctx, min(probeTime, l.settings.timeout))
	defer cancel()
	errs := make(chan error, len(l.settings.servers))
	for _, server := range l.settings.servers {
		go func() {
			_, err := s.client.query(ctx, l.settings, try{server: server}, l.names[0], l.qtypes[0])
			if failed == discovery.Transport && discovery.ClassOf(err) != discovery.Transport {
				err = nil
			}
			errs <- err
		}()
	}
	var answered bool
	var last error
	for range l.settings.servers {
		err := <-errs
		if err == nil && !answered {
			answered = true
			cancel()
		}
		last = err
	}
	if answered {
		return nil
	}
	return last
}
