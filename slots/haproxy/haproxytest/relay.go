package haproxytest

import (
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Relay stands between a client and a HAProxy and writes down what the client
// sends. It ends with its test.
type Relay struct {
	// Socket is where the client connects.
	Socket string

	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	lines    []*said // by connection
	conns    map[net.Conn]bool
	held     chan struct{} // nil unless nothing is passed on
	left     int           // bytes until then; -1: never
	cuts     bool          // then is a cut, too
	then     func()
	released bool // the test has ended
}

// A said is what came over one connection.
type said struct {
	strings.Builder
	over bool // the connection is
}

// NewRelay listens, and passes on everything to the unix socket target.
func NewRelay(tb testing.TB, target string) *Relay {
	tb.Helper()
	r := &Relay{Socket: filepath.Join(tempDir(tb), "relay.sock"), target: target, conns: make(map[net.Conn]bool), left: -1}
	l, err := net.Listen("unix", r.Socket)
	if err != nil {
		tb.Fatal(err)
	}
	r.listener = l
	r.wg.Go(r.accept)
	tb.Cleanup(func() {
		l.Close()
		r.end()
		r.wg.Wait()
	})
	return r
}

func (r *Relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = true
	if r.held != nil {
		close(r.held)
		r.held = nil
	}
	r.closeAll()
}

// closeAll needs the lock.
func (r *Relay) closeAll() {
	for c := range r.conns {
		c.Close()
	}
	clear(r.conns)
}

// Transcript returns what clients have sent so far, by connection.
func (r *Relay) Transcript() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, l := range r.lines {
		if l.Len() > 0 {
			out = append(out, l.String())
		}
	}
	return out
}

// Forget empties the transcript.
func (r *Relay) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = slices.DeleteFunc(r.lines, func(s *said) bool { return s.over })
	for _, s := range r.lines {
		s.Reset()
	}
}

// CutAfter breaks all connections when n more bytes have reached HAProxy, after
// it has called then, which may be nil. It does so once.
func (r *Relay) CutAfter(n int, then func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.cuts, r.then = n, true, then
}

// CallAfter calls then when n more bytes have reached HAProxy, and goes on with
// what follows them. It does so once.
func (r *Relay) CallAfter(n int, then func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.cuts, r.then = n, false, then
}

// Hold keeps back what clients send, connections included, until the returned
// function is called.
func (r *Relay) Hold() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := make(chan struct{})
	r.held = held
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.held == held {
			close(held)
			r.held = nil
		}
	})
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(client) })
	}
}

func (r *Relay) serve(client net.Conn) {
	defer client.Close()
	if !r.track(client) {
		return
	}
	defer r.forget(client)
	r.wait()
	server, err := net.Dial("unix", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !r.track(server) {
		return
	}
	defer r.forget(server)
	r.wg.Go(func() {
		defer client.Close()
		io.Copy(client, server)
	})
	r.pass(client, server)
}

func (r *Relay) track(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = true
	return !r.released
}

func (r *Relay) forget(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// wait returns when nothing is held.
func (r *Relay) wait() {
	r.mu.Lock()
	held := r.held
	r.mu.Unlock()
	if held != nil {
		<-held
	}
}

// pass copies from the client to HAProxy.
func (r *Relay) pass(client, server net.Conn) {
	said := new(said)
	r.mu.Lock()
	r.lines = append(r.lines, said)
	r.mu.Unlock()
	defer func() { r.mu.Lock(); said.over = true; r.mu.Unlock() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			r.wait()
			if !r.forward(server, said, buf[:n]) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// forward passes b on, up to a cut, and reports whether there may be more.
func (r *Relay) forward(server net.Conn, said *said, b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	write := func(b []byte) error {
		said.Write(b)
		_, err := server.Write(b)
		return err
	}
	if r.left < 0 || len(b) < r.left {
		if r.left >= 0 {
			r.left -= len(b)
		}
		return write(b) == nil
	}
	err := write(b[:r.left])
	b, r.left = b[r.left:], -1
	if r.then != nil {
		r.then()
	}
	if r.cuts {
		r.closeAll()
		return false
	}
	return err == nil && write(b) == nil
}

// Reads reports whether a transcript holds nothing but commands that change
// nothing.
func Reads(transcript []string) bool {
	for _, said := range transcript {
		for line := range strings.FieldsFuncSeq(said, func(r rune) bool { return r == ';' || r == '\n' }) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !slices.Contains([]string{"show", "get", "user", "prompt", "quit", "wait"}, word) {
				return false
			}
		}
	}
	return true
}
