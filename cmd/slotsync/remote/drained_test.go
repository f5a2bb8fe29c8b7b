package remote

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/slots"
)

var drainedServer = api.ServerRef{Backend: "web", Endpoint: "127.0.0.9:80", Slot: "web1"}

// aDrain waits for [drainedServer] at an agent that answers with what the returned functions
// are given: its status, and the servers of edge.
func aDrain(t *testing.T) (w *drainWait, status *api.Status, stat *slots.Dump) {
	t.Helper()
	status, stat = &api.Status{}, &slots.Dump{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var answer any = status
		if strings.HasSuffix(r.URL.Path, "/"+slots.DumpStat) {
			answer = stat
		}
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, client.Access{})
	if err != nil {
		t.Fatal(err)
	}
	return &drainWait{client: c, servers: []api.ServerRef{drainedServer}, drained: map[api.ServerRef]bool{}, processes: map[string]int{}}, status, stat
}

// TestNothingIsDrainedBeforeTheAgentRuns: an agent that is started meanwhile has no slots yet, with sessions or without.
func TestNothingIsDrainedBeforeTheAgentRuns(t *testing.T) {
	w, status, _ := aDrain(t)
	status.NotReady = []string{"the agent is not running"}
	left, err := w.sessionsLeft(t.Context())
	if want := "the agent does not answer: the agent is not running"; left != want || err != nil {
		t.Errorf("left: %q, %v, want %q", left, err, want)
	}
}

// TestNothingIsDrainedThatHasSessions: whatever the table says of its slot.
func TestNothingIsDrainedThatHasSessions(t *testing.T) {
	at := func(address string, state slots.Class) []api.InstanceSlot {
		return []api.InstanceSlot{{Instance: "edge", Address: address, State: state}}
	}
	drained := api.SlotStatus{Name: "web1", Endpoint: drainedServer.Endpoint, State: "drain", Instances: at(drainedServer.Endpoint, slots.Drain)}
	row := func(server, addr, sessions string) []string {
		return []string{"pxname", "www", "svname", server, "addr", addr, "scur", sessions}
	}
	for name, c := range map[string]struct {
		slots   []api.SlotStatus
		rows    [][]string
		backend string
		reloads []api.ReloadStatus
		left    string
	}{
		"none":                   {slots: []api.SlotStatus{drained}, rows: [][]string{row("web1", "127.0.0.9:80", "0"), row("web2", "127.0.0.8:80", "4")}},
		"some":                   {slots: []api.SlotStatus{drained}, rows: [][]string{row("web1", "127.0.0.9:80", "3")}, left: "web/127.0.0.9:80: edge 3 sessions"},
		"its slot is free":       {slots: []api.SlotStatus{{Name: "web1", State: "free", Instances: at(drainedServer.Endpoint, slots.Maint)}}, rows: [][]string{row("web1", "127.0.0.9:80", "1")}, left: "web/127.0.0.9:80: edge 1 session"},
		"others have its slot":   {slots: []api.SlotStatus{{Name: "web1", Endpoint: "127.0.0.7:80", State: "ready", Instances: at(drainedServer.Endpoint, slots.Drain)}}, rows: [][]string{row("web1", "127.0.0.9:80", "1")}, left: "web/127.0.0.9:80: edge 1 session"},
		"other slots":            {slots: []api.SlotStatus{{Name: "new1", State: "free", Instances: at("127.0.0.1:1", slots.Maint)}}, rows: [][]string{row("web1", "127.0.0.9:80", "2"), row("new1", "127.0.0.1:1", "0")}, left: "web/127.0.0.9:80: edge 2 sessions"},
		"it is ready still":      {slots: []api.SlotStatus{{Name: "web1", State: "free", Instances: at(drainedServer.Endpoint, slots.Ready)}}, rows: [][]string{row("web1", "127.0.0.9:80", "0")}, left: "web/127.0.0.9:80: edge is not drained yet"},
		"nothing is shown":       {slots: []api.SlotStatus{drained}, left: "web/127.0.0.9:80: edge does not show its sessions"},
		"no backend":             {backend: "api", slots: []api.SlotStatus{drained}, left: "web/127.0.0.9:80: the agent has no backend web any more, and does not say"},
		"an old worker":          {slots: []api.SlotStatus{drained}, rows: [][]string{row("web1", "127.0.0.9:80", "0")}, reloads: []api.ReloadStatus{{Instances: []string{"edge"}, OldWorkers: []api.OldWorker{{Pid: 7, Sessions: 2}}}}, left: "edge: the old worker 7 has 2 connections, of any server"},
		"a silent one":           {slots: []api.SlotStatus{drained}, rows: [][]string{row("web1", "127.0.0.9:80", "0")}, reloads: []api.ReloadStatus{{Instances: []string{"edge"}, OldWorkers: []api.OldWorker{{Pid: 7, Sessions: -1}}}}, left: "edge: the old worker 7 may have sessions of it"},
		"another's old worker":   {slots: []api.SlotStatus{drained}, rows: [][]string{row("web1", "127.0.0.9:80", "0")}, reloads: []api.ReloadStatus{{Instances: []string{"spare"}, OldWorkers: []api.OldWorker{{Pid: 7, Sessions: 2}}}}},
		"another backend has it": {slots: []api.SlotStatus{drained}, rows: [][]string{row("web1", "127.0.0.9:80", "0"), {"pxname", "api", "svname", "web1", "addr", "127.0.0.9:80", "scur", "9"}}},
	} {
		w, status, stat := aDrain(t)
		if c.backend == "" {
			c.backend = "web"
		}
		status.Backends = []api.BackendStatus{{Name: c.backend, Backend: "www", Slots: c.slots}}
		status.Instances, status.Reloads = []api.InstanceStatus{{Name: "edge", Up: true, Pid: 1}}, c.reloads
		for _, r := range c.rows {
			stat.Add(r...)
		}
		if left, err := w.sessionsLeft(t.Context()); left != c.left || err != nil {
			t.Errorf("%s: left %q, %v, want %q", name, left, err, c.left)
		}
	}
}

// TestUncountedOldWorkersAreSaid where an instance runs another process, and no master tells what it left.
func TestUncountedOldWorkersAreSaid(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint(known), func(t *testing.T) {
			w, status, _ := aDrain(t)
			status.Backends = []api.BackendStatus{{Name: "web", Backend: "www", Slots: []api.SlotStatus{{Name: "web1", Instances: []api.InstanceSlot{{Instance: "edge"}}}}}}
			status.Instances = []api.InstanceStatus{{Name: "edge", Up: true, Pid: 1}, {Name: "spare", Pid: 5}}
			status.Reloads = []api.ReloadStatus{{Instances: []string{"edge"}, OldWorkersKnown: known}}
			var want []string
			for _, pid := range []int{1, 0, 1, 2, 3} {
				status.Instances[0].Pid = pid
				if left, err := w.sessionsLeft(t.Context()); pid != 0 && left != "" || err != nil {
					t.Fatalf("left %q, %v", left, err)
				}
				if pid > 1 && !known {
					want = []string{"edge"}
				}
				if !slices.Equal(w.uncounted, want) {
					t.Errorf("process %d: %q, want %q", pid, w.uncounted, want)
				}
			}
		})
	}
}
