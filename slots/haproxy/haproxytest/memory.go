package haproxytest

import (
	"context"
	"encoding/csv"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An Executed is one command on a server that a [Fake] has executed, whoever sent it.
type Executed struct {
	At              time.Time
	Command, Reply  string
	Backend, Server string
	// Before and After are the server around it; nil where there is none. An address
	// that was taken, and is not applied yet, does not show in After.
	Before, After *Server
}

// A Server is one server of a [Fake], as it is.
type Server struct {
	Name string
	// Addr is "ip:port", as far as HAProxy has one.
	Addr string
	// State is "ready", "drain" or "maint", as the Runtime API calls them.
	State           string
	Weight, Initial int
	Sessions        int
	// Dynamic: it was added at run time.
	Dynamic bool
}

// NewFakeInMemory returns a made-up HAProxy that is reached by [Fake.Dial] alone, so that it
// works in the virtual time of testing/synctest. It has to be closed.
func NewFakeInMemory(version string, backends ...Backend) *Fake {
	f := newFake(version, backends)
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	f.listener = l
	f.wg.Go(func() { f.accept(l, f.places) })
	return f
}

// Close ends a Fake that [NewFakeInMemory] returned.
func (f *Fake) Close() { f.end() }

// Dial connects to a Fake that [NewFakeInMemory] returned.
func (f *Fake) Dial(ctx context.Context) (net.Conn, error) {
	l := f.listener.(*memoryListener)
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// OnExecuted has f told of every command on a server, as it is executed. f must not call
// the Fake. nil ends it.
func (f *Fake) OnExecuted(do func(Executed)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.executed = do
}

// Do executes a line as an administrator does, who is not in the transcript, and returns
// the reply.
func (f *Fake) Do(command string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &session{fake: f, worker: f.worker, level: "admin", of: "admin"}
	return s.execute(command)
}

// AgentSays has the agent of a server answer, as in "ready", "maint", "drain" or "50%". It
// reports whether HAProxy heeds it: it asks no agent that is disabled.
func (f *Fake) AgentSays(backend, name, answer string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.worker.backends {
		s := b.server(name)
		if b.Name != backend || s == nil || s.agent&checkEnabled == 0 {
			continue
		}
		if percent, ok := strings.CutSuffix(answer, "%"); ok {
			n, err := strconv.Atoi(percent)
			if err != nil {
				return false
			}
			s.weight = min(s.initial*n/100, 256)
			return true
		}
		return s.setState(answer)
	}
	return false
}

// SetNode sets the name of the machine that it shows.
func (f *Fake) SetNode(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.node = node
}

// Servers returns the servers of a backend as they are; nil if there is no such backend.
func (f *Fake) Servers(backend string) []Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.worker.backends {
		if b.Name != backend {
			continue
		}
		out := make([]Server, 0, len(b.servers))
		for _, s := range b.servers {
			out = append(out, s.row())
		}
		return out
	}
	return nil
}

func (w *worker) row(backend, name string) *Server {
	for _, b := range w.backends {
		if b.Name != backend {
			continue
		}
		if s := b.server(name); s != nil {
			row := s.row()
			return &row
		}
	}
	return nil
}

func (s *server) row() Server {
	s.settle(time.Now())
	row := Server{Name: s.name, State: "ready", Weight: s.weight, Initial: s.initial, Sessions: s.sessions, Dynamic: s.dynamic}
	if s.addr != "" {
		row.Addr = net.JoinHostPort(s.addr, strconv.Itoa(s.shownPort()))
	}
	switch {
	case s.admin&anyMaintenance != 0:
		row.State = "maint"
	case s.admin&forcedDrain != 0:
		row.State = "drain"
	}
	return row
}

// RestartFrom is like [Fake.Restart], and the new process loads the server-state file of
// each backend that is there, as HAProxy does with slots as they are recommended
// ("init-addr last"). path returns the file of a backend.
func (f *Fake) RestartFrom(path func(backend string) string, backends ...Backend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(backends)
	f.closeAll()
	for _, b := range f.worker.backends {
		if text, err := os.ReadFile(path(b.Name)); err == nil {
			b.load(string(text))
		}
	}
}

// load takes the rows of a server-state file that are about servers of b.
func (b *backend) load(text string) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.Comment, r.FieldsPerRecord, r.LazyQuotes = ' ', '#', -1, true
	for {
		row, err := r.Read()
		if err != nil {
			return
		}
		if len(row) < 19 || row[1] != b.Name {
			continue
		}
		s := b.server(row[3])
		admin, err1 := strconv.Atoi(row[6])
		weight, err2 := strconv.Atoi(row[7])
		port, err3 := strconv.Atoi(row[18])
		if s == nil || errors.Join(err1, err2, err3) != nil {
			continue
		}
		s.addr, s.port, s.admin, s.weight = row[4], port, admin&^configMaint|s.admin&configMaint, weight
		s.running, s.paused = s.admin&anyMaintenance == 0, s.admin&anyMaintenance != 0
		s.health = 0
		if s.running {
			s.health = rise
		}
	}
}

// A memoryListener hands on connections of the same process.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { close(l.closed); return nil }
func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
