package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery"
)

// checkPath is what health checks ask for: they go to wherever a slot points.
const checkPath = "/healthz"

// A member is one HTTP server of a fleet.
type member struct {
	addr netip.AddrPort
	left atomic.Int64 // when it stopped being listed, in Unix nanoseconds; 0: it is listed
}

func (m *member) endpoint() discovery.Endpoint { return discovery.Endpoint{Addr: m.addr} }

// A fleet is HTTP servers, of which a listing lists some. All of them answer
// until the end of the test: a connection that is refused would be tried
// elsewhere and hide that it was tried.
type fleet struct {
	tb      testing.TB
	source  *listing
	grace   time.Duration // how long one that has left may still be asked
	listed  []*member
	outside []*member // the one that has been out the longest first
	turns   int

	// stalls are by the frontend, too; of those that are watched.
	stalls map[string]*stalls

	mu     sync.Mutex
	loads  map[string][]loading // by the frontend through which requests come
	late   int                  // requests after the grace
	latest time.Duration        // into the grace that a request came, at most
	first  string               // the first late one
}

// A loading is a HAProxy reading its configuration and state file. What leaves
// meanwhile it cannot know before it answers.
type loading struct{ began, answered time.Time }

// ends returns when a member that left then has to be unknown to the process, at
// the latest, but for the grace; zero if that has nothing to do with l.
func (l loading) ends(left time.Time) time.Time {
	const write = 100 * time.Millisecond // that the state file may take
	switch {
	case left.Before(l.began.Add(-write)):
		return time.Time{}
	case l.answered.IsZero():
		return time.Now()
	case left.After(l.answered):
		return time.Time{}
	}
	return l.answered
}

// newFleet starts n servers and lists them.
func newFleet(tb testing.TB, grace time.Duration, n int) *fleet {
	tb.Helper()
	f := &fleet{tb: tb, source: newListing(), grace: grace, loads: map[string][]loading{}, stalls: map[string]*stalls{}}
	for range n {
		f.listed = append(f.listed, f.start())
	}
	f.source.Set(f.Endpoints())
	return f
}

func (f *fleet) start() *member {
	f.tb.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		f.tb.Fatal(err)
	}
	m := &member{addr: listener.Addr().(*net.TCPAddr).AddrPort()}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(m, w, r) })}
	go func() { _ = server.Serve(listener) }() // ends at Close
	f.tb.Cleanup(func() { _ = server.Close() })
	return m
}

// serve answers a request to m, and remembers it if it should not have come.
func (f *fleet) serve(m *member, w http.ResponseWriter, r *http.Request) {
	if left := m.left.Load(); left != 0 && r.URL.Path != checkPath {
		f.noteLate(m, time.Unix(0, left), r)
	}
	w.Header().Set(traffic.InstanceHeader, m.addr.String())
	_, _ = fmt.Fprintln(w, m.addr)
}

func (f *fleet) noteLate(m *member, left time.Time, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := left
	for _, l := range f.loads[r.Host] {
		if ends := l.ends(left); ends.After(from) {
			from = ends
		}
	}
	now := time.Now()
	after := now.Sub(from)
	if s := f.stalls[r.Host]; s != nil {
		after -= s.since(from, now)
	}
	f.latest = max(f.latest, after)
	if after <= f.grace {
		return
	}
	if f.late++; f.first == "" {
		f.first = fmt.Sprintf("%s asked %s %s after it had left, %s into the grace, at %s",
			r.Host, m.addr, time.Since(left), after, time.Now().Format("15:04:05.000"))
	}
}

// Loading says that the HAProxy with this frontend starts a process, until it
// answers.
func (f *fleet) Loading(frontend string) (answers func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.loads[frontend])
	f.loads[frontend] = append(f.loads[frontend], loading{began: time.Now()})
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.loads[frontend][i].answered = time.Now()
	}
}

// Watch has the time not count that the machine does not give to e. It is called before
// anything is asked.
func (f *fleet) Watch(t *testing.T, e *edge) {
	s, look := &stalls{}, newReader(t, e.Socket)
	s.watch(t, func(ctx context.Context) error { _, err := look.Ready(ctx); return err })
	f.stalls[e.frontend] = s
}

// Endpoints returns what is listed now.
func (f *fleet) Endpoints() []discovery.Endpoint {
	var out []discovery.Endpoint
	for _, m := range f.listed {
		out = append(out, m.endpoint())
	}
	return discovery.Normalize(out)
}

// Turn lists one more server, one less, or both at once.
func (f *fleet) Turn(comes, goes bool) {
	if comes {
		f.listed = append(f.listed, f.next())
	}
	var gone *member
	if goes {
		gone, f.listed = f.listed[0], f.listed[1:]
	}
	f.source.Set(f.Endpoints())
	if goes {
		gone.left.Store(time.Now().UnixNano())
		f.outside = append(f.outside, gone)
	}
}

// next returns the server that has been out the longest, if that is so long
// that a late request would have come, and every third time a new one.
func (f *fleet) next() *member {
	f.turns++
	if len(f.outside) == 0 || time.Since(time.Unix(0, f.outside[0].left.Load())) < 2*f.grace || f.turns%3 == 0 {
		return f.start()
	}
	m := f.outside[0]
	f.outside = f.outside[1:]
	m.left.Store(0)
	return m
}

// Late returns how many requests came after the grace, the first of them, and
// how far into the grace any came at most.
func (f *fleet) Late() (n int, first string, latest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.late, f.first, f.latest
}
