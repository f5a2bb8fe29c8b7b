package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/metrics"
)

// world is an agent over fakes in virtual time.
type world struct {
	t      *testing.T
	agent  *Agent
	source *fakeSource
	conns  []*fakeConn
	opts   Options
	cancel context.CancelFunc
	done   chan error
	warned *warnings
	// registry has the metrics of the agent that was started last.
	registry *prometheus.Registry
	seen     []seenStatus
}

// seenStatus is a status with what it said when it was seen.
type seenStatus struct {
	status api.Status
	said   []byte
}

// warnings counts what was warned of since the start.
type warnings struct {
	mu     sync.Mutex
	counts map[string]int
}

func (w *warnings) of(text string) int { w.mu.Lock(); defer w.mu.Unlock(); return w.counts[text] }

// counting is a handler that counts warnings.
type counting struct {
	slog.Handler
	w *warnings
}

func (c counting) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.w.mu.Lock()
		c.w.counts[r.Message]++
		c.w.mu.Unlock()
	}
	return c.Handler.Handle(ctx, r)
}

func (c counting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counting{c.Handler.WithAttrs(attrs), c.w}
}

// inWorld runs body in a bubble, with an agent that was not started.
func inWorld(t *testing.T, body func(*world), conns ...*fakeConn) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, source: newSource(), conns: conns}
		w.opts = Options{StateDir: stateDir(t)}
		w.opts.Backends = []Backend{{Name: "web", Proxy: "web", Prefix: "web", Feeds: []Feed{{Name: "test", Source: w.source, Key: "a"}}}}
		for _, c := range conns {
			w.opts.Instances = append(w.opts.Instances, Instance{Name: c.name, Conn: c, Key: c.name})
		}
		defer w.wantUnchanged()
		defer w.stop()
		body(w)
	})
}

// stateDir is a folder in memory where there is such a place: most tests only wait for the
// disk, which hundreds of times is seconds.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "slotsync-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (w *world) start() {
	w.t.Helper()
	to := io.Discard
	if testing.Verbose() {
		to = w.t.Output()
	}
	w.warned = &warnings{counts: map[string]int{}}
	w.opts.Log = slog.New(counting{slog.NewTextHandler(to, nil), w.warned})
	w.registry = prometheus.NewRegistry()
	w.opts.Metrics = metrics.New(w.registry, "test", metrics.Lists{})
	a, err := New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.agent, w.done = a, make(chan error, 1)
	go func() { w.done <- a.Run(ctx) }()
	w.settle()
}

func (w *world) stop() {
	if w.cancel == nil {
		return
	}
	for _, c := range w.conns {
		c.with(func() {
			if c.hang = nil; c.frozen != nil {
				close(c.frozen)
				c.frozen = nil
			}
		})
	}
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Errorf("Run: %v", err)
	}
	w.cancel = nil
}

// settle lets everything happen that needs next to no time.
func (w *world) settle() { time.Sleep(20 * time.Millisecond); synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

// want fails the test if an instance does not show this.
func (w *world) want(c *fakeConn, show string) {
	w.t.Helper()
	if got := c.show(); got != show {
		w.t.Fatalf("%s shows %q, want %q", c.name, got, show)
	}
}

// status is what the agent says now. What it said is compared when the world ends, for
// a status that was published never changes.
func (w *world) status() api.Status {
	w.t.Helper()
	s := w.agent.Status()
	if len(w.seen) < 100 {
		w.seen = append(w.seen, seenStatus{s, w.marshal(s)})
	}
	return s
}

func (w *world) marshal(s api.Status) []byte {
	w.t.Helper()
	said, err := json.Marshal(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return said
}

// wantUnchanged fails the test if a status that was seen says something else by now.
func (w *world) wantUnchanged() {
	for _, s := range w.seen {
		if said := w.marshal(s.status); !bytes.Equal(said, s.said) {
			w.t.Errorf("a published status has changed from\n%s\nto\n%s", s.said, said)
		}
	}
}

func (w *world) wantSync(name string, in bool) {
	w.t.Helper()
	for _, s := range w.status().Instances {
		if s.Name == name && s.InSync != in {
			w.t.Fatalf("%s: in sync is %v, want %v: %+v", name, s.InSync, in, s)
		}
	}
}

// accept accepts what is held of a backend, or else what is kept or taken over, as
// somebody does who looked at the status just now.
func (w *world) accept(backend string) error {
	id := ""
	for _, b := range w.status().Backends {
		switch {
		case b.Name != backend:
		case b.Hold != nil:
			id = b.Hold.ID
		case len(b.Kept) > 0:
			id = b.Kept[0].ID
		}
	}
	_, err := w.agent.Accept(w.t.Context(), backend, id, "")
	return err
}
