package output

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
)

func TestUnheard(t *testing.T) {
	slot := func(instances ...string) []api.SlotStatus {
		var s api.SlotStatus
		for _, in := range instances {
			s.Instances = append(s.Instances, api.InstanceSlot{Instance: in})
		}
		return []api.SlotStatus{s}
	}
	status := func(pauses ...api.Pause) api.Status {
		return api.Status{
			Instances: []api.InstanceStatus{{Name: "edge-1", Up: true}, {Name: "edge-2"}, {Name: "edge-3"}, {Name: "edge-4"}},
			Backends:  []api.BackendStatus{{Name: "web", Slots: slot("edge-1", "edge-2")}, {Name: "api", Slots: slot("edge-1", "edge-3")}},
			Pauses:    pauses,
		}
	}
	until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const away = "not in force yet at edge-2, edge-4: no answer from there; it is done as soon as there is one"
	for _, c := range []struct {
		name     string
		status   api.Status
		backends []string
		want     []string
	}{
		{"everything answers", api.Status{Instances: []api.InstanceStatus{{Name: "edge-1", Up: true}}}, []string{"web"}, nil},
		{"one of its own is away, and one that was never seen", status(), []string{"web"}, []string{away}},
		{"of another", status(api.Pause{Backend: "api", Until: until}), []string{"web"}, []string{away}},
		{"paused", status(api.Pause{Backend: "web", Until: until}), []string{"web"},
			[]string{"web: writing is paused until 2026-01-02T03:04:05Z: slotsync resume web ends that", away}},
		{"all is paused", status(api.Pause{Until: until}), []string{"web"},
			[]string{"all backends: writing is paused until 2026-01-02T03:04:05Z: slotsync resume ends that", away}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Pending(c.status, c.backends)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
