package simulation

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A liar stands between an agent and a made-up HAProxy. To each line that the agent sends
// it gives the answer, or as a tape says something else, until the tape or its time is over.
type liar struct {
	t    *testing.T
	fake *haproxytest.Fake

	mu   sync.Mutex // guards following
	tape []byte
	// lied are the connections that are out of step for good.
	lied map[*lyingConn]bool
	off  bool // nothing but the truth
	// edits are what is said of servers in the next answers, so many.
	edits  []byte
	repeat int
	edited bool // there were any
}

// A mood is what is done to one answer.
type mood int

const (
	truth   mood = iota
	cut          // it ends early
	flipped      // some of its bytes are others
	forged       // it is another one
	padded       // something comes before it
	silent       // there is none until the deadline
	closed       // the connection ends
	edited       // it says other things of servers, and so do those after it
	moods
)

// next takes n bytes from the tape; fewer when it ends.
func (l *liar) next(n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return nil
	}
	n = min(n, len(l.tape))
	out := l.tape[:n]
	l.tape = l.tape[n:]
	return out
}

func (l *liar) number() int {
	if b := l.next(1); len(b) > 0 {
		return int(b[0])
	}
	return 0
}

// mood is the one for the next answer.
func (l *liar) mood() mood {
	l.mu.Lock()
	repeats := !l.off && l.repeat > 0
	l.mu.Unlock()
	if repeats {
		return edited
	}
	return mood(l.number() % int(moods))
}

// again returns the edits for the next answer.
func (l *liar) again() []byte {
	l.mu.Lock()
	repeats := l.repeat > 0
	if repeats {
		l.repeat--
	}
	l.mu.Unlock()
	if !repeats {
		n := l.number()
		edits := l.next(3 * (1 + l.number()%6))
		l.mu.Lock()
		l.edits, l.repeat, l.edited = edits, n%16, true
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.edits
}

// over reports whether it has told the last lie.
func (l *liar) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tape) == 0 && l.repeat == 0
}

// lie has it lie as the tape says; honest ends that, and every connection on which it did.
func (l *liar) lie(tape []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tape, l.off = tape, false
}

func (l *liar) honest() {
	l.mu.Lock()
	lied := l.lied
	l.lied, l.off = map[*lyingConn]bool{}, true
	l.mu.Unlock()
	for c := range lied {
		c.Close()
	}
}

func (l *liar) dial(ctx context.Context) (net.Conn, error) {
	c, err := l.fake.Dial(ctx)
	if err != nil {
		return nil, err
	}
	out := &lyingConn{Conn: c, of: l}
	out.quiet, out.end = net.Pipe()
	return out, nil
}

// A lyingConn is the agent's end of a connection.
type lyingConn struct {
	net.Conn
	of         *liar
	quiet, end net.Conn // nothing comes from there

	// following is of the one who reads and writes in turn
	mood  mood
	left  int    // of the answer, until it is cut; or until a byte is changed
	other []byte // that come instead, or before, or that are changed
}

// Write hands a line on, and makes up its mind about the answer.
func (c *lyingConn) Write(p []byte) (int, error) {
	checkCommands(c.of.t, string(p))
	c.mood = c.of.mood()
	switch c.mood {
	case edited:
		c.other = c.of.again()
	case cut:
		c.left = c.of.number() * (1 + c.of.number()/64)
	case flipped:
		c.left, c.other = c.of.number()*(1+c.of.number()/32), c.of.next(1+c.of.number()%16)
	case forged, padded:
		c.other = c.of.next(c.of.number())
	}
	if c.mood != truth {
		c.of.mu.Lock()
		c.of.lied[c] = true
		c.of.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *lyingConn) Read(p []byte) (int, error) {
	switch c.mood {
	case silent:
		return c.quiet.Read(p)
	case closed:
		return 0, io.EOF
	case forged, padded:
		if len(c.other) > 0 {
			n := copy(p, c.other)
			c.other = c.other[n:]
			return n, nil
		}
		if c.mood == forged {
			return 0, io.EOF
		}
	case cut:
		if c.left == 0 {
			return 0, io.EOF
		}
		n, err := c.Conn.Read(p[:min(len(p), c.left)])
		c.left -= n
		return n, err
	case edited:
		n, err := c.Conn.Read(p[:max(len(p)-200, 1)])
		return copy(p, edit(string(p[:n]), c.other)), err
	case flipped:
		n, err := c.Conn.Read(p)
		for at := n - 1 - c.left; at >= 0 && len(c.other) > 0; at -= 1 + c.left {
			p[at] = other(p[at], c.other[0])
			c.other = c.other[1:]
		}
		return n, err
	}
	return c.Conn.Read(p)
}

// edit has an answer to "show servers state" say other things of some of the servers. Three
// bytes of by name one: which, what of it, and how it is said to be.
func edit(answer string, by []byte) string {
	lines := strings.Split(answer, "\n")
	var rows []int
	for i, l := range lines {
		if f := strings.Fields(l); len(f) > 18 && f[1] == backendName(0) {
			rows = append(rows, i)
		}
	}
	for ; len(by) >= 3 && len(rows) > 0; by = by[3:] {
		row := rows[int(by[0])%len(rows)]
		f := strings.Fields(lines[row])
		n := int(by[2])
		switch by[1] % 6 {
		case 0:
			f[3] = fmt.Sprint("srv", n%14)
		case 1:
			f[4] = []string{fmt.Sprint("127.1.1.", n), fmt.Sprint("10.9.9.", n), "-", "0.0.0.0", "fe80::1"}[n%5]
		case 2:
			f[5] = strconv.Itoa(n % 4)
		case 3:
			f[6] = strconv.Itoa(n % 128)
		case 4:
			f[7] = strconv.Itoa(n)
		case 5:
			f[18] = strconv.Itoa(8000 + n%6)
		}
		lines[row] = strings.Join(f, " ")
	}
	return strings.Join(lines, "\n")
}

// other is another byte in place of one; mostly a digit for a digit, so that the answer is one.
func other(is, by byte) byte {
	if is >= '0' && is <= '9' && by < 0xc0 {
		return '0' + by%10
	}
	return is ^ by
}

func (c *lyingConn) Close() error {
	c.quiet.Close()
	c.end.Close()
	return c.Conn.Close()
}

func (c *lyingConn) SetDeadline(t time.Time) error {
	if err := c.quiet.SetDeadline(t); err != nil {
		return err
	}
	return c.Conn.SetDeadline(t)
}

func (c *lyingConn) SetReadDeadline(t time.Time) error {
	if err := c.quiet.SetReadDeadline(t); err != nil {
		return err
	}
	return c.Conn.SetReadDeadline(t)
}
