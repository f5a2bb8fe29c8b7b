package main

import (
	"bytes"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func write(t *testing.T, file string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, nil, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func TestShowStatus(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := agent.Status{At: now, NotReady: []string{"backend web has no set"},
		Instances: []agent.InstanceStatus{
			{Name: "edge-1", Socket: "/run/a.sock", Up: true, Version: "2.6.12", Pid: 7, InSync: true, External: 1},
			{Name: "edge-2", Socket: "/run/b.sock", LastError: "absent: nobody\nlistens"},
			{Name: "edge-3", Socket: "/run/c.sock", Up: true, Version: "3.2.26", Pid: 8, LagSeconds: 1.5, Waiting: 2},
		},
		Sources: []agent.SourceStatus{
			{Name: "consul", Backend: "web", Asks: "consul service web\x1b[2J", State: "failing", AgeSeconds: 75, Endpoints: 3, LastError: "transport: refused",
				Rejected: []discovery.Rejection{{Reason: "bad_port", Value: "0"}}},
		},
		Backends: []agent.BackendStatus{{Name: "web", Backend: "www", Phase: "live",
			Hold:     &agent.Hold{Kind: "removal", Since: now.Add(-10 * time.Second), ReleasesAt: now.Add(20 * time.Second), WouldRemove: []string{"a", "b", "c", "d"}},
			Overflow: []discovery.Endpoint{{}},
			Slots: []agent.SlotStatus{
				{Name: "web1", Endpoint: "10.0.0.1:80", State: "ready", Title: "web-1", Instances: []agent.InstanceSlot{
					{Instance: "edge-1", Address: "10.0.0.1:80", State: slots.Maint, HeldBy: "external"}, {Instance: "edge-3", Lacking: true}}},
				{Name: "web2", State: "free"},
			}}},
	}
	const want = `not ready: backend web has no set

INSTANCE  SOCKET       HAPROXY  PID  STATE
edge-1    /run/a.sock  2.6.12   7    in sync, 1 external
edge-2    /run/b.sock  -        -    down: absent: nobody; listens
edge-3    /run/c.sock  3.2.26   8    behind by 1.5s, 2 waiting

SOURCE  BACKEND  ASKS                    ENDPOINTS  STATE
consul  web      consul service web.[2J  3          failing, last answer 1m15s ago: transport: refused, 1 rejected (bad_port: 0)

BACKEND  HAPROXY'S  SLOTS  READY  DRAIN  DOWN  STATE
web      www        2      1      0      0     live, held (removal) since 03:03:55: would remove a, b, c, 1 more, in 20s (slotsync accept web), 1 endpoint without a slot

SLOT      ENDPOINT     STATE  NAME   INSTANCES
www/web1  10.0.0.1:80  ready  web-1  edge-1: maint (external); edge-3: lacks it
`
	var b bytes.Buffer
	if err := (tableStyle{}).status(&b, s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	if err := (tableStyle{colour: true, all: true}).status(&b, s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "www/web2") || !strings.HasPrefix(b.String(), "\x1b[33mnot ready") {
		t.Error(b.String())
	}
}

func TestShowPlan(t *testing.T) {
	p := agent.Plan{
		Instances: []agent.InstancePlan{
			{Instance: "edge-1", Changes: []agent.PlannedChange{
				{Backend: "web", Slot: "web1", Kind: slots.Fill, From: "127.0.0.1:1 maint", To: "10.0.0.1:80 ready"},
				{Backend: "web", Slot: "web2", Kind: slots.Empty, From: "10.0.0.2:80 ready", To: "10.0.0.2:80 maint", Waiting: true}}},
			{Instance: "edge-2"},
		},
	}
	const want = `edge-1  web/web1  fill   127.0.0.1:1 maint -> 10.0.0.1:80 ready
edge-1  web/web2  empty  10.0.0.2:80 ready -> 10.0.0.2:80 maint (not yet: others come first)
edge-2  in sync
`
	var b bytes.Buffer
	if err := printPlan(&b, p, "text"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanVerdict(t *testing.T) {
	change := []agent.PlannedChange{{Slot: "web1"}}
	for _, tt := range []struct {
		name string
		plan agent.Plan
		want int
	}{
		{"in sync", agent.Plan{Instances: []agent.InstancePlan{{}}}, exitFine},
		{"pending", agent.Plan{Instances: []agent.InstancePlan{{}, {Changes: change}}}, exitDiffers},
		{"error beside changes", agent.Plan{Instances: []agent.InstancePlan{{Changes: change}, {Error: "down"}}}, exitFailed},
		{"problem", agent.Plan{Instances: []agent.InstancePlan{{Changes: change}}, Problems: []string{"source"}}, exitFailed},
	} {
		if got := exitCode(planVerdict(tt.plan)); got != tt.want {
			t.Errorf("%s: %d, not %d", tt.name, got, tt.want)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	root := newRootCommand(&app{env: environment{}})
	for _, c := range root.Commands() {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no description", c.Name())
		}
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{c.Name(), "--help"}, &out, &errs, environment{}); code != 0 || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%s --help: exit %d, %s%s", c.Name(), code, out.String(), errs.String())
		}
	}
}

func TestReportIsOneLine(t *testing.T) {
	var b bytes.Buffer
	report(&b, usageErrorf("a\nb\x1b[2J"))
	if got := b.String(); got != "slotsync: a; b.[2J\n" {
		t.Errorf("%q", got)
	}
}
