// Package traffic asks HTTP servers without end, never twice for the same, and keeps the
// account of what came back.
package traffic

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// InstanceHeader is the header in which an HTTP server of the demo names
// itself.
const InstanceHeader = "X-Instance"

// maxKept bounds the requests that are remembered one by one. All are
// counted.
const maxKept = 1 << 20

// A Target is an address that traffic is sent to, with the name under
// which it is counted.
type Target struct{ Name, Addr string }

// Options says how much traffic goes where.
type Options struct {
	Targets []Target
	// Path is what is asked for; "" stands for "/".
	Path string
	// Workers is how many clients ask at each target. Every second one keeps its
	// connection, the others open one for each request.
	Workers int
	// Pause is how long a worker rests after an answer.
	Pause time.Duration
	// Timeout bounds one request, connecting included.
	Timeout time.Duration
	// Dial connects; nil for a [net.Dialer]'s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Request is what came of one request. Nothing is ever asked twice: a
// connection that breaks is an error, also one that was kept.
type Request struct {
	Began     time.Time
	Took      time.Duration
	Target    string
	KeepAlive bool
	Status    int    // 0 if there was no answer
	Server    string // who answered, as it names itself
	Err       error  // no complete answer came
}

// Failed reports whether nobody was served.
func (r Request) Failed() bool {
	return r.Err != nil || r.Status < 200 || r.Status > 399
}

// String says when, where, and what came back.
func (r Request) String() string {
	kind := "new connection"
	if r.KeepAlive {
		kind = "kept connection"
	}
	answer := fmt.Sprintf("status %d from %q", r.Status, r.Server)
	if r.Err != nil {
		answer = r.Err.Error()
	}
	return fmt.Sprintf("%s %s (%s): %s", r.Began.Format("15:04:05.000"), r.Target, kind, answer)
}

// A Window is a time in which a target is known to be dead.
type Window struct {
	Target string
	From   time.Time
	To     time.Time // zero while it lasts
}

// Excuses reports whether some part of r lies in w.
func (w Window) Excuses(r Request) bool {
	began := w.To.IsZero() || r.Began.Before(w.To)
	return r.Target == w.Target && began && r.Began.Add(r.Took).After(w.From)
}

// A Count counts requests. Failed and Excused are among Requests, and
// nothing is in both.
type Count struct{ Requests, Failed, Excused int }

// A Tally is the account of all requests.
type Tally struct {
	Count
	ByTarget map[string]Count
	// Failures are the first ones.
	Failures []Request
}

const maxFailuresKept = 10

// Add books r. It is a failure unless it was served, or failed at a target that
// was dead at that time.
func (t *Tally) Add(r Request, windows []Window) {
	one := Count{Requests: 1}
	switch {
	case !r.Failed():
	case slices.ContainsFunc(windows, func(w Window) bool { return w.Excuses(r) }):
		one.Excused = 1
	default:
		one.Failed = 1
		if len(t.Failures) < maxFailuresKept {
			t.Failures = append(t.Failures, r)
		}
	}
	if t.ByTarget == nil {
		t.ByTarget = map[string]Count{}
	}
	t.Count = t.Plus(one)
	t.ByTarget[r.Target] = t.ByTarget[r.Target].Plus(one)
}

// Plus returns the sum of both.
func (c Count) Plus(o Count) Count {
	return Count{c.Requests + o.Requests, c.Failed + o.Failed, c.Excused + o.Excused}
}

// Traffic asks its targets for as long as it runs, and keeps the account.
type Traffic struct {
	options Options
	stop    chan struct{}
	once    sync.Once
	workers sync.WaitGroup

	mu       sync.Mutex
	tally    Tally
	windows  []Window
	requests []Request
}

// New returns traffic that has not begun.
func New(o Options) *Traffic {
	return &Traffic{options: o, stop: make(chan struct{})}
}

// Start sets the workers going. They end at Stop, or when ctx does, which cuts
// the requests that are under way and forgets them. It is called once.
func (t *Traffic) Start(ctx context.Context) {
	for _, target := range t.options.Targets {
		for i := range t.options.Workers {
			offset := t.options.Pause * time.Duration(i) / time.Duration(t.options.Workers)
			t.workers.Go(func() { t.work(ctx, NewClient(t.options, target, i%2 == 1), offset) })
		}
	}
}

// Stop lets the requests that are under way finish and returns when all workers
// have ended: within Timeout. It may be called again.
func (t *Traffic) Stop() {
	t.once.Do(func() { close(t.stop) })
	t.workers.Wait()
}

func (t *Traffic) work(ctx context.Context, c *Client, pause time.Duration) {
	defer c.Close()
	rest := time.NewTimer(pause)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.stop:
			return
		case <-rest.C:
		}
		r := c.Ask(ctx)
		if ctx.Err() != nil {
			return
		}
		t.book(r)
		rest.Reset(t.options.Pause)
	}
}

func (t *Traffic) book(r Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tally.Add(r, t.windows)
	if len(t.requests) < maxKept {
		t.requests = append(t.requests, r)
	}
}

// OpenWindow says that target is dead from now until end is called, which
// returns the window. It has to be called before target is killed.
func (t *Traffic) OpenWindow(target string) (end func() Window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := len(t.windows)
	t.windows = append(t.windows, Window{Target: target, From: time.Now()})
	return func() Window {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.windows[i].To = time.Now()
		return t.windows[i]
	}
}

// Tally returns the account so far.
func (t *Traffic) Tally() Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	tally := t.tally
	tally.Failures = slices.Clone(tally.Failures)
	tally.ByTarget = maps.Clone(tally.ByTarget)
	return tally
}

// A Client is one worker's end of the wire. It does by itself what
// net/http would: that client repeats a request whose kept connection broke,
// and so hides what is to be counted.
type Client struct {
	target  Target
	timeout time.Duration
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	keep    bool
	request []byte
	conn    net.Conn
	answers *bufio.Reader
}

// NewClient returns a client of one target. With keep it keeps its connection.
func NewClient(o Options, target Target, keep bool) *Client {
	path, connection := o.Path, "close"
	if path == "" {
		path = "/"
	}
	if keep {
		connection = "keep-alive"
	}
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Client{
		target: target, timeout: o.Timeout, dial: dial, keep: keep,
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", path, target.Addr, connection),
	}
}

// Ask sends one request and waits for the whole answer.
func (c *Client) Ask(ctx context.Context) Request {
	r := Request{Began: time.Now(), Target: c.target.Name, KeepAlive: c.keep}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r.Status, r.Server, r.Err = c.exchange(ctx)
	r.Took = time.Since(r.Began)
	return r
}

func (c *Client) exchange(ctx context.Context) (status int, server string, err error) {
	if c.conn == nil {
		if c.conn, err = c.dial(ctx, "tcp", c.target.Addr); err != nil {
			c.conn = nil
			return 0, "", err
		}
		c.answers = bufio.NewReader(c.conn)
	}
	conn := c.conn
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer release()
	reusable := false
	defer func() {
		if !reusable {
			c.Close()
		}
	}()
	if _, err = conn.Write(c.request); err != nil {
		return 0, "", err
	}
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	server = answer.Header.Get(InstanceHeader)
	if _, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)); err != nil {
		return answer.StatusCode, server, err
	}
	reusable = c.keep && !answer.Close
	return answer.StatusCode, server, nil
}

// Kept reports whether a connection is open from an earlier request.
func (c *Client) Kept() bool { return c.conn != nil }

// Close ends the connection.
func (c *Client) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
