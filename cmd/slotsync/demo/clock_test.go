package demo

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

func demoAddrs(list ...string) []netip.AddrPort {
	addrs := make([]netip.AddrPort, 0, len(list))
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddrPort(a))
	}
	return addrs
}

// serving is a status in which each HAProxy has these addresses in service.
func serving(by map[string][]netip.AddrPort) api.Status {
	var status api.Status
	var list []api.SlotStatus
	for name, addrs := range by {
		status.Instances = append(status.Instances, api.InstanceStatus{Name: name, Up: true, InSync: true})
		for _, a := range addrs {
			list = append(list, api.SlotStatus{Instances: []api.InstanceSlot{{Instance: name, Address: a.String(), State: slots.Ready}}})
		}
		list = append(list, api.SlotStatus{Instances: []api.InstanceSlot{{Instance: name, Address: "127.0.0.1:1", State: slots.Maint}}})
	}
	status.Backends = []api.BackendStatus{{Slots: list}}
	return status
}

func TestDemoClock(t *testing.T) {
	at := func(ms int) time.Time { return demoStart.Add(time.Duration(ms) * time.Millisecond) }
	before, after := demoAddrs("127.0.0.1:1001"), demoAddrs("127.0.0.1:1002", "127.0.0.1:1001")
	var c clock
	c.Look(serving(map[string][]netip.AddrPort{"edge-1": before}), at(0))
	c.Changing(after, at(0))
	c.Answered(before, at(10))
	c.Look(serving(map[string][]netip.AddrPort{"edge-1": before, "edge-2": before}), at(20))
	c.Answered(after, at(100))
	c.Answered(after, at(105))
	c.Look(serving(map[string][]netip.AddrPort{"edge-1": after, "edge-2": before}), at(104))
	c.Look(serving(map[string][]netip.AddrPort{"edge-1": after, "edge-2": after}), at(107))
	c.Look(serving(map[string][]netip.AddrPort{"edge-1": after, "edge-2": after}), at(110))

	served, own := c.Measured()
	ms := func(values ...int) (out []time.Duration) {
		for _, v := range values {
			out = append(out, time.Duration(v)*time.Millisecond)
		}
		return out
	}
	if diff := cmp.Diff(ms(104, 107), served); diff != "" {
		t.Errorf("from the change: %s", diff)
	}
	if diff := cmp.Diff(ms(4, 7), own); diff != "" {
		t.Errorf("from the answer: %s", diff)
	}
}

func TestEverywhere(t *testing.T) {
	want := demoAddrs("127.0.0.1:1002", "127.0.0.1:1001")
	good := func() api.Status {
		return serving(map[string][]netip.AddrPort{"edge-1": want, "edge-2": want})
	}
	tests := []struct {
		name   string
		status func() api.Status
		want   bool
	}{
		{"both serve it", good, true},
		{"no HAProxy", func() api.Status { return api.Status{} }, false},
		{"one down", func() api.Status { s := good(); s.Instances[1].Up = false; return s }, false},
		{"one not in sync", func() api.Status { s := good(); s.Instances[1].InSync = false; return s }, false},
		{"one serves less", func() api.Status {
			return serving(map[string][]netip.AddrPort{"edge-1": want, "edge-2": want[:1]})
		}, false},
		{"one serves more", func() api.Status {
			return serving(map[string][]netip.AddrPort{"edge-1": append(demoAddrs("127.0.0.1:9"), want...), "edge-2": want})
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := everywhere(test.status(), want); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
