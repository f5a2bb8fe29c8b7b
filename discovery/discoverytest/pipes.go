package discoverytest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Pipes is a listener in memory, so that deadlines run in virtual time in a bubble
// of testing/synctest. Clients reach it by [Pipes.Dial].
type Pipes struct {
	accept chan net.Conn
	closed chan struct{}

	mu      sync.Mutex // guards following
	limit   int        // of open; 0: none
	open    int
	most    int // that were open
	refused bool
	ended   bool
	conns   []net.Conn
}

// NewPipes returns a listener without connections.
func NewPipes() *Pipes { return &Pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

// Dial connects, whatever the address, as soon as the connection is accepted; it
// fits [net/http.Transport].DialContext. Its errors are those of a closed port, and
// ctx's own.
func (p *Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	refused := p.refused || p.ended
	p.mu.Unlock()
	if refused {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	if !p.admit() {
		server.Close()
		return client, nil
	}
	select {
	case p.accept <- server:
		return &pipe{Conn: client, of: p}, nil
	case <-p.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// admit counts a connection, if it is not one too many.
func (p *Pipes) admit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.open == p.limit {
		return false
	}
	p.open++
	p.most = max(p.most, p.open)
	return true
}

// A pipe is the client's end of a connection.
type pipe struct {
	net.Conn
	of     *Pipes
	closed sync.Once
}

// Close implements [net.Conn].
func (c *pipe) Close() error {
	c.closed.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.open--
	})
	return c.Conn.Close()
}

// Refuse makes Dial fail as a closed port does, and ends the connections that there
// are; or ends that.
func (p *Pipes) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = on
	if !on {
		return
	}
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// Limit makes further connections end at once while n are open; 0 ends that.
func (p *Pipes) Limit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = n
}

// Connections returns how many are open, and how many were at most.
func (p *Pipes) Connections() (open, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, p.most
}

// Accept implements [net.Listener].
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		p.mu.Lock()
		p.conns = append(p.conns, c)
		p.mu.Unlock()
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. It may be called again.
func (p *Pipes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		close(p.closed)
	}
	return nil
}

// Addr implements [net.Listener].
func (p *Pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
