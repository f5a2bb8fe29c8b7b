package remote

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
)

func TestOfBackend(t *testing.T) {
	slot := func(at string) []api.SlotStatus {
		return []api.SlotStatus{{Name: "s1", Instances: []api.InstanceSlot{{Instance: at}}}}
	}
	all := api.Status{
		Backends:  []api.BackendStatus{{Name: "web", Slots: slot("edge-1")}, {Name: "shop", Slots: slot("edge-2")}},
		Instances: []api.InstanceStatus{{Name: "edge-1", Pid: 1}, {Name: "edge-2", Pid: 2}, {Name: "edge-3"}},
		Sources:   []api.SourceStatus{{Name: "a", Backend: "web"}, {Name: "b", Backend: "shop"}},
		Reloads:   []api.ReloadStatus{{Name: "r1", Instances: []string{"edge-1"}}, {Name: "r2", Instances: []string{"edge-2"}}},
		Overrides: []api.Override{{Backend: "web", Address: "a"}, {Backend: "shop", Address: "b"}, {Address: "c"}},
		Pauses:    []api.Pause{{Backend: "shop"}},
	}
	want := api.Status{
		Backends:  all.Backends[:1],
		Instances: []api.InstanceStatus{{Name: "edge-1", Pid: 1}, {Name: "edge-3"}},
		Sources:   all.Sources[:1], Reloads: all.Reloads[:1],
		Overrides: []api.Override{{Backend: "web", Address: "a"}, {Address: "c"}},
		Pauses:    []api.Pause{},
	}
	got, err := OfBackend(all, "web")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	_, err = OfBackend(all, "wep")
	if err == nil || err.Error() != `there is no backend "wep"; did you mean "web"? (there are: web, shop)` {
		t.Errorf("said %v", err)
	}
	_, err = OfBackend(api.Status{NotReady: []string{"the agent is starting or stopping"}}, "web")
	if err == nil || err.Error() != "the agent is starting, and has no backend yet: the agent is starting or stopping" {
		t.Errorf("said %v", err)
	}
}
