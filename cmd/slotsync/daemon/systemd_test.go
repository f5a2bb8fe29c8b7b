package daemon

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// The status of the unit says in words what is not as it should be.
func TestSummarize(t *testing.T) {
	well := api.InstanceStatus{Name: "edge-1", Up: true, InSync: true}
	web := api.BackendStatus{Name: "web"}
	for _, tt := range []struct {
		name   string
		status api.Status
		want   string
	}{
		{"all well", api.Status{Instances: []api.InstanceStatus{well, well}, Backends: []api.BackendStatus{web}}, "2 of 2 instances in sync, 1 backend"},
		{"instances", api.Status{Instances: []api.InstanceStatus{well, {Name: "edge-2"}, {Name: "edge-3", Up: true}}}, "1 of 3 instances in sync, 0 backends: edge-2 does not answer, edge-3 is not in sync"},
		{"backends", api.Status{Instances: []api.InstanceStatus{well}, Backends: []api.BackendStatus{
			web, {Name: "a", Hold: &api.Hold{Kind: "empty"}}, {Name: "b", Paused: &time.Time{}}, {Name: "c", Problem: "no such backend"}, {Name: "d", Overflow: make([]discovery.Endpoint, 2)},
		}}, "1 of 1 instance in sync, 5 backends: a held (empty), b paused, c: no such backend, d has no slot for 2 endpoints"},
		{"the configuration", api.Status{Instances: []api.InstanceStatus{well}, ConfigRefused: "a.yaml:1:1: no\nb"},
			"the configuration that was read last is refused, the one before it is in force (a.yaml:1:1: no; b); 1 of 1 instance in sync, 0 backends"},
		{"a loop that does not answer", api.Status{Unanswered: "the loop has not answered", ConfigRefused: "no"},
			"the configuration that was read last is refused, the one before it is in force (no); the loop has not answered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := summarize(tt.status); got != tt.want {
				t.Errorf("%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// An agent that hangs feeds no watchdog, however lively the rest of the process is.
func TestSign(t *testing.T) {
	well := api.Status{Instances: []api.InstanceStatus{{Name: "edge-1", Up: true, InSync: true}}}
	for _, tt := range []struct {
		name     string
		healthy  error
		status   api.Status
		watchdog bool
		want     string
	}{
		{"well", nil, well, true, "STATUS=1 of 1 instance in sync, 0 backends\nWATCHDOG=1"},
		{"no watchdog", nil, well, false, "STATUS=1 of 1 instance in sync, 0 backends"},
		{"a loop that is silent", errors.New("the loop has been silent for 11s"), well, true, "STATUS=the loop has been silent for 11s"},
		{"a loop that does not answer", nil, api.Status{Unanswered: "the loop has not answered"}, true, "STATUS=the loop has not answered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sign(tt.healthy, func() api.Status { return tt.status }, tt.watchdog); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestHungLoop: systemd hears how the agent is, again and again, and nothing that feeds the watchdog
// while its loop does nothing.
func TestHungLoop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000")
	s := &service{agent: &agent.Agent{}} // whose loop has never run
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.tellSystemd(ctx) }()
	for i := range 4 {
		b := make([]byte, 1<<10)
		n, err := listener.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if said := string(b[:n]); i > 0 && !strings.HasPrefix(said, "STATUS=the agent has not started") || strings.Contains(said, "WATCHDOG") {
			t.Errorf("it says %q", said)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
