package consultest

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
	select {
	case p.accept <- server:
		return client, nil
	case <-p.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
