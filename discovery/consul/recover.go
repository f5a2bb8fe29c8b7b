package consul

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	probeTime = 10 * time.Second // for one probe; an agent holds a read without a leader for 7 s
	hopeEvery = 5 * time.Second  // how often a source goes on sooner than its pause ends,
	hopeBurst = 20               // after so many times
)

func newSource(c *Client, q Query) *Source {
	return &Source{client: c, query: q, hopes: discovery.NewHopes(hopeEvery, hopeBurst)}
}

// Recovered implements [discovery.Recoverer]: after trouble with the agent, its
// servers or the token, one source of the client at a time asks plainly what it
// wants to know, about once a second, and when one is answered, be it after its own
// pause, all go on.
func (s *Source) Recovered(ctx context.Context, err error) {
	if !discovery.ClassOf(err).Passes() {
		<-ctx.Done()
		return
	}
	if !s.client.answeredSince(s.state.failedAt) {
		was := discovery.ClassOf(err)
		s.client.gate.Wait(ctx, func(ctx context.Context) error {
			err := s.probe(ctx)
			if err == nil || instead(was, discovery.ClassOf(err)) {
				return nil
			}
			was = discovery.ClassOf(err)
			return err
		})
	}
	s.hopes.Wait(ctx)
}

func (s *Source) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	a := ask{mode: Default}
	r, err := s.client.get(ctx, s.query, a)
	if err == nil {
		_, err = s.judge(a, r)
	}
	if err == nil {
		s.client.back()
	}
	return err
}

// instead reports whether Consul is back though it still refuses this question: what
// is wrong with it is not what was wrong with Consul.
func instead(was, is discovery.Class) bool {
	return (was == discovery.Transport || was == discovery.Server) && (is == discovery.Auth || is == discovery.Config)
}

// back says that a source is answered that was not before.
func (c *Client) back() {
	c.answered.Store(new(time.Now()))
	c.gate.Open()
}

// answeredSince reports whether that was said after a source failed. It would wait
// in vain for those to say so who have by then.
func (c *Client) answeredSince(failed time.Time) bool {
	at := c.answered.Load()
	return at != nil && at.After(failed)
}
