package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// long reports whether the proofs run whole.
func long() bool { return os.Getenv("SLOTSYNC_LONG") == "1" }

// share returns n, or a tenth of it where the proofs do not run whole.
func share(n int) int {
	if long() {
		return n
	}
	return max(n/10, 1)
}

// A rig is an agent over real HAProxies.
type rig struct {
	tb    testing.TB
	agent *agent.Agent
	opts  agent.Options
	stop  func()
}

// newRig returns an agent that was not started, for the sockets and backends.
func newRig(tb testing.TB, sockets map[string]string, backends ...agent.Backend) *rig {
	tb.Helper()
	_, m := daemon.NewMetrics(version)
	r := &rig{tb: tb, stop: func() {}}
	r.opts = agent.Options{Backends: backends, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: m, StateDir: tb.TempDir()}
	for name, socket := range sockets {
		client, err := haproxy.New(haproxy.Options{Socket: socket, Timeout: agent.DefaultTimeout})
		if err != nil {
			tb.Fatal(err)
		}
		r.opts.Instances = append(r.opts.Instances, agent.Instance{Name: name, Conn: client, Key: name})
	}
	slices.SortFunc(r.opts.Instances, func(a, b agent.Instance) int { return strings.Compare(a.Name, b.Name) })
	tb.Cleanup(func() { r.stop() })
	return r
}

// start runs the agent until stop is called.
func (r *rig) start() {
	r.tb.Helper()
	a, err := agent.New(r.opts)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	r.stop = func() { cancel(); <-done }
	eventually(r.tb, 15*time.Second, func() string {
		if err := a.Healthy(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// eventually waits until check returns "".
func eventually(tb testing.TB, within time.Duration, check func() string) {
	tb.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		wrong := check()
		if wrong == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within %s: %s", within, wrong)
		}
	}
}

// during fails the test as soon as check does not return "", for as long.
func during(tb testing.TB, d time.Duration, check func() string) {
	tb.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if wrong := check(); wrong != "" {
			tb.Fatal(wrong)
		}
		select {
		case <-tick.C:
		case <-deadline:
			return
		}
	}
}

// inStep says what keeps the agent from being in step with n ready slots on
// every instance.
func (r *rig) inStep(n int) string {
	s := r.agent.Status()
	for _, in := range s.Instances {
		if !in.InSync {
			return fmt.Sprintf("%s is not in sync: %+v", in.Name, in)
		}
	}
	ready := 0
	for _, b := range s.Backends {
		for _, slot := range b.Slots {
			for _, in := range slot.Instances {
				if in.State == slots.Ready {
					ready++
				}
			}
		}
	}
	if want := n * len(s.Instances); ready != want {
		return fmt.Sprintf("%d slots are ready, want %d: %+v", ready, want, s.Sources)
	}
	return ""
}

// ready returns the addresses of a backend's ready slots, as HAProxy shows them.
func ready(tb testing.TB, socket, backend string) []string {
	tb.Helper()
	client, err := haproxy.New(haproxy.Options{Socket: socket})
	if err != nil {
		tb.Fatal(err)
	}
	v, err := client.View(tb.Context(), []string{backend}, false)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, s := range v.Servers[backend] {
		if s.Class == slots.Ready {
			out = append(out, s.Addr.String())
		}
	}
	slices.Sort(out)
	return out
}

// loopback returns n endpoints from a port on; nobody listens there.
func loopback(port, n int) []discovery.Endpoint {
	var out []discovery.Endpoint
	for i := range n {
		out = append(out, discovery.Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), uint16(port+i))})
	}
	return out
}

func addresses(eps []discovery.Endpoint) []string {
	var out []string
	for _, e := range eps {
		out = append(out, e.Addr.String())
	}
	slices.Sort(out)
	return out
}

// eachVersion runs body for every HAProxy, side by side.
func eachVersion(t *testing.T, body func(t *testing.T, version string)) {
	eachOf(t, haproxytest.Versions[:], body)
}

func eachOf(t *testing.T, versions []string, body func(t *testing.T, version string)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			body(t, version)
		})
	}
}

// eachInTurn runs body for every HAProxy, or the oldest and the newest where the proofs
// do not run whole, one after the other: where time is taken.
func eachInTurn(t *testing.T, body func(t *testing.T, version string)) {
	versions := haproxytest.Versions[:]
	if !long() {
		versions = []string{versions[0], versions[len(versions)-1]}
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { body(t, version) })
	}
}

// runProgram starts a program, and ends it with its test. If that fails, it shows what the
// program said.
func runProgram(t *testing.T, program *exec.Cmd, said func() string) {
	t.Helper()
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = program.Wait()
		if t.Failed() {
			t.Log(said())
		}
	})
}
