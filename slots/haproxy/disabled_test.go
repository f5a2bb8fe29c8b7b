package haproxy_test

import (
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// Nothing is added to a backend that the configuration disables: HAProxy 3.4 ends when
// that is tried. What was asked for besides it is done.
func TestAddToADisabledBackend(t *testing.T) {
	backends := []haproxytest.Backend{{Name: "web", Slots: 2}, {Name: "off", Slots: 2, Disabled: true}}
	everywhere(t, backends, func(t *testing.T, on *target) {
		v := on.view(t, "web", "off")
		for _, s := range v.Servers["off"] {
			if !s.Off {
				t.Errorf("%+v is in use", s)
			}
		}
		if v.Servers["web"][0].Off {
			t.Errorf("%+v is not in use", v.Servers["web"][0])
		}
		out := on.apply(t, v.Process, add("off", "off3", "127.9.0.1:80", ""), add("web", "web3", "127.9.0.1:80", ""))
		if len(out.Refusals) != 1 || out.Refusals[0].Change.Slot != "off3" {
			t.Errorf("got %+v", out.Refusals)
		}
		if want := slots.Stopped; on.version == "3.4" && out.Refusals[0].Cause != want {
			t.Errorf("got %+v; want %s", out.Refusals[0], want)
		}
		if find(t, out.View, "web", "web3").Class != slots.Ready {
			t.Errorf("got %+v", out.View.Servers["web"])
		}
		if err := on.client.TryDynamic(t.Context(), "off", "off", ""); err == nil {
			t.Error("a disabled backend takes servers")
		}
		if now := on.view(t, "web"); !now.Process.Same(v.Process) {
			t.Errorf("process %d was followed by %d", v.Process.Pid, now.Process.Pid)
		}
		for _, said := range on.relay.Transcript() {
			if on.version == "3.4" && strings.Contains(said, "add server off/") {
				t.Errorf("sent %q", said)
			}
		}
	})
}
