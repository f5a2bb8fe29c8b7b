// Package consultest gives tests a Consul: the real one, or a fake that answers
// as told.
package consultest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/tools/loopback"
)

// startTimeout is how long a start may take. An agent that has met no server yet tells one
// what it has within 3 seconds of the first, or 15 seconds later if that fails.
const startTimeout = 30 * time.Second

// A Server is one process of a real Consul on loopback and free ports: a server
// and agent in one, or a client agent that joined one; see [Server.Join]. It is
// killed when the test ends.
type Server struct {
	tb                testing.TB
	dir, node         string
	httpPort, dnsPort int
	lanPort, raftPort int
	httpsPort         int // 0: none
	token             string
	server            *Server // of a client agent
	http              http.Client
	policies          atomic.Int64
	mu                sync.Mutex // guards following
	clients           []*Server
	process           *exec.Cmd // nil if it does not run
	exited            chan struct{}
}

// A Setting changes how a Consul is started.
type Setting func(*Server)

// Start starts a Consul and returns when it has a leader. The binary is
// consul/consul in the folder that SLOTSYNC_DEPS names, .cache/deps of the
// module without it; where it is missing the test fails.
func Start(tb testing.TB, settings ...Setting) *Server {
	tb.Helper()
	return start(tb, &Server{node: "node-1"}, settings)
}

// StartACL starts a Consul that lets nobody read or write without a token.
// Token returns one that may do everything.
func StartACL(tb testing.TB, settings ...Setting) *Server {
	tb.Helper()
	return start(tb, &Server{node: "node-1", token: "7a1bd6c2-0000-4000-8000-5107e5c00001"}, settings)
}

func start(tb testing.TB, s *Server, settings []Setting) *Server {
	tb.Helper()
	s.tb, s.dir = tb, tb.TempDir()
	s.http.Timeout = 10 * time.Second
	s.http.Transport = &http.Transport{MaxIdleConnsPerHost: 2}
	tb.Cleanup(func() {
		s.Kill()
		s.http.CloseIdleConnections()
	})
	// A free port may be taken between finding and using it.
	var err error
	for range 3 {
		s.httpPort, s.dnsPort, s.lanPort, s.raftPort = freePort(tb), freePort(tb), freePort(tb), freePort(tb)
		for _, set := range settings {
			set(s)
		}
		if err = s.run(); err == nil {
			return s
		}
		s.Kill()
	}
	tb.Fatalf("start consul: %v\n%s", err, s.log())
	return nil
}

// URL is where the HTTP API is, as in http://127.0.0.1:8500.
func (s *Server) URL() string { return "http://" + s.HTTPAddr() }

// HTTPAddr is the HTTP API's host and port.
func (s *Server) HTTPAddr() string { return fmt.Sprintf("127.0.0.1:%d", s.httpPort) }

// DNSAddr is the host and port at which services are answered as
// NAME.service.consul, by UDP and TCP.
func (s *Server) DNSAddr() string { return fmt.Sprintf("127.0.0.1:%d", s.dnsPort) }

// Token is the token that may do everything, empty without ACLs.
func (s *Server) Token() string { return s.token }

// Kill ends the process as a crash would and returns when it is gone. It may be
// called again.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop asks the process to end, upon which a client agent leaves the cluster, and
// returns when it is gone.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	s.mu.Lock()
	process, exited := s.process, s.exited
	s.process = nil
	s.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Process.Signal(signal) // it may have ended by itself
	<-exited
	s.http.CloseIdleConnections()
}

// Restart kills the process if it runs and starts it on the same ports, with
// what it knew or with nothing. It returns as [Server.Await] does.
func (s *Server) Restart(keepData bool) {
	s.tb.Helper()
	s.Launch(keepData)
	s.Await()
}

// Launch is Restart without waiting for anything.
func (s *Server) Launch(keepData bool) {
	s.tb.Helper()
	s.Kill()
	if !keepData {
		if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
			s.tb.Fatal(err)
		}
	}
	if err := s.launch(); err != nil {
		s.tb.Fatalf("restart consul: %v", err)
	}
}

// Await returns when there is a leader, and it knows of this node, that it is alive, and of
// all instances that are registered with it.
func (s *Server) Await() {
	s.tb.Helper()
	s.mu.Lock()
	exited := s.exited
	s.mu.Unlock()
	if err := s.waitUntilReady(exited); err != nil {
		s.tb.Fatalf("await consul: %v\n%s", err, s.log())
	}
}

func (s *Server) run() error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.waitUntilReady(s.exited)
}

func (s *Server) launch() error {
	config := filepath.Join(s.dir, "consul.json")
	raw, err := json.Marshal(s.config())
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(binary(s.tb), "agent", "-config-file", config)
	process.Stdout, process.Stderr = log, log
	process.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	// The process must not outlive a test that is killed.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.mu.Lock()
	s.process, s.exited = process, exited
	s.mu.Unlock()
	go func() {
		defer close(exited)
		_ = process.Wait() // a signal is the way it ends
	}()
	return nil
}

// waitUntilReady returns when a write succeeds, which needs a leader, and that shows all
// that the agent has: an agent tells its servers in its own time what it found on its disk
// when it started, or what they have lost.
func (s *Server) waitUntilReady(exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = s.ready(ctx); last == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("the process ended: %w", last)
		case <-ctx.Done():
			return fmt.Errorf("not ready within %s: %w", startTimeout, last)
		case <-tick.C:
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	if _, err := s.call(ctx, http.MethodPut, "/v1/kv/consultest/"+s.node, "x"); err != nil {
		return err
	}
	var checks []struct{ CheckID, Status string }
	if err := s.get(ctx, "/v1/health/node/"+s.node, &checks); err != nil {
		return err
	}
	if !slices.Contains(checks, struct{ CheckID, Status string }{"serfHealth", "passing"}) {
		return fmt.Errorf("%s is not alive yet: %v", s.node, checks)
	}
	var own map[string]struct{}
	var shown struct{ Services []struct{ ID string } }
	if err := s.get(ctx, "/v1/agent/services", &own); err != nil {
		return err
	}
	if err := s.get(ctx, "/v1/catalog/node-services/"+s.node, &shown); err != nil {
		return err
	}
	for _, service := range shown.Services {
		delete(own, service.ID)
	}
	if len(own) > 0 {
		return fmt.Errorf("of %s these are not shown yet: %v", s.node, slices.Sorted(maps.Keys(own)))
	}
	return nil
}

func (s *Server) get(ctx context.Context, path string, into any) error {
	raw, err := s.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (s *Server) log() string {
	raw, _ := os.ReadFile(filepath.Join(s.dir, "log")) // for a message only
	return string(raw)
}

// binary returns the path of the real Consul.
func binary(tb testing.TB) string {
	tb.Helper()
	deps := os.Getenv("SLOTSYNC_DEPS")
	if deps == "" {
		deps = filepath.Join(moduleRoot(tb), ".cache", "deps")
	}
	path, err := filepath.Abs(filepath.Join(deps, "consul", "consul"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		tb.Fatalf("no real Consul: run make deps (%v)", err)
	}
	return path
}

func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("not within a Go module")
		}
		dir = parent
	}
}

// freePort returns a port that is free for TCP and UDP.
func freePort(tb testing.TB) int {
	tb.Helper()
	port, err := loopback.Port()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}
