package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// instanceHeader is the header in which an HTTP server of the demo names
// itself.
const instanceHeader = "X-Instance"

// maxTrafficKept bounds the requests that are remembered one by one. All are
// counted.
const maxTrafficKept = 1 << 20

// A trafficTarget is an address that traffic is sent to, with the name under
// which it is counted.
type trafficTarget struct{ Name, Addr string }

// trafficOptions says how much traffic goes where.
type trafficOptions struct {
	Targets []trafficTarget
	// Path is what is asked for; "" stands for "/".
	Path string
	// Workers is how many clients ask at each target. Every second one keeps its
	// connection, the others open one for each request.
	Workers int
	// Pause is how long a worker rests after an answer.
	Pause time.Duration
	// Timeout bounds one request, connecting included.
	Timeout time.Duration
}

// A trafficRequest is what came of one request. Nothing is ever asked twice: a
// connection that breaks is an error, also one that was kept.
type trafficRequest struct {
	Began     time.Time
	Took      time.Duration
	Target    string
	KeepAlive bool
	Status    int    // 0 if there was no answer
	Server    string // who answered, as it names itself
	Err       error  // no complete answer came
}

// failed reports whether nobody was served.
func (r trafficRequest) failed() bool {
	return r.Err != nil || r.Status < 200 || r.Status > 399
}

// String says when, where, and what came back.
func (r trafficRequest) String() string {
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

// A trafficWindow is a time in which a target is known to be dead.
type trafficWindow struct {
	Target string
	From   time.Time
	To     time.Time // zero while it lasts
}

// excuses reports whether some part of r lies in w.
func (w trafficWindow) excuses(r trafficRequest) bool {
	began := w.To.IsZero() || r.Began.Before(w.To)
	return r.Target == w.Target && began && r.Began.Add(r.Took).After(w.From)
}

// A trafficCount counts requests. Failed and Excused are among Requests, and
// nothing is in both.
type trafficCount struct{ Requests, Failed, Excused int }

// A trafficTally is the account of all requests.
type trafficTally struct {
	trafficCount
	ByTarget map[string]trafficCount
	// Failures are the first ones.
	Failures []trafficRequest
}

const maxFailuresKept = 10

// add books r. It is a failure unless it was served, or failed at a target that
// was dead at that time.
func (t *trafficTally) add(r trafficRequest, windows []trafficWindow) {
	one := trafficCount{Requests: 1}
	switch {
	case !r.failed():
	case slices.ContainsFunc(windows, func(w trafficWindow) bool { return w.excuses(r) }):
		one.Excused = 1
	default:
		one.Failed = 1
		if len(t.Failures) < maxFailuresKept {
			t.Failures = append(t.Failures, r)
		}
	}
	if t.ByTarget == nil {
		t.ByTarget = map[string]trafficCount{}
	}
	t.trafficCount = t.plus(one)
	t.ByTarget[r.Target] = t.ByTarget[r.Target].plus(one)
}

func (c trafficCount) plus(o trafficCount) trafficCount {
	return trafficCount{c.Requests + o.Requests, c.Failed + o.Failed, c.Excused + o.Excused}
}

// traffic asks its targets for as long as it runs, and keeps the account.
type traffic struct {
	options trafficOptions
	stop    chan struct{}
	once    sync.Once
	workers sync.WaitGroup

	mu       sync.Mutex
	tally    trafficTally
	windows  []trafficWindow
	requests []trafficRequest
}

// newTraffic returns traffic that has not begun.
func newTraffic(o trafficOptions) *traffic {
	return &traffic{options: o, stop: make(chan struct{})}
}

// Start sets the workers going. They end at Stop, or when ctx does, which cuts
// the requests that are under way and forgets them. It is called once.
func (t *traffic) Start(ctx context.Context) {
	for _, target := range t.options.Targets {
		for i := range t.options.Workers {
			offset := t.options.Pause * time.Duration(i) / time.Duration(t.options.Workers)
			t.workers.Go(func() { t.work(ctx, newTrafficClient(t.options, target, i%2 == 1), offset) })
		}
	}
}

// Stop lets the requests that are under way finish and returns when all workers
// have ended: within Timeout. It may be called again.
func (t *traffic) Stop() {
	t.once.Do(func() { close(t.stop) })
	t.workers.Wait()
}

func (t *traffic) work(ctx context.Context, c *trafficClient, pause time.Duration) {
	defer c.close()
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
		r := c.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		t.book(r)
		rest.Reset(t.options.Pause)
	}
}

func (t *traffic) book(r trafficRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tally.add(r, t.windows)
	if len(t.requests) < maxTrafficKept {
		t.requests = append(t.requests, r)
	}
}

// OpenWindow says that target is dead from now until end is called, which
// returns the window. It has to be called before target is killed.
func (t *traffic) OpenWindow(target string) (end func() trafficWindow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := len(t.windows)
	t.windows = append(t.windows, trafficWindow{Target: target, From: time.Now()})
	return func() trafficWindow {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.windows[i].To = time.Now()
		return t.windows[i]
	}
}

// Tally returns the account so far.
func (t *traffic) Tally() trafficTally {
	t.mu.Lock()
	defer t.mu.Unlock()
	tally := t.tally
	tally.Failures = slices.Clone(tally.Failures)
	tally.ByTarget = make(map[string]trafficCount, len(t.tally.ByTarget))
	for name, count := range t.tally.ByTarget {
		tally.ByTarget[name] = count
	}
	return tally
}

// Requests returns every request so far, in the order in which they ended; the
// first million of them.
func (t *traffic) Requests() []trafficRequest {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.requests)
}

// A trafficClient is one worker's end of the wire. It does by itself what
// net/http would: that client repeats a request whose kept connection broke,
// and so hides what is to be counted.
type trafficClient struct {
	target  trafficTarget
	timeout time.Duration
	keep    bool
	request []byte
	conn    net.Conn
	answers *bufio.Reader
}

func newTrafficClient(o trafficOptions, target trafficTarget, keep bool) *trafficClient {
	path, connection := o.Path, "close"
	if path == "" {
		path = "/"
	}
	if keep {
		connection = "keep-alive"
	}
	return &trafficClient{
		target: target, timeout: o.Timeout, keep: keep,
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", path, target.Addr, connection),
	}
}

// ask sends one request and waits for the whole answer.
func (c *trafficClient) ask(ctx context.Context) trafficRequest {
	r := trafficRequest{Began: time.Now(), Target: c.target.Name, KeepAlive: c.keep}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r.Status, r.Server, r.Err = c.exchange(ctx)
	r.Took = time.Since(r.Began)
	return r
}

func (c *trafficClient) exchange(ctx context.Context) (status int, server string, err error) {
	if c.conn == nil {
		if c.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.target.Addr); err != nil {
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
			c.close()
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
	server = answer.Header.Get(instanceHeader)
	if _, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)); err != nil {
		return answer.StatusCode, server, err
	}
	reusable = c.keep && !answer.Close
	return answer.StatusCode, server, nil
}

func (c *trafficClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
