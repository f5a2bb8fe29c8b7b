package main

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
)

// TestOldWorkerIsReported has a HAProxy reloaded while a client keeps its
// connection: the worker that waits for it is in the status, with its age and
// sessions, until it has ended.
func TestOldWorkerIsReported(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version string) {
		e := newManagedEdge(t, version, "edge")
		fleet := newFleet(t, time.Minute, 1)
		r := newRig(t, nil, backendOf(fleet.source))
		r.opts.Instances = append(r.opts.Instances, e.instance(t))
		how := e.reload(t)
		how.OldWorkers = daemon.OldWorkers(config.Reload{Master: e.Master, Timeout: 5 * time.Second})
		r.opts.Reloads = append(r.opts.Reloads, how)
		r.start()
		eventually(t, 20*time.Second, func() string { return r.inStep(1) })
		conn, err := net.Dial("tcp", e.frontend)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// half a request keeps the worker waiting
		if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
			t.Fatal(err)
		}
		old := e.Worker()
		e.Reload()
		eventually(t, 20*time.Second, func() string {
			s := r.agent.Status().Reloads[0].OldWorkers
			if len(s) != 1 || s[0].Pid != old || s[0].Sessions < 1 {
				return fmt.Sprintf("old workers %+v, want %d", s, old)
			}
			return ""
		})
		conn.Close()
		eventually(t, 30*time.Second, func() string {
			if s := r.agent.Status().Reloads[0].OldWorkers; len(s) != 0 {
				return fmt.Sprintf("old workers %+v", s)
			}
			return ""
		})
	})
}
