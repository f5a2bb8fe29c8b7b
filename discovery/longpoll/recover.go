package longpoll

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeTime  = 10 * time.Second       // for one probe; an agent holds a read without a leader for 7 s
	retryEvery = 5 * time.Second        // how often a source goes on sooner than its pause ends,
	retryBurst = 20                     // after so many times
	spread     = 300 * time.Millisecond // within which all sources go on after a recovery
)

// A retryBudget bounds how often a source goes on sooner than its pause ends. One whose
// own question fails though others are answered would otherwise ask again each time that
// one of them is. It is safe for concurrent use.
type retryBudget struct{ *rate.Limiter }

// wait returns soon, at a time that is random so that not all go on at once, if the budget
// is not used up, else when ctx is done.
func (b retryBudget) wait(ctx context.Context) {
	if ctx.Err() == nil && !b.Allow() {
		<-ctx.Done()
		return
	}
	discovery.Sleep(ctx, rand.N(spread))
}

// Recovered implements [discovery.Recoverer]: after trouble with the agent, its servers or
// the token, one source of the client at a time puts its question as a plain read, about
// once a second. When one is answered, or was after its own pause, all go on.
func (s *Source[R]) Recovered(ctx context.Context, err error) {
	if !discovery.ClassOf(err).Passes() {
		<-ctx.Done()
		return
	}
	if !s.client.answeredSince(s.state.failedAt) {
		was := discovery.ClassOf(err)
		s.client.recovery.Wait(ctx, func(ctx context.Context) error {
			err := s.probe(ctx)
			if err == nil || instead(was, discovery.ClassOf(err)) {
				return nil
			}
			was = discovery.ClassOf(err)
			return err
		})
	}
	s.retries.wait(ctx)
}

func (s *Source[R]) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err := s.readAndJudge(ctx, plain())
	if err == nil {
		s.client.back()
	}
	return err
}

// instead reports whether the system is back though it still refuses this question: what
// is wrong with the question is not what was wrong with the system.
func instead(was, is discovery.Class) bool {
	return (was == discovery.Transport || was == discovery.Server) && (is == discovery.Auth || is == discovery.Config)
}

// back says that a source is answered that was not before.
func (c *Client) back() {
	c.answered.Store(new(time.Now()))
	c.recovery.Open()
}

// answeredSince reports whether back was called after a source failed. Such a source
// would wait in vain for another call.
func (c *Client) answeredSince(failed time.Time) bool {
	at := c.answered.Load()
	return at != nil && at.After(failed)
}
