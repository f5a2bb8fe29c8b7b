package output

import (
	"bytes"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// TestInstancesOf: what stands under INSTANCES in the tables of slots and servers.
func TestInstancesOf(t *testing.T) {
	const at = "10.0.0.1:80"
	in := func(name string, state slots.Class, heldBy string) api.InstanceSlot {
		return api.InstanceSlot{Instance: name, Address: at, State: state, HeldBy: heldBy}
	}
	const operator, external = "operator", "external"
	for _, tt := range []struct {
		name, state string
		silent      []string
		instances   []api.InstanceSlot
		want        string
	}{
		{"as wanted", "ready", nil, []api.InstanceSlot{in("a", slots.Ready, ""), in("b", slots.Ready, "")}, "-"},
		{"down at the source is maint", "down", nil, []api.InstanceSlot{in("a", slots.Maint, "")}, "-"},
		{"what an operator asked is in force", "drain", nil, []api.InstanceSlot{in("a", slots.Drain, operator), in("b", slots.Drain, operator)}, "-"},
		{"what an operator asked is not in force yet", "down", nil, []api.InstanceSlot{in("a", slots.Maint, operator), in("b", slots.Drain, operator)}, "b: still drain"},
		{"what an operator ended is not over yet", "ready", nil, []api.InstanceSlot{in("a", slots.Maint, ""), in("b", slots.Maint, "")}, "a, b: still maint"},
		{"nobody answers there", "drain", []string{"b"}, []api.InstanceSlot{in("a", slots.Drain, operator), in("b", slots.Ready, operator)}, "b: no answer"},
		{"nobody answers, and it was taken out", "ready", []string{"a"}, []api.InstanceSlot{in("a", slots.Maint, external)}, "a: no answer"},
		{"several are silent", "ready", []string{"a", "c"}, []api.InstanceSlot{in("a", slots.Ready, ""), in("b", slots.Maint, external), in("c", slots.Ready, "")},
			"a, c: no answer; b: somebody set it to maint"},
		{"many are silent", "ready", []string{"a", "b", "c", "d", "e"}, []api.InstanceSlot{in("a", 0, ""), in("b", 0, ""), in("c", 0, ""), in("d", 0, ""), in("e", 0, "")},
			"a, b, c, 2 more: no answer"},
		{"another address", "ready", nil, []api.InstanceSlot{{Instance: "a", Address: "10.0.0.2:80", State: slots.Ready}}, "a: 10.0.0.2:80"},
		{"the check fails", "ready", nil, []api.InstanceSlot{{Instance: "a", Address: at, State: slots.Ready, Check: "down"}}, "a: check down"},
		{"a state that nothing is written for", "takeover", nil, []api.InstanceSlot{in("a", slots.Ready, "takeover")}, "a: ready (takeover)"},
	} {
		if got := instancesOf(api.SlotStatus{Endpoint: at, State: tt.state, Instances: tt.instances}, tt.silent); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestTablesSayWhoIsSilent: neither table shows as ready what a HAProxy showed before it
// fell silent.
func TestTablesSayWhoIsSilent(t *testing.T) {
	const at = "10.0.0.1:80"
	shows := []api.InstanceSlot{{Instance: "edge-1", Address: at, State: slots.Drain, HeldBy: "operator"}, {Instance: "edge-2", Address: at, State: slots.Ready, HeldBy: "operator"}}
	instances := []api.InstanceStatus{{Name: "edge-1", Up: true}, {Name: "edge-2"}}
	var b bytes.Buffer
	if err := (Style{}).WriteStatus(&b, api.Status{Ready: true, Instances: instances, Backends: []api.BackendStatus{{Name: "web", Backend: "web",
		Slots: []api.SlotStatus{{Name: "web1", Endpoint: at, State: "drain", Instances: shows}}}}}); err != nil {
		t.Fatal(err)
	}
	if want := "web/web1  10.0.0.1:80  drain (operator)  -     edge-2: no answer\n"; !strings.Contains(b.String(), want) {
		t.Errorf("%q is not there:\n%s", want, b.String())
	}
	b.Reset()
	rows := []api.ServerRow{{ServerRef: api.ServerRef{Backend: "web", Endpoint: at, Slot: "web1"}, State: "drain", Override: "drain by ann", Instances: shows}}
	if err := WriteServers(&b, rows, api.Silent(instances)); err != nil {
		t.Fatal(err)
	}
	if want := "web      10.0.0.1:80  web1  drain  -     edge-2: no answer  drain by ann\n"; !strings.Contains(b.String(), want) {
		t.Errorf("%q is not there:\n%s", want, b.String())
	}
}
