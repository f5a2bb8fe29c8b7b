package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/tools/eventually"
)

// demoPlace gives the demo a folder for temporary files, and checks at the end
// that neither files nor processes are left.
func demoPlace(t *testing.T) {
	t.Helper()
	// Paths of unix sockets are short, and t.TempDir is not.
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the folder of temporary files: %v, %v", left, err)
		}
		if pids := processesIn(t, dir); len(pids) > 0 {
			t.Errorf("left running: %v", pids)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
}

// processesIn returns the processes whose command line names a path below dir.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(file string) bool {
		line, err := os.ReadFile(file)
		return err != nil || !bytes.Contains(line, []byte(dir+"/"))
	})
}

// demoOutput is what the demo prints, while it does.
type demoOutput struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *demoOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *demoOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// The demo as users run it, and with less time to look: what follows upon what then is another
// thing to the guard.
func TestDemo(t *testing.T) {
	t.Run("as it is", func(t *testing.T) { playAll(t, Options{HAProxy: haproxytest.Binary(t, "3.2")}) })
	t.Run("brief", func(t *testing.T) {
		playAll(t, Options{HAProxy: haproxytest.Binary(t, "2.6"), Linger: 300 * time.Millisecond})
	})
}

func playAll(t *testing.T, o Options) {
	t.Helper()
	demoPlace(t)
	var out demoOutput
	if err := Run(t.Context(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"1. Two HAProxies", "2. Scale up", "3. Discovery fails", "4. kill -9", "5. Reload", "6. Scale down", "7. Deploy", "8. The service outgrows its slots: 4 -> 16", "9. All who left",
		"ok both serve A to J", "ok the guard holds the removal", "ok N in, D out", "ok all 12 slots are in use, 4 instances wait", "ok edge-1 is reloaded and serves K to Z", "ok edge-2 is reloaded and serves K to Z", "requests, 0 failed (", "edge-2 was dead from", "n=20",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not shown: %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestDemoInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	demoPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	var out demoOutput
	ended := make(chan error, 1)
	options := Options{HAProxy: haproxytest.Binary(t, "2.6"), Linger: time.Hour}
	go func() { ended <- Run(ctx, options, &out) }()
	eventually.True(t, "the first chapter has been played", func() bool { return strings.Contains(out.String(), "ok both serve A B C") })
	cancel()
	if err := <-ended; !errors.Is(err, errInterrupted) {
		t.Errorf("got %v, want %v", err, errInterrupted)
	}
}

// An instance that stops without having left discovery first makes requests
// fail, and they are counted: the 0 of the demo is worth something.
func TestDemoCountsAnInstanceThatJustStops(t *testing.T) {
	demoPlace(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	world, err := newWorld(ctx, haproxytest.Binary(t, "2.6"), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel(nil)
		if err := world.Close(); err != nil {
			t.Error(err)
		}
	}()
	story := newStory(world, newScreen(io.Discard, true), 0)
	defer story.load.Stop()
	if err := story.join(3)(ctx); err != nil {
		t.Fatal(err)
	}
	world.Run(ctx, cancel)
	eventually.True(t, "both serve A B C", func() bool { return story.served(world.Agent.Status()) })
	story.load.Start(ctx)
	eventually.True(t, "100 requests", func() bool { return story.load.Tally().Requests >= 100 })
	if tally := story.load.Tally(); tally.Failed > 0 {
		t.Fatalf("failed before anything happened: %v", tally.Failures)
	}
	story.named[1].Leave()
	eventually.True(t, "failures at both", func() bool {
		by := story.load.Tally().ByTarget
		return by["edge-1"].Failed > 0 && by["edge-2"].Failed > 0
	})
	if story.Summary(nil).verdict() == nil {
		t.Error("the verdict is good")
	}
}

func TestDemoReportsWhatItDidNotSee(t *testing.T) {
	story := &story{world: &world{Agent: new(agent.Agent)}, screen: newScreen(io.Discard, true)}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("slotsync ended by itself")
	cancel(gone)
	if err := story.wait("anything", func(api.Status) bool { return false })(ctx); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}

func TestDemoServerLeaves(t *testing.T) {
	var fleet fleet
	servers, err := fleet.Start(3)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	if !slices.IsSortedFunc(servers, func(a, b *server) int { return a.Addr.Compare(b.Addr) }) || servers[2].Name != "C" {
		t.Errorf("started %v", fleet.Names())
	}
	b := servers[1]
	slow := make(chan int, 1)
	go func() { slow <- statusOf(t, "http://"+b.Addr.String()+slowPath) }()
	eventually.True(t, "a slow request is under way", func() bool { return b.Running() == 1 })
	if got := statusOf(t, "http://"+b.Addr.String()+"/"); got != http.StatusOK {
		t.Errorf("status %d before it left", got)
	}
	fleet.LeaveAfter(0, servers[1:2])
	eventually.True(t, "it has stopped", func() bool { return statusOf(t, "http://"+b.Addr.String()+"/") == http.StatusServiceUnavailable })
	if got := <-slow; got != http.StatusOK {
		t.Errorf("status %d for the request that was under way", got)
	}
}

func statusOf(t *testing.T, url string) int {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Error(err)
		return 0
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func TestFindHAProxy(t *testing.T) {
	root := t.TempDir()
	binary := func(parts ...string) string {
		path := filepath.Join(append([]string{root}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named := binary("own", "haproxy")
	inDeps := binary("deps", "haproxy-2.6", "haproxy")
	inTree := binary("tree", ".cache", "deps", "haproxy-2.6", "haproxy")
	inPath := binary("path", "haproxy")
	below := filepath.Join(root, "tree", "a", "b")
	t.Setenv("PATH", filepath.Join(root, "path"))
	tests := []struct{ name, named, deps, dir, want string }{
		{"named", named, filepath.Join(root, "deps"), below, named},
		{"SLOTSYNC_DEPS", "", filepath.Join(root, "deps"), below, inDeps},
		{"upwards", "", "", below, inTree},
		{"in PATH", "", "", root, inPath},
		{"SLOTSYNC_DEPS has none", "", filepath.Join(root, "nowhere"), below, inPath},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := findHAProxy(test.named, test.deps, test.dir); got != test.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
	t.Run("nowhere", func(t *testing.T) {
		t.Setenv("PATH", "")
		if _, err := findHAProxy("", "", root); !errors.Is(err, errNoHAProxy) {
			t.Errorf("got %v, want %v", err, errNoHAProxy)
		}
		if _, err := findHAProxy(filepath.Join(root, "missing"), "", root); err == nil {
			t.Error("a named one that is missing is no error")
		}
	})
}

func TestDemoSaysWhyAnHAProxyDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "haproxy")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho 'cannot bind' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := newProxy(dir, "edge-1", broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "edge-1 ended at its start: cannot bind") {
		t.Errorf("got %v", err)
	}
	p.Kill()
}
