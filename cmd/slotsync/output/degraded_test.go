package output

import (
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// What is degraded is told, by its name and what it is; what an operator asked for is not.
func TestDegraded(t *testing.T) {
	up := api.InstanceStatus{Name: "edge", Up: true, InSync: true}
	for name, tt := range map[string]struct {
		status api.Status
		want   string
	}{
		"well": {api.Status{Instances: []api.InstanceStatus{up}, Sources: []api.SourceStatus{{Name: "dns", State: "ok"}, {Name: "new", State: "none yet"}},
			Backends: []api.BackendStatus{{Name: "web", PausedBy: "ann"}}, Reloads: []api.ReloadStatus{{Name: "edge"}}, Overrides: []api.Override{{}}}, ""},
		"down":          {api.Status{Instances: []api.InstanceStatus{up, {Name: "b", LastError: "nobody listens"}}}, "instance b: down: nobody listens"},
		"behind":        {api.Status{Instances: []api.InstanceStatus{{Name: "b", Up: true}}}, "instance b: behind"},
		"not loaded":    {api.Status{Instances: []api.InstanceStatus{{Name: "b", Up: true, InSync: true, Unloaded: []string{"web"}}}}, "came up without its state file"},
		"failing":       {api.Status{Sources: []api.SourceStatus{{Name: "dns", Backend: "web", State: "failing", LastError: "SERVFAIL\n!", AgeSeconds: -1}}}, "source dns of web: failing: SERVFAIL; !"},
		"held":          {api.Status{Backends: []api.BackendStatus{{Name: "web", Hold: &api.Hold{ID: "h1"}}}}, "backend web: "},
		"taken over":    {api.Status{Backends: []api.BackendStatus{{Name: "web", Takeover: &api.Hold{ID: "t1"}}}}, "backend web: "},
		"kept":          {api.Status{Backends: []api.BackendStatus{{Name: "web", Kept: []api.KeptSet{{}}}}}, "0 kept"},
		"no slot":       {api.Status{Backends: []api.BackendStatus{{Name: "web", Overflow: []discovery.Endpoint{{}}}}}, "1 endpoint without a slot"},
		"problem":       {api.Status{Backends: []api.BackendStatus{{Name: "web", Problem: "no such backend"}}}, "no such backend"},
		"reload failed": {api.Status{Reloads: []api.ReloadStatus{{Name: "edge", Error: "it was refused", Step: "check"}}}, "reload edge: "},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(Degraded(tt.status), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q in one line", got, tt.want)
			}
		})
	}
}
