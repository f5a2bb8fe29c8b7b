// Package haproxy reads and changes the servers of one HAProxy through its
// Runtime API (HAProxy's Management Guide, 9.3 "Unix Socket commands").
//
// A line of commands is written whole, and the next one goes out when it is
// answered to the end: lines that are sent ahead are dropped by some versions.
// A reading and the changes that follow on it share a connection in interactive
// mode ("prompt"), for 50 ms at most: a connection of its own costs a line more
// than most lines do, and one that is kept stays with the old worker after a
// reload.
//
// Commands are joined with ";" up to [maxLine]: longer lines are refused whole
// from 3.2 on (tune.bufsize). Where even such a line is refused, the lines of that
// process are shorter from then on. The last line of a call ends in "show info", which
// proves which process has answered in this connection.
//
// Linux only: locks are files that flock(2) holds, and abstract unix sockets.
package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

const (
	// maxLine bounds a line of commands, in bytes: below the smallest default of
	// tune.bufsize, 16384, less what HAProxy keeps of it for itself.
	maxLine = 15_000
	// fresh is how long an answer vouches for the process behind the socket.
	fresh = 50 * time.Millisecond
)

// Options say how one HAProxy is reached.
type Options struct {
	// Socket is a path, unix:///path or tcp://host:port. Paths have at most 107
	// bytes.
	Socket string
	// Timeout is for the answer to one line of commands; 0 stands for 5 s.
	Timeout time.Duration
	// StateFile is the server-state file to write: a path with "{backend}" in
	// it has one file for each backend, any other path one for all. "": none.
	StateFile string
	// Folders says which folders are good enough for it.
	Folders securedir.Policy
	// Dial connects to HAProxy's Runtime API instead of to Socket, which then only
	// names it; nil: Socket is where it listens.
	Dial func(ctx context.Context) (net.Conn, error)
}

// A Client speaks to one HAProxy. Its methods may be called at the same time,
// except Apply, of which one may run at a time. Errors of Info, View, Apply and
// Level are [slots.InstanceError].
type Client struct {
	listener
	dialInstead func(context.Context) (net.Conn, error) // nil: the socket is dialled
	state       stateFile
	people      places

	mu      sync.Mutex
	process slots.Process // what answered last
	seen    time.Time     // and when
	line    int           // how long its lines may be; 0: maxLine
	open    *session      // nil: none is
	lock    *Lock         // nil: none was taken
	locked  slots.Process // for which it was last seen held
}

// New returns a client for o. It connects to nothing; the error says what is
// wrong with the options.
func New(o Options) (*Client, error) {
	l, err := newListener(o.Socket, o.Timeout, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Client{listener: l, dialInstead: o.Dial, state: stateFile{pattern: o.StateFile, folders: o.Folders}, people: places{make(chan struct{}, maxAdmin), make(chan struct{}, maxReaders)}}, nil
}

// Info asks which process answers. It has no deadline but ctx's: to wait for a HAProxy
// that hangs, leave one such probe open, which costs HAProxy one connection.
func (c *Client) Info(ctx context.Context) (slots.Process, error) {
	c.drop() // it may lead to a process that was followed by another one
	conn, err := c.dial(ctx)
	if err != nil {
		c.forgetProcess()
		return slots.Process{}, dialFault(c.at, cause(ctx, err))
	}
	raw, err := c.askAlone(ctx, conn, "show info", 1, false)
	if err != nil {
		c.forgetProcess()
		return slots.Process{}, err
	}
	p, err := parseInfo(strings.TrimSuffix(raw, "\n\n"))
	if err != nil {
		return p, garbled(false, "%s: %w", c.at, err)
	}
	c.noteProcess(p)
	return p, nil
}

// Level returns the level of the socket: "admin", "operator" or "user".
// [Client.Apply] needs "admin".
func (c *Client) Level(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if _, err := c.current(ctx); err != nil {
		return "", err
	}
	a, err := c.ask(ctx, line{read: []byte("show cli level"), reads: 1, word: true})
	if err != nil {
		return "", err
	}
	switch level := a.reads[0]; level {
	case "admin", "operator", "user":
		return level, nil
	}
	return "", garbled(false, "%s: show cli level: %q", c.at, printable(a.reads[0]))
}

// View reads the servers of the backends, all of them if none is named, and
// with sessions their current sessions too. A backend that HAProxy lacks is
// absent from the result. Everything has to be there within the timeout.
//
// The view of an old worker, which a reload has left with its last sessions,
// has Process.Stopping set. What only reads goes out together with the question
// who answers: a HAProxy that hangs may execute it whenever it wakes.
func (c *Client) View(ctx context.Context, backends []string, sessions bool) (slots.View, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	c.drop() // another process may answer by now
	reads, err := stateReads(backends)
	if err != nil {
		return slots.View{}, &slots.InstanceError{Fault: slots.Garbled, Err: err}
	}
	v := slots.View{Servers: make(map[string][]slots.Server, len(backends))}
	ids := map[string]int{}
	if err := c.read(ctx, reads, &v, ids); err != nil {
		return slots.View{}, err
	}
	if sessions {
		err = c.read(ctx, statReads(reads, ids), &v, ids)
	}
	if err != nil {
		return slots.View{}, err
	}
	return v, nil
}

// read adds what reads show to v, and the numbers of the backends to ids. All of it comes
// from one process.
func (c *Client) read(ctx context.Context, reads []read, v *slots.View, ids map[string]int) error {
	for len(reads) > 0 {
		l := packReads(reads, c.lineLimit())[0]
		a, err := c.ask(ctx, l.line)
		if c.shorten(err) {
			continue
		}
		if err != nil {
			return err
		}
		reads = reads[len(l.reads):]
		if v.Process.Pid != 0 && !v.Process.Same(a.process) {
			return restarted(c.at, v.Process, a.process, false)
		}
		v.Process = a.process
		if err := mergeReads(v.Servers, ids, l.reads, a.reads); err != nil {
			return garbled(false, "%s: %w", c.at, err)
		}
	}
	c.state.setIDs(ids)
	return nil
}

func (c *Client) noteProcess(p slots.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.Same(c.process) {
		c.line = 0
	}
	c.process, c.seen = p, time.Now()
}

func (c *Client) forgetProcess() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = time.Time{}
}

// current returns the process that answers, asking only if it has not shown
// itself lately: nothing else may go to a HAProxy that hangs, because it would
// still be executed when that wakes up.
func (c *Client) current(ctx context.Context) (slots.Process, error) {
	c.mu.Lock()
	p, age := c.process, time.Since(c.seen)
	c.mu.Unlock()
	if age <= fresh {
		return p, nil
	}
	a, err := c.ask(ctx, line{})
	return a.process, err
}

// parseInfo understands the answer to "show info" (Management Guide, 9.3).
// Started is 0 before HAProxy 2.4, which does not say.
func parseInfo(text string) (slots.Process, error) {
	if !strings.HasPrefix(text, "Name: ") {
		return slots.Process{}, fmt.Errorf("show info: %q is no answer of HAProxy's", printable(text))
	}
	var p slots.Process
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		var err error
		switch key {
		case "Version":
			p.Version = discovery.Printable(value, 64)
		case "Pid":
			p.Pid, err = strconv.Atoi(value)
		case "Start_time_sec":
			p.Started, err = strconv.ParseInt(value, 10, 64)
		case "Stopping":
			p.Stopping = value != "0"
		case "node":
			p.Node = discovery.Printable(value, 256)
		}
		if err != nil {
			return slots.Process{}, fmt.Errorf("show info: %s: %q is no number", key, printable(value))
		}
	}
	if p.Version == "" || p.Pid <= 0 {
		return slots.Process{}, errors.New("show info: no version or no pid")
	}
	return p, nil
}

// queues reports whether version applies a new address some time after it was
// answered, which HAProxy does from 2.9 on.
func queues(version string) bool { return since(version, 2, 9) }

// endsOnAdd reports whether version may end with SIGFPE when a server is added to a
// backend that is disabled in the configuration, as 3.4.7 does.
func endsOnAdd(version string) bool { return since(version, 3, 3) }

// since reports whether version is of the branch major.minor or a later one. What
// cannot be understood counts as new.
func since(version string, wantMajor, wantMinor int) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	ma, err1 := strconv.Atoi(major)
	minor, _, _ = strings.Cut(minor, "-") // as in 2.9-dev12
	mi, err2 := strconv.Atoi(minor)
	return err1 != nil || err2 != nil || ma > wantMajor || ma == wantMajor && mi >= wantMinor
}
