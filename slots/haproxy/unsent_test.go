package haproxy_test

import (
	"net/netip"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func TestBackendOfWhichNothingIsSentIsReadBack(t *testing.T) {
	_, on := made(t, "3.2")
	v, err := on.client.View(t.Context(), []string{"web"}, false)
	if err != nil {
		t.Fatal(err)
	}
	out, err := on.client.Apply(t.Context(), v.Process, []slots.Change{{
		Backend: "web", Slot: "web1", Kind: slots.Fill, Addr: netip.MustParseAddrPort("0.0.0.0:80"),
		Class: slots.Ready, SetClass: true, From: v.Servers["web"][0],
	}})
	if err != nil || len(out.Refusals) != 1 {
		t.Fatalf("%v, refused: %v", err, out.Refusals)
	}
	if len(out.View.Servers["web"]) != len(v.Servers["web"]) {
		t.Errorf("%d servers read back, want %d", len(out.View.Servers["web"]), len(v.Servers["web"]))
	}
}
