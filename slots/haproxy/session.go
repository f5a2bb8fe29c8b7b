package haproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// A session is a connection in interactive mode, in which a line is sent once
// the line before it is answered (Management Guide, 9.3, "prompt"). It begins
// with a reading of HAProxy and stays open for the changes that follow on it, as
// long as the reading is fresh: a session stays with its worker, also after a
// reload. (An old worker refuses changes: "Proxy is disabled.")
type session struct {
	conn net.Conn
	// asked: "prompt" went out. each: a prompt follows every command, as up to
	// 3.0, and not every line, as from 3.2 on.
	asked, each bool
	closed      bool // by HAProxy
	buf         []byte
	expiry      *time.Timer
}

// prompt is what interactive mode adds to the line feed that ends an answer.
const prompt = "\n> "

func (c *Client) session(ctx context.Context) (*session, error) {
	if s := c.take(); s != nil {
		return s, nil
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, dialFault(c.at, cause(ctx, err))
	}
	return &session{conn: conn}, nil
}

// take returns the open session, which is the caller's from now on; nil if there
// is none.
func (c *Client) take() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open
	if s == nil || !s.expiry.Stop() {
		return nil
	}
	c.open = nil
	return s
}

func (c *Client) drop() {
	if s := c.take(); s != nil {
		s.conn.Close()
	}
}

// keep leaves s open for a moment, unless another one is.
func (c *Client) keep(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil || s.closed {
		s.conn.Close()
		return
	}
	c.open = s
	s.expiry = time.AfterFunc(fresh, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open == s {
			c.open = nil
		}
		s.conn.Close()
	})
}

// errUnsent says that HAProxy did not take a line to its end; such a line is
// never executed.
var errUnsent = errors.New("it takes no commands")

// exchange sends one line and reads the answers to so many commands, or what
// there is of them if HAProxy closes the connection before.
func (s *session) exchange(text []byte, commands, limit int) (string, error) {
	first := !s.asked
	if first {
		s.asked = true
		text = append([]byte("prompt;"), text...)
		commands++
	}
	if n, err := s.conn.Write(text); n < len(text) && isTimeout(err) {
		return "", errors.Join(errUnsent, err)
	}
	// after any other error there may be an answer that says why
	buf, err := s.read(first, &meter{commands: commands, limit: limit})
	if err != nil {
		return "", err
	}
	buf = dropPrompts(buf)
	if first {
		buf = bytes.TrimPrefix(buf, []byte("\n")) // the answer to "prompt" itself
	}
	if len(buf) < maxAnswer {
		return string(buf), nil
	}
	s.buf = nil
	return asText(buf), nil
}

// dropPrompts leaves of each prompt the line feed, in place.
func dropPrompts(buf []byte) []byte {
	out := buf[:0]
	for {
		before, after, found := bytes.Cut(buf, []byte(prompt))
		out = append(out, before...)
		if !found {
			return out
		}
		out, buf = append(out, '\n'), after
	}
}

// read returns what comes until the last prompt, or until HAProxy closes. A
// reset after something was read is an end: HAProxy closes with one if it has
// not read all of the line.
func (s *session) read(first bool, m *meter) ([]byte, error) {
	again := !first
	if s.buf == nil {
		s.buf = make([]byte, 0, 8<<10)
	}
	buf := s.buf[:0]
	prompts := 0
	for {
		n, err := s.conn.Read(buf[len(buf):cap(buf)])
		from := max(len(buf)-len(prompt)+1, 0)
		buf = buf[:len(buf)+n]
		prompts += bytes.Count(buf[from:], []byte(prompt))
		if first && len(buf) >= len(prompt) {
			s.each, first = bytes.HasPrefix(buf, []byte(prompt)), false
		}
		over := m.add(buf[len(buf)-n:])
		switch {
		case over != nil:
			return nil, over
		case bytes.HasSuffix(buf, []byte(prompt)) && (prompts >= m.commands || !s.each):
			s.buf = buf
			return buf, nil
		case bytes.HasPrefix(buf, []byte("\nmaster")):
			return nil, errMaster
		case err == io.EOF, errors.Is(err, syscall.ECONNRESET) && (len(buf) > 0 || again):
			s.closed = true
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) == cap(buf):
			buf = grown(buf, m.limit)
		}
	}
}

var errMaster = errors.New("this is the socket of the master, which has no servers: use one of `stats socket`")
