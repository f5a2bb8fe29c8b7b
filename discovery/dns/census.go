package dns

import (
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// A census is what was heard of each server that was asked about one set.
type census struct {
	found  *reply
	denied []reply   // without records
	failed []failure // one for each server that has not answered
}

// A failure is the first trouble with one server.
type failure struct {
	server string
	err    error
}

func (c *census) add(server string, r reply, err error) {
	switch {
	case err == nil && r.outcome == found:
		if c.found == nil {
			c.found = &r
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

func (c *census) failureOf(server string) error {
	for _, f := range c.failed {
		if f.server == server {
			return f.err
		}
	}
	return nil
}

// isOver says whether server is not worth asking again: it answered, if only with a
// failure.
func (c *census) isOver(server string) bool {
	err := c.failureOf(server)
	return err != nil && discovery.ClassOf(err) != discovery.Transport ||
		slices.ContainsFunc(c.denied, func(r reply) bool { return r.server == server })
}

// told is the first failure that came from a server.
func (c *census) told() error {
	for _, f := range c.failed {
		if discovery.ClassOf(f.err) != discovery.Transport {
			return f.err
		}
	}
	return nil
}
