package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// builtBinary builds slotsync and returns its path.
func builtBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slotsync")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestKilledAtAnyByte kills the agent with SIGKILL when a random number of bytes
// of a batch of 100 changes has reached HAProxy. What is left is then put right
// by the next start, whatever it is.
func TestKilledAtAnyByte(t *testing.T) {
	t.Parallel()
	binary := builtBinary(t)
	eachVersion(t, func(t *testing.T, version string) {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Maxconn: 50, Backends: []haproxytest.Backend{{Name: "web", Slots: 210}}})
		relay := haproxytest.NewRelay(t, p.Socket)
		k := &killer{t: t, binary: binary, dir: t.TempDir(), socket: p.Socket, relay: relay}
		k.run(p.Socket, 0)
		seed := uint64(time.Now().UnixNano())
		random := rand.New(rand.NewPCG(seed, 0))
		unfinished := 0
		for i := range share(200) {
			n := 1 + random.IntN(9_000)
			set := 1 + i%2
			if k.runAndKill(set, n) {
				unfinished++
			}
			k.run(p.Socket, set)
			if got, want := ready(t, p.Socket, "web"), addresses(k.set(set)); !slices.Equal(got, want) {
				t.Fatalf("seed %d: killed after %d bytes, the next start ends with %d ready slots: %v", seed, n, len(got), got)
			}
		}
		t.Logf("%d kills, %d of them in the middle of a batch", share(200), unfinished)
		if unfinished == 0 {
			t.Error("no kill hit a batch: this proof proves nothing")
		}
	})
}

// A killer runs slotsync and kills it.
type killer struct {
	t                   *testing.T
	binary, dir, socket string
	relay               *haproxytest.Relay
}

// set returns 100 endpoints that no other set has; none for 0.
func (k *killer) set(n int) []discovery.Endpoint {
	if n == 0 {
		return loopback(7000, 1)
	}
	return loopback(7000+1000*n, 100)
}

func (k *killer) command(socket string, set int) *exec.Cmd {
	k.t.Helper()
	config := filepath.Join(k.dir, "slotsync.yaml")
	text := fmt.Sprintf("haproxy:\n  instances:\n    - name: edge\n      socket: %s\nstate_dir: %s\nhttp: {listen: \"\", socket: \"\"}\n"+
		"guard: {removal_hold: 0s, empty_hold: 0s}\nbackends:\n  - name: web\n    endpoints: [%s]\n",
		socket, k.dir, strings.Join(addresses(k.set(set)), ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return exec.CommandContext(k.t.Context(), k.binary, "run", "--once", "--config", config)
}

func (k *killer) run(socket string, set int) {
	k.t.Helper()
	if out, err := k.command(socket, set).CombinedOutput(); err != nil {
		k.t.Fatalf("%v: %s", err, out)
	}
}

// runAndKill starts a run and kills it after n bytes; it reports whether the run
// was still under way.
func (k *killer) runAndKill(set, n int) bool {
	k.t.Helper()
	cmd := k.command(k.relay.Socket, set)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	var killed atomic.Bool
	process := cmd.Process
	k.relay.CutAfter(n, func() { killed.Store(true); _ = process.Kill() })
	err := cmd.Wait()
	if killed.Load() {
		return true
	}
	k.relay.CutAfter(-1, nil)
	if err != nil {
		k.t.Fatalf("%v: %s", err, out.String())
	}
	return false
}

// TestHundredBackendsAreFilledWhoeverStartsFirst measures from the moment in
// which both are there.
func TestHundredBackendsAreFilledWhoeverStartsFirst(t *testing.T) {
	for _, agentFirst := range []bool{true, false} {
		t.Run(map[bool]string{true: "agent first", false: "haproxy first"}[agentFirst], func(t *testing.T) {
			eachInTurn(t, func(t *testing.T, version string) {
				var backends []haproxytest.Backend
				var filled []agent.Backend
				for i := range 100 {
					name := fmt.Sprintf("be%d", i)
					backends = append(backends, haproxytest.Backend{Name: name, Slots: 40})
					filled = append(filled, agent.Backend{Name: name, Proxy: name, Prefix: name, Feeds: []agent.Feed{{Name: "test", Key: name, Source: discovery.Static(loopback(10_000+20*i, 20))}}})
				}
				sockets := map[string]string{}
				var processes []*haproxytest.Process
				for _, name := range []string{"a", "b"} {
					p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: backends})
					processes, sockets[name] = append(processes, p), p.Socket
				}
				r := newRig(t, sockets, filled...)
				if agentFirst {
					for _, p := range processes {
						p.Kill()
					}
					r.start()
					for _, p := range processes {
						p.Restart()
					}
				}
				start := time.Now()
				if !agentFirst {
					r.start()
				}
				eventually(t, 10*time.Second, func() string { return r.inStep(2000) }) // how fast it is, benchmarks say
				t.Logf("filled after %s", time.Since(start).Round(time.Millisecond))
				for _, socket := range sockets {
					for i := range 100 {
						if got := ready(t, socket, fmt.Sprintf("be%d", i)); len(got) != 20 {
							t.Fatalf("backend %d has %d ready slots", i, len(got))
						}
					}
				}
			})
		})
	}
}
