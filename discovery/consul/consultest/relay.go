package consultest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy is a TCP relay that knows when it handed answers on, by which tests
// tell the time that a server needed from the time after it.
type Proxy struct {
	listener net.Listener
	target   string
	last     atomic.Pointer[time.Time]
	wg       sync.WaitGroup
	mu       sync.Mutex        // guards conns
	conns    map[net.Conn]bool // nil after the end
}

// Relay starts a relay to target, a host and port. It ends with the test.
func Relay(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Addr is the relay's host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// RespondedAt is when the last bytes from the target were handed on; zero before
// the first.
func (p *Proxy) RespondedAt() time.Time {
	if t := p.last.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		client.Close()
		return
	}
	defer p.drop(server)
	if !p.keep(client) || !p.keep(server) {
		return
	}
	p.wg.Go(func() {
		_, _ = io.Copy(server, client) // either side may end at any time
		server.Close()
	})
	p.answers(client, server)
}

// answers stamps each piece before it is written: nobody can have read it
// earlier.
func (p *Proxy) answers(client io.Writer, server io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			p.last.Store(new(time.Now()))
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keep remembers c for the end; false if that was already.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.wg.Wait()
}
