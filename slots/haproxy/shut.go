package haproxy

import (
	"context"
	"fmt"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	// shutPause is how often sessions that were ended are looked for, and shutMost for
	// how long: HAProxy ends them a little after its answer.
	shutPause, shutMost = 10 * time.Millisecond, time.Second
	// shutVerb ends the sessions of a server (Management Guide, 9.3).
	shutVerb = "shutdown sessions server"
)

// ShutSessions ends the sessions of a server ("shutdown sessions server" of the
// Management Guide, 9.3), within the client's timeout, and returns once they are seen to
// be gone: to be fewer, where the server is in service and gets new ones. It needs a
// socket of level admin.
func (c *Client) ShutSessions(ctx context.Context, backend, server string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	command, err := appendServer(nil, shutVerb, backend, server, "")
	if err != nil {
		return err
	}
	before, err := c.sessions(ctx, backend, server)
	if err != nil {
		return err
	}
	text, err := c.command(ctx, string(command), 1)
	if err == nil && text != "" {
		err = garbled(true, "%s: %s", c.at, printable(text))
	}
	if err != nil {
		return err
	}
	for until := time.Now().Add(shutMost); ; {
		left, err := c.sessions(ctx, backend, server)
		if err != nil || left == 0 || left < before {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s: the sessions of %s/%s do not end: %d before, and %d after it; one in service gets new ones at once: drain it first", c.at, backend, server, before, left)
		}
		if discovery.Sleep(ctx, shutPause); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (c *Client) sessions(ctx context.Context, backend, server string) (int, error) {
	show, err := appendShowState(nil, backend)
	if err != nil {
		return 0, err
	}
	text, err := c.command(ctx, string(show), 1)
	if err != nil {
		return 0, err
	}
	number := 0
	_ = parseState(text+"\n", func(_ string, id int, _ slots.Server) error { number = id; return nil }) // else the counters of all show it
	stat, err := appendShowStat(nil, number)
	if err != nil {
		return 0, err
	}
	if text, err = c.command(ctx, string(stat), 1); err != nil {
		return 0, err
	}
	n, found := 0, false
	err = parseSessions(text, func(b, s string, sessions int, _ bool) {
		if b == backend && s == server {
			n, found = sessions, true
		}
	})
	if err == nil && !found {
		err = garbled(false, "%s: there is no server %s/%s", c.at, backend, server)
	}
	return n, err
}
