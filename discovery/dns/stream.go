package dns

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	wire "github.com/miekg/dns"
)

// idleTime is how long an unused connection is kept: less than the 8s after
// which servers built on the same library close theirs.
const idleTime = 7 * time.Second

// maxStreams is how many TCP connections one server has from us at a time. BIND
// lets 10 new ones queue; one that finds the queue full is tried again by the
// kernel, a second later.
const maxStreams = 8

// Links keep one idle TCP connection to each server, for the next exchange.
// Servers close them when they like, so that nothing rests on them.
type links struct {
	mu      sync.Mutex // guards following
	idle    map[string]link
	streams map[string]chan struct{} // by server, with an entry for each in use
	closed  bool
}

type link struct {
	conn    net.Conn
	closing *time.Timer
}

func newLinks() *links { return &links{idle: map[string]link{}, streams: map[string]chan struct{}{}} }

// exchange is the exchanger for real networks. Each exchange over UDP has a
// socket, and by that a source port, of its own. Over TCP it takes the idle
// connection if there is one; if the server has closed that, it dials once.
func (l *links) exchange(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error) {
	if network == "tcp" {
		streams := l.streamsTo(server)
		select {
		case streams <- struct{}{}:
			defer func() { <-streams }()
		case <-ctx.Done():
			return nil, transportError(server, ctx.Err())
		}
		if c := l.take(server); c != nil {
			m, err := l.converse(ctx, c, network, server, q)
			if !hungUp(err) || ctx.Err() != nil {
				return m, err
			}
		}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, transportError(server, err)
	}
	return l.converse(ctx, c, network, server, q)
}

// hungUp says whether err is the end of a connection.
func hungUp(err error) bool {
	return errors.Is(err, errClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// converse sends q over c and returns the reply. It closes c, unless it is fit
// to be used again.
func (l *links) converse(ctx context.Context, c net.Conn, network, server string, q *wire.Msg) (m *wire.Msg, err error) {
	fit := false
	defer func() {
		if !fit || !l.keep(server, c) {
			_ = c.Close()
		}
	}()
	until, _ := ctx.Deadline()
	if err := c.SetDeadline(until); err != nil {
		return nil, transportError(server, err)
	}
	// After the deadline, never before: a cancellation must not be overwritten.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer func() { fit = stop() && err == nil && network == "tcp" }()

	conn := &wire.Conn{Conn: c, UDPSize: readSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, transportError(server, err)
	}
	return receive(conn, network, server, q)
}

func (l *links) streamsTo(server string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[server] == nil {
		l.streams[server] = make(chan struct{}, maxStreams)
	}
	return l.streams[server]
}

// take returns the idle connection to server, or nil. It is the caller's then.
func (l *links) take(server string) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.idle[server]
	if !ok {
		return nil
	}
	delete(l.idle, server)
	k.closing.Stop()
	return k.conn
}

func (l *links) keep(server string, c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.idle[server]; ok || l.closed {
		return false
	}
	l.idle[server] = link{c, time.AfterFunc(idleTime, func() { l.drop(server, c) })}
	return true
}

func (l *links) drop(server string, c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle[server].conn == c {
		delete(l.idle, server)
		_ = c.Close()
	}
}

// close closes what is idle, and has nothing kept any more.
func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for server, k := range l.idle {
		k.closing.Stop()
		_ = k.conn.Close()
		delete(l.idle, server)
	}
}
