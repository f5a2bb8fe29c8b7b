package daemon

import (
	"testing"
	"time"

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
