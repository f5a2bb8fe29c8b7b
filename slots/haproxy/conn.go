package haproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A line is commands for one connection: first those that write, then those
// that read. [Client.ask] adds "show info" and the line feed.
type line struct {
	text          []byte
	writes, reads int
}

// An answer is what a line got.
type answer struct {
	// writes are the texts that the writing commands got; nil if they cannot be
	// told apart, so that only a read-back shows what they did.
	writes  []string
	reads   []string
	process slots.Process
	at      time.Time
}

// ask sends l and returns the whole answer, within the client's timeout.
func (c *Client) ask(ctx context.Context, l line) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	limit := maxAnswer
	if l.reads > 0 {
		limit = maxDump
	}
	raw, err := c.exchange(ctx, append(l.text, ";show info\n"...), limit, l.writes > 0)
	if err != nil {
		return answer{}, err
	}
	a, err := c.understand(raw, l)
	if err != nil {
		return answer{}, err
	}
	a.at = c.vouch(a.process)
	return a, nil
}

// understand takes an answer apart.
func (c *Client) understand(raw string, l line) (answer, error) {
	if strings.HasPrefix(raw, "The command line is too big") {
		return answer{}, garbled(false, "%s: HAProxy refuses lines of %d bytes: set tune.bufsize to 16384 or more", c.at, len(l.text))
	}
	texts, whole := splitAnswers(raw)
	if !whole || len(texts) < l.reads+1 {
		return answer{}, garbled(l.writes > 0, "%s: the answer ends after %d bytes", c.at, len(raw))
	}
	last := len(texts) - 1
	p, err := parseInfo(texts[last])
	if err != nil {
		return answer{}, garbled(l.writes > 0, "%s: %w", c.at, err)
	}
	a := answer{process: p, reads: texts[last-l.reads : last]}
	if len(texts) == l.writes+l.reads+1 {
		a.writes = texts[:l.writes]
	}
	return a, nil
}

// exchange sends one line, which ends in a line feed, and reads until HAProxy
// closes. Only ctx ends it before. writes says whether the line changes
// anything. After an error nothing vouches for the process any more.
func (c *Client) exchange(ctx context.Context, text []byte, limit int, writes bool) (string, error) {
	raw, err := c.transfer(ctx, text, limit, writes)
	if err != nil {
		c.doubt()
	}
	return raw, err
}

func (c *Client) transfer(ctx context.Context, text []byte, limit int, writes bool) (string, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return "", dialFault(c.at, cause(ctx, err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if n, err := conn.Write(text); n < len(text) && isTimeout(err) {
		// a line without its end is never executed
		return "", fault(slots.Hung, "%s takes no commands: %w", c.at, cause(ctx, err))
	}
	// after any other error there may be an answer that says why
	raw, err := readAnswer(conn, limit)
	switch {
	case err == nil:
		return raw, nil
	case errors.Is(err, errTooLong):
		return "", garbled(writes, "%s: the answer has more than %d bytes", c.at, limit)
	case isTimeout(err):
		e := fault(slots.Hung, "%s does not answer: %w", c.at, cause(ctx, err))
		e.Sent = writes
		return "", e
	}
	return "", garbled(writes, "%s: %w", c.at, err)
}

// dial connects. A unix socket takes a connection at once or not at all, so that
// the timers which a context needs are of no use there.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.at.network != "unix" {
		return c.dialer.DialContext(ctx, c.at.network, c.at.addr)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: c.at.addr, Net: "unix"})
}

var errTooLong = errors.New("answer too long")

// readAnswer reads to the end, limit bytes at most. A reset after something was
// read is an end: HAProxy closes with one if it has not read all of the line.
func readAnswer(conn net.Conn, limit int) (string, error) {
	buf := make([]byte, 0, 8<<10)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return "", errTooLong
		case err == io.EOF, errors.Is(err, syscall.ECONNRESET) && len(buf) > 0:
			return string(buf), nil
		case err != nil:
			return "", err
		case len(buf) == cap(buf):
			buf = append(make([]byte, 0, 4*cap(buf)), buf...)
		}
	}
}

// cause returns ctx's own error if that is what ended err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && isTimeout(err) {
		return ctx.Err()
	}
	return err
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// printable makes what HAProxy said fit for a log line.
func printable(s string) string { return discovery.Printable(s, 200) }
