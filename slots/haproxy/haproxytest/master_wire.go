package haproxytest

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// An Exchange is a line that a client sent and what came back.
type Exchange struct {
	Sent            time.Time
	Asked, Answered string
}

// A Wire stands between clients and a HAProxy and hears both sides, of clients
// that wait for each answer. It ends with its test.
type Wire struct {
	// Socket is where clients connect.
	Socket string

	target string
	heard  func([]Exchange)
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once the test has ended
}

// NewWire listens, and passes on everything to the unix socket target and back.
// When a connection has ended, heard gets what was said in it; it is called by
// one goroutine at a time.
func NewWire(tb testing.TB, target string, heard func([]Exchange)) *Wire {
	tb.Helper()
	w := &Wire{Socket: filepath.Join(tempDir(tb), "wire.sock"), target: target, heard: heard, conns: make(map[net.Conn]bool)}
	l, err := net.Listen("unix", w.Socket)
	if err != nil {
		tb.Fatal(err)
	}
	w.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { w.serve(client) })
		}
	})
	tb.Cleanup(func() {
		l.Close()
		w.end()
		w.wg.Wait()
	})
	return w
}

func (w *Wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// track has c closed when the test ends.
func (w *Wire) track(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *Wire) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", w.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !w.track(client) || !w.track(server) {
		return
	}
	var c conversation
	var back sync.WaitGroup
	back.Go(func() {
		defer client.Close()
		pass(client, server, c.answered)
	})
	pass(server, client, c.asked)
	server.Close()
	back.Wait()

	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, client)
	delete(w.conns, server)
	if len(c.said) > 0 {
		w.heard(c.said)
	}
}

// pass copies until one of the two ends, and shows what it copies first.
func pass(to io.Writer, from io.Reader, show func([]byte)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			show(buf[:n])
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A conversation is what is said in one connection.
type conversation struct {
	mu   sync.Mutex
	said []Exchange
}

func (c *conversation) asked(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.said); n > 0 && c.said[n-1].Answered == "" {
		c.said[n-1].Asked += string(b)
		return
	}
	c.said = append(c.said, Exchange{Sent: time.Now(), Asked: string(b)})
}

func (c *conversation) answered(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.said); n > 0 {
		c.said[n-1].Answered += string(b)
	}
}
