package nomadtest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// pipes is a listener in memory.
type pipes struct {
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

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
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
func (p *pipes) admit() bool {
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
	of     *pipes
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

func (p *pipes) refuse(on bool) {
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

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
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

// Close implements [net.Listener].
func (p *pipes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		close(p.closed)
	}
	return nil
}

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
