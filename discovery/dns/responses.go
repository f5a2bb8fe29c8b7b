package dns

import (
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// responses are what the servers said that were asked about one set.
type responses struct {
	shown  *reply
	denied []reply   // without records
	failed []failure // one for each server that has not answered
}

// A failure is the first trouble with one server.
type failure struct {
	server string
	err    error
}

func (c *responses) add(server string, r reply, err error) {
	switch {
	case err == nil && r.outcome == found:
		if c.shown == nil {
			c.shown = &r
		}
	case err == nil:
		c.denied = append(c.denied, r)
		c.failed = slices.DeleteFunc(c.failed, func(f failure) bool { return f.server == server })
	case c.failureOf(server) == nil:
		c.failed = append(c.failed, failure{server, err})
	case discovery.ClassOf(err) != discovery.Transport: // it tells more than silence
		c.failed = append(slices.DeleteFunc(c.failed, func(f failure) bool { return f.server == server }), failure{server, err})
	}
}

func (c *responses) failureOf(server string) error {
	for _, f := range c.failed {
		if f.server == server {
			return f.err
		}
	}
	return nil
}

// settled reports whether server is not worth asking again: it answered, if only with a
// failure.
func (c *responses) settled(server string) bool {
	err := c.failureOf(server)
	return err != nil && discovery.ClassOf(err) != discovery.Transport ||
		slices.ContainsFunc(c.denied, func(r reply) bool { return r.server == server })
}

// serverFailure is the first failure that a server answered with.
func (c *responses) serverFailure() error {
	for _, f := range c.failed {
		if discovery.ClassOf(f.err) != discovery.Transport {
			return f.err
		}
	}
	return nil
}
