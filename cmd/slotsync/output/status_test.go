package output

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

func TestShowStatus(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := api.Status{At: now, NotReady: []string{"backend web has no set"}, ConfigRefused: "a.yaml:1:1: unknown key\nno",
		Instances: []api.InstanceStatus{
			{Name: "edge-1", Socket: "/run/a.sock", Up: true, Version: "2.6.12", Pid: 7, InSync: true, External: 1},
			{Name: "edge-2", Socket: "/run/b.sock", LastError: "absent: nobody\nlistens"},
			{Name: "edge-3", Socket: "/run/c.sock", Up: true, Version: "3.2.26", Pid: 8, LagSeconds: 1.5, Waiting: 2},
		},
		Sources: []api.SourceStatus{
			{Name: "consul", Backend: "web", Asks: "consul service web\x1b[2J", State: "failing", AgeSeconds: 75, Endpoints: 3, LastError: "transport: refused",
				Rejected: []discovery.Rejection{{Reason: "bad_port", Value: "0"}}},
			{Name: "dns", Backend: "web", Asks: "dns A+AAAA web", State: "ok", AgeSeconds: 1, Endpoints: 1, Kept: 2,
				Parts: slices.Repeat([]api.PartStatus{{Name: "AAAA of web", State: "unknown", Reason: "SERVFAIL\nagain"}}, 6), PartsMore: 1},
			{Name: "new", Backend: "web", Asks: "service api", State: "none yet", AgeSeconds: 1},
		},
		Backends: []api.BackendStatus{{Name: "web", Backend: "www", Phase: "live",
			Takeover: &api.Hold{ID: "t1a2b3", Kind: "takeover", Since: now.Add(-time.Minute), WouldRemove: []string{"10.9.0.1:80"}, BlocksWriting: true},
			Kept: []api.KeptSet{{ID: "k1a2b3", Source: "dns", Part: "AAAA of web", Reason: "SERVFAIL\nagain", Since: now.Add(-time.Minute),
				Endpoints: []string{"10.0.0.1:80", "10.0.0.7:80"}, Yielded: []string{"10.0.0.7:80"}}},
			Hold:     &api.Hold{ID: "h1a2b3", Kind: "removal", Since: now.Add(-10 * time.Second), ReleasesAt: now.Add(20 * time.Second), WouldRemove: []string{"a", "b", "c", "d"}},
			Overflow: []discovery.Endpoint{{}},
			Slots: []api.SlotStatus{
				{Name: "web1", Endpoint: "10.0.0.1:80", State: "ready", Title: "web-1", Instances: []api.InstanceSlot{
					{Instance: "edge-1", Address: "10.0.0.1:80", State: slots.Maint, HeldBy: "external"}, {Instance: "edge-3", Lacking: true}}},
				{Name: "web2", State: "free"},
			}}},
	}
	s.Pauses = []api.Pause{{Backend: "web", Until: now.Add(time.Hour), By: "bob"}}
	s.Backends[0].Paused, s.Backends[0].PausedBy = &s.Pauses[0].Until, "bob"
	s.Overrides = []api.Override{{Address: "10.0.0.9", Kind: api.OverrideState, State: "maint", By: "ann", Reason: "disk\x1b"}}
	const want = `not ready: backend web has no set

the configuration that was read last is refused, the one before it is in force: a.yaml:1:1: unknown key; no

INSTANCE  SOCKET       HAPROXY  PID  STATE
edge-1    /run/a.sock  2.6.12   7    in sync, 1 taken out by somebody else
edge-2    /run/b.sock  -        -    down: absent: nobody; listens
edge-3    /run/c.sock  3.2.26   8    behind by 1.5s, 2 waiting for sessions

SOURCE  BACKEND  ASKS                    ENDPOINTS  STATE
consul  web      consul service web.[2J  3          failing, last answer 1m15s ago: transport: refused, 1 rejected (0: its port is not within 1 and 65535)
dns     web      dns A+AAAA web          1          ok, 7 parts not whole, 2 kept
new     web      service api             0          none yet

PART         SOURCE  BACKEND  STATE    WHY
AAAA of web  dns     web      unknown  SERVFAIL; again
AAAA of web  dns     web      unknown  SERVFAIL; again
AAAA of web  dns     web      unknown  SERVFAIL; again
AAAA of web  dns     web      unknown  SERVFAIL; again
AAAA of web  dns     web      unknown  SERVFAIL; again
2 more       dns     web      -        -

BACKEND  HAPROXY'S  SLOTS  READY  DRAIN  DOWN  STATE
web      www        2      0      0      0     live, held (removal) for 10s: would remove a, b, c, 1 more, in 20s (slotsync accept web h1a2b3), held (takeover) for 1m: would remove 10.9.0.1:80, and nothing is written before (slotsync accept web t1a2b3), 2 kept for 1m (dns, AAAA of web: SERVFAIL; again), 1 of them without a slot (slotsync accept web k1a2b3), 1 endpoint without a slot, paused for another 1h by bob

OVERRIDE      ENDPOINT  ASKED FOR
web           -         nothing is written until 2030-01-02T04:04:05Z, by bob
all backends  10.0.0.9  maint by ann: disk.

ID      BACKEND  KIND      FOR  WOULD GO                  WHY
h1a2b3  web      removal   10s  a, b, c, 1 more           the source lists far fewer
k1a2b3  web      kept      1m   10.0.0.1:80, 10.0.0.7:80  dns, AAAA of web: SERVFAIL; again
t1a2b3  web      takeover  1m   10.9.0.1:80               slots serve addresses that no source has ever listed, and none that one lists: nothing is written (is the name right?)

SLOT      ENDPOINT     STATE         NAME   INSTANCES
www/web1  10.0.0.1:80  ready (kept)  web-1  edge-1: somebody set it to maint; edge-3: lacks it
`
	var b bytes.Buffer
	if err := (Style{}).WriteStatus(&b, s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	if err := (Style{Colour: true, All: true}).WriteStatus(&b, s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "www/web2") || !strings.HasPrefix(b.String(), "\x1b[33mnot ready") {
		t.Error(b.String())
	}
}

func TestShowReloads(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) *time.Time { return new(now.Add(d)) }
	s := api.Status{At: now, Ready: true,
		Reloads: []api.ReloadStatus{
			{Name: "haproxy", Instances: []string{"edge-1", "edge-2"}, Renders: true, Last: at(-12500 * time.Millisecond), Reason: "overflow: web\n\x1b[2J",
				Step: "worker", InHour: 1, NextAfter: at(17500 * time.Millisecond),
				OldWorkers: []api.OldWorker{{Pid: 7, AgeSeconds: 3, Sessions: 1}, {Pid: 6, AgeSeconds: 4000, Sessions: -1}}},
			{Name: "edge-3", Instances: []string{"edge-3"}, Renders: true, Last: at(-time.Hour), Reason: "asked for", Step: "check", Error: "step check failed:\nline 3"},
			{Name: "edge-4", Instances: []string{"edge-4"}, Renders: true, Running: true, NextAfter: at(-time.Second)},
			{Name: "edge-5", Instances: []string{"edge-5"}, OldWorkers: []api.OldWorker{{Pid: 9, AgeSeconds: 61}}},
		},
		Backends: []api.BackendStatus{
			{Name: "web", Backend: "web", Phase: "live", Overflow: make([]discovery.Endpoint, 2),
				NeedReload: &api.NeedReload{Slots: 10, Wanted: 12, Since: now.Add(-5 * time.Second), Why: "HAProxy is going to be reloaded"},
				Forecast:   api.Forecast{PerHour: 4, FullInSeconds: 1}},
			{Name: "api", Backend: "api", Phase: "live", NeedReload: &api.NeedReload{Slots: 1, Wanted: 2, Latched: true, Why: "step check failed\x1b; it is tried again when the file changes"}},
			{Name: "soon", Backend: "soon", Phase: "live", Forecast: api.Forecast{Free: 3, PerHour: 2, FullInSeconds: 5400}},
			{Name: "now", Backend: "now", Phase: "live", Forecast: api.Forecast{Free: 1, PerHour: 200, FullInSeconds: 18}},
			{Name: "late", Backend: "late", Phase: "live", Forecast: api.Forecast{Free: 900, PerHour: 1, FullInSeconds: 900 * 3600}},
			{Name: "never", Backend: "never", Phase: "live", Forecast: api.Forecast{Free: 3}},
		},
	}
	const want = `BACKEND  HAPROXY'S  SLOTS  READY  DRAIN  DOWN  STATE
web      web        0      0      0      0     live, 2 endpoints without a slot (10 slots for 12 endpoints, for 5s): HAProxy is going to be reloaded
api      api        0      0      0      0     live, 1 endpoint without a slot (1 slot for 2 endpoints): given up: step check failed.; it is tried again when the file changes
soon     soon       0      0      0      0     live, 3 free, full in 1h30m at 2 an hour
now      now        0      0      0      0     live, 1 free, full in 18s at 200 an hour
late     late       0      0      0      0     live
never    never      0      0      0      0     live

RELOAD   INSTANCES       LAST     NEXT        RESULT
haproxy  edge-1, edge-2  13s ago  in 18s      ok (overflow: web; .[2J), 2 old workers (oldest pid 6, 1h7m)
edge-3   edge-3          1h ago   at once     failed: step check failed:; line 3 (asked for)
edge-4   edge-4          now      at once     -
edge-5   edge-5          never    when asked  1 old worker (oldest pid 9, 1m1s)
`
	var b bytes.Buffer
	if err := (Style{}).WriteStatus(&b, s); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "\nBACKEND")
	if diff := cmp.Diff(want, "BACKEND"+got); diff != "" {
		t.Error(diff)
	}
}

func TestShowPlan(t *testing.T) {
	p := api.Plan{
		Instances: []api.InstancePlan{
			{Instance: "edge-1", Changes: []api.PlannedChange{
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
	if err := WritePlan(&b, p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// TestSilentSaysItOnce: what all instances refuse alike is one reason, and each is named.
func TestSilentSaysItOnce(t *testing.T) {
	const refused, away = "the agent refuses", "no answer"
	err := Unanswered([]Answer[string]{{"edge-1", refused, ""}, {"edge-2", away, ""}, {"edge-3", "", "fine"}, {"edge-4", refused, ""}})
	if want := "edge-1, edge-4: the agent refuses\nedge-2: no answer"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := Unanswered([]Answer[string]{{"edge-3", "", "fine"}}); err != nil {
		t.Error(err)
	}
}
