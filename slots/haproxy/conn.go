package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A line is commands: those that write, then "show info", then those that read.
type line struct {
	write, read   []byte
	writes, reads int
	// brief: the process need not show itself, since it has done so lately and
	// does so again at the end.
	brief bool
	// queued: what is written is not there until HAProxy comes to apply it, which
	// it does while it answers another command: so there has to be one before the
	// reads.
	queued bool
	// word: what is read dumps no servers, and is short.
	word bool
}

// compose returns the text of a line, the number of its commands, and how many
// stand between those that write and those that read.
func (l line) compose() (text []byte, commands, between int) {
	text, commands = l.write, l.writes+l.reads
	add := func(command []byte) {
		if len(text) > 0 && len(command) > 0 {
			text = append(text, ';')
		}
		text = append(text, command...)
	}
	switch {
	case !l.brief:
		add([]byte("show info"))
		between = 1
	case l.queued && l.reads > 0:
		add([]byte("show version"))
		between = 1
	}
	add(l.read)
	return append(text, '\n'), commands + between, between
}

// An answer is what a line got.
type answer struct {
	// writes are the texts that the writing commands got; nil if they cannot be
	// told apart, so that only a read-back shows what they did.
	writes  []string
	reads   []string
	process slots.Process // Pid 0 after a brief line
}

// ask sends l, in the session that is open or in a new one, and returns the
// whole answer, within the client's timeout.
func (c *Client) ask(ctx context.Context, l line) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	s, err := c.session(ctx)
	if err != nil {
		c.forgetProcess()
		return answer{}, err
	}
	a, err := c.askIn(ctx, s, l)
	if err != nil {
		s.conn.Close()
		c.forgetProcess()
		return answer{}, err
	}
	if !l.brief {
		c.noteProcess(a.process)
	}
	c.keep(s)
	return a, nil
}

// askIn is ask in a session.
func (c *Client) askIn(ctx context.Context, s *session, l line) (answer, error) {
	limit := maxAnswer
	if l.reads > 0 && !l.word {
		limit = maxDump
	}
	text, commands, _ := l.compose()
	again := s.asked
	stop := context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) })
	raw, err := s.exchange(text, commands, limit)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return answer{}, c.faultOf(ctx, err, l.writes > 0)
	case again && raw == "" && s.closed:
		e := fault(slots.Restarted, "%s: the process has closed the connection", c.at)
		e.Sent = l.writes > 0
		return answer{}, e
	}
	return c.parse(raw, l)
}

func (c *Client) parse(raw string, l line) (a answer, err error) {
	text, _, between := l.compose()
	if strings.HasPrefix(raw, "The command line is too big") {
		return answer{}, garbled(false, "%s: %w", c.at, &tooBigError{len(text)})
	}
	texts, whole := splitAnswers(raw)
	first := len(texts) - l.reads // of what was read
	if !whole || first < between {
		return answer{}, garbled(l.writes > 0, "%s: the answer ends after %d bytes", c.at, len(raw))
	}
	if !l.brief {
		if a.process, err = parseInfo(texts[first-1]); err != nil {
			return answer{}, garbled(l.writes > 0, "%s: %w", c.at, err)
		}
	}
	a.reads = texts[first:]
	if first == l.writes+between {
		a.writes = texts[:l.writes]
	}
	return a, nil
}

// dial connects. A unix socket takes a connection at once or not at all, so that
// the timers which a context needs are of no use there.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.dialInstead != nil {
		return c.dialInstead(ctx)
	}
	return c.at.dial(ctx, &c.dialer)
}

// readAll reads an answer to its end. A reset after something was read is an end: HAProxy
// closes with one if it has not read all of the line.
func readAll(conn net.Conn, m *meter) (string, error) {
	buf := make([]byte, 0, 8<<10)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		over := m.add(buf[len(buf)-n:])
		switch {
		case over != nil:
			return "", over
		case err == io.EOF, errors.Is(err, syscall.ECONNRESET) && len(buf) > 0:
			return asText(buf), nil
		case err != nil:
			return "", err
		case len(buf) == cap(buf):
			buf = grown(buf, m.limit)
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

// minLine is the length of a line below which it is not shortened any more: HAProxy needs
// a larger tune.bufsize for itself.
const minLine = 512

// A tooBigError says that HAProxy has refused a line for its length, and so has executed
// nothing of it.
type tooBigError struct{ bytes int }

func (e *tooBigError) Error() string {
	return fmt.Sprintf("HAProxy refuses lines of %d bytes: set tune.bufsize to 16384 or more", e.bytes)
}

func isTooBig(err error) bool {
	_, ok := errors.AsType[*tooBigError](err)
	return ok
}

// lineLimit is how many bytes the lines to the process that answered last may have.
func (c *Client) lineLimit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == 0 {
		return maxLine
	}
	return c.line
}

// shorten makes the lines to this process shorter if err says that one was too long, and
// reports whether it is to be tried again.
func (c *Client) shorten(err error) bool {
	e, ok := errors.AsType[*tooBigError](err)
	if !ok {
		return false
	}
	limit := min(c.lineLimit(), e.bytes) / 2
	if limit < minLine {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = limit
	return true
}
