package haproxytest

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Fake is a made-up HAProxy. It keeps state, and takes, refuses and answers
// what the real one of its version does, faults included; recordings of the
// real ones hold it to that. Its methods may be called at any time.
type Fake struct {
	// Socket is its Runtime API.
	Socket string

	version  string // "2.6"
	backends []Backend
	listener net.Listener
	wg       sync.WaitGroup
	places   chan struct{} // one for each connection that is served

	mu       sync.Mutex
	worker   *worker
	conns    map[net.Conn]bool
	received []string
	level    string
	delay    time.Duration
	lose     int
	buffer   int           // tune.bufsize
	cut      int           // bytes of each answer that are sent; -1: all
	hung     chan struct{} // nil unless it hangs
	ended    bool
	node     string
	executed func(Executed) // nil: nobody is told
}

// A worker is one process of a Fake. Connections stay with theirs.
type worker struct {
	pid      int
	started  time.Time
	stopping bool
	backends []*backend
}

// maxconn is how many connections are served at a time, as HAProxy does by
// default.
const maxconn = 10

// fullVersions are the versions that recordings were made of.
var fullVersions = map[string]string{"2.6": "2.6.12-1+deb12u3", "3.0": "3.0.11-1+deb13u3", "3.2": "3.2.26-1", "3.4": "3.4.7-1"}

// NewFake starts a made-up HAProxy of a version of [Versions]. It ends with its
// test.
func NewFake(tb testing.TB, version string, backends ...Backend) *Fake {
	tb.Helper()
	if !slices.Contains(Versions[:], version) {
		tb.Fatalf("no HAProxy %s", version)
	}
	f := newFake(version, backends)
	f.Socket = filepath.Join(tempDir(tb), "admin.sock")
	f.listen(tb)
	tb.Cleanup(f.end)
	return f
}

func newFake(version string, backends []Backend) *Fake {
	return &Fake{
		version: version, backends: backends, worker: newWorker(version, 4000, backends), places: make(chan struct{}, maxconn),
		conns: make(map[net.Conn]bool), level: "admin", buffer: defaultBuffer, cut: -1, delay: 300 * time.Microsecond, node: "test",
	}
}

func newWorker(version string, pid int, configured []Backend) *worker {
	w := &worker{pid: pid, started: time.Now()}
	// HAProxy numbers frontends and backends together; its own comes first
	id := 2
	for _, b := range configured {
		if b.Frontend != 0 {
			id++
		}
		w.backends = append(w.backends, newBackend(version, id, b))
		id++
	}
	return w
}

// listen makes the queue of connections that wait as short as HAProxy's is.
func (f *Fake) listen(tb testing.TB) {
	tb.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.Socket, Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := l.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { syscall.Listen(int(fd), cap(f.places)) })
	}
	if err != nil {
		tb.Fatal(err)
	}
	f.listener = l
	f.wg.Go(func() { f.accept(l, f.places) })
}

// accept takes a connection when there is a place for it; others wait unheard.
func (f *Fake) accept(l net.Listener, places chan struct{}) {
	for {
		places <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			<-places
			return
		}
		f.mu.Lock()
		s := &session{fake: f, worker: f.worker, conn: conn, level: f.level, of: f.level}
		f.conns[conn] = true
		ended := f.ended
		f.mu.Unlock()
		if ended {
			conn.Close()
		}
		f.wg.Go(func() {
			s.serve()
			f.mu.Lock()
			delete(f.conns, conn)
			f.mu.Unlock()
			<-places
		})
	}
}

// Sessions returns how many connections are open.
func (f *Fake) Sessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *Fake) end() {
	f.listener.Close()
	f.mu.Lock()
	f.ended = true
	f.wake()
	f.closeAll()
	f.mu.Unlock()
	f.wg.Wait()
}

// closeAll needs the lock.
func (f *Fake) closeAll() {
	for c := range f.conns {
		c.Close()
	}
}

// SetLevel sets what connections from now on may do: "user", "operator" or
// "admin".
func (f *Fake) SetLevel(level string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.level = level
}

// SetDelay sets how long after its answer a new address shows, from 3.0 on. It
// is 0.3 ms at first.
func (f *Fake) SetDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// LoseAddrs makes the next n new addresses be answered well and never applied,
// as it happened from 2.9 to 3.0.3.
func (f *Fake) LoseAddrs(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = n
}

// SetSessions sets the current sessions of a server.
func (f *Fake) SetSessions(backend, server string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.worker.backends {
		if s := b.server(server); b.Name == backend && s != nil {
			s.total += max(0, n-s.sessions)
			s.sessions = n
		}
	}
}

// SetBuffer sets tune.bufsize.
func (f *Fake) SetBuffer(bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buffer = bytes
}

// CutAnswers breaks every connection after n bytes of its answer; -1 ends that.
func (f *Fake) CutAnswers(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = n
}

// Hang makes it take connections and commands, and neither execute nor answer
// them, until the returned function is called. Then it does both.
func (f *Fake) Hang() (resume func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake()
	f.hung = make(chan struct{})
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.wake()
	}
}

// wake needs the lock.
func (f *Fake) wake() {
	if f.hung != nil {
		close(f.hung)
		f.hung = nil
	}
}

// Restart puts another process in place of the one that runs, with the slots of
// the configuration, and closes its connections. With backends, those are the
// configuration from now on.
func (f *Fake) Restart(backends ...Backend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(backends)
	f.closeAll()
}

// Reload is like Restart, but the old process goes on with the connections that
// it has, taking no changes.
func (f *Fake) Reload(backends ...Backend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.worker.stopping = true
	f.replace(backends)
}

func (f *Fake) replace(backends []Backend) {
	if len(backends) > 0 {
		f.backends = backends
	}
	f.worker = newWorker(f.version, f.worker.pid+1, f.backends)
}

// StopWorker makes the process that answers an old one, without another in its
// place.
func (f *Fake) StopWorker() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.worker.stopping = true
}

// Pid returns the process that answers.
func (f *Fake) Pid() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.worker.pid
}

// Transcript returns the lines that it has received.
func (f *Fake) Transcript() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.received)
}

// Forget empties the transcript.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received = nil
}

// String shows every server that is not as the configuration has it, or that was
// added.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s strings.Builder
	fmt.Fprintf(&s, "HAProxy %s, pid %d\n", f.version, f.worker.pid)
	for _, b := range f.worker.backends {
		fresh := newBackend(f.version, b.id, b.Backend)
		for _, sv := range b.servers {
			sv.settle(time.Now())
			if was := fresh.server(sv.name); was == nil || sv.at() != was.at() || sv.admin != was.admin || sv.weight != was.weight {
				fmt.Fprintf(&s, "%s/%s %s %d %d\n", b.Name, sv.name, sv.at(), sv.admin, sv.weight)
			}
		}
	}
	return s.String()
}

// at is the address as it is shown.
func (s *server) at() string {
	return cmp.Or(s.addr, "-") + ":" + fmt.Sprint(s.shownPort())
}
