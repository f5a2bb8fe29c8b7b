package web_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an agent with one backend, web, of which something may be held.
type fake struct {
	mu      sync.Mutex
	status  agent.Status
	sick    error
	syncErr error
	reload  error
	held    bool
	done    []string // what was changed
}

func (f *fake) Status() agent.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Healthy() error { return f.sick }

func (f *fake) Sync(context.Context) (agent.Status, error) {
	f.did("sync")
	return f.Status(), f.syncErr
}

func (f *fake) Accept(_ context.Context, backend string) error {
	f.did("accept " + backend)
	if backend != "web" {
		return fmt.Errorf("%s: %w", backend, agent.ErrNoBackend)
	}
	if !f.held {
		return fmt.Errorf("%s: %w", backend, agent.ErrNothingHeld)
	}
	return nil
}

func (f *fake) Reload(_ context.Context, drainRemoved bool) error {
	what := "reload"
	if drainRemoved {
		what += ", drain removed"
	}
	f.did(what)
	return f.reload
}

func (f *fake) did(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, what)
}

func (f *fake) changes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.done...)
}

func newFake() *fake {
	return &fake{held: true, status: agent.Status{
		Schema: agent.Schema, Version: "1.2.3", Ready: true,
		Backends:  []agent.BackendStatus{{Name: "web", Backend: "web", Phase: "live"}},
		Instances: []agent.InstanceStatus{{Name: "edge-1", Up: true, InSync: true}},
	}}
}

// options are those of a server for f; change what a test is about.
func options(f *fake) web.Options {
	return web.Options{
		Agent: f,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "slotsync_build_info 1")
		}),
		Reload: f.Reload,
	}
}

func newServer(t *testing.T, o web.Options) *web.Server {
	t.Helper()
	s, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve binds what o names and answers until the test ends.
func serve(t *testing.T, o web.Options) *web.Server {
	t.Helper()
	s := newServer(t, o)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func token(s string) func() string { return func() string { return s } }
