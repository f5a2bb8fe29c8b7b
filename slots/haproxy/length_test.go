package haproxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestSmallBuffer: with a small tune.bufsize all endpoints go in; only the first lines
// are refused, those from then on are short enough.
func TestSmallBuffer(t *testing.T) {
	t.Parallel()
	backends := []haproxytest.Backend{{Name: "web", Slots: 200}}
	for i := range 120 { // names enough for a line of reads that is too long
		backends = append(backends, haproxytest.Backend{Name: fmt.Sprintf("a-backend-with-a-long-name-%d", i), Slots: 1})
	}
	for _, version := range haproxytest.Versions {
		for _, size := range []int{4096, 2048} {
			t.Run(fmt.Sprintf("real-%s/%d", version, size), func(t *testing.T) {
				t.Parallel()
				p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: backends, Global: fmt.Sprintf("  tune.bufsize %d\n", size)})
				smallBuffer(t, newTarget(t, version, p.Socket, real{p}), size)
			})
			t.Run(fmt.Sprintf("fake-%s/%d", version, size), func(t *testing.T) {
				t.Parallel()
				f := haproxytest.NewFake(t, version, backends...)
				f.SetBuffer(size)
				smallBuffer(t, newTarget(t, version, f.Socket, fake{f}), size)
			})
		}
	}
}

func smallBuffer(t *testing.T, on *target, size int) {
	t.Helper()
	var names []string
	v := on.view(t)
	for name := range v.Servers {
		names = append(names, name)
	}
	slices.Sort(names)
	v = on.view(t, names...)
	if len(v.Servers) != 121 {
		t.Fatalf("%d backends", len(v.Servers))
	}
	out := on.apply(t, v.Process, fills(v, "web", 200)...)
	if n := len(served(out.View.Servers["web"])); n != 200 || len(out.Refusals) > 0 {
		t.Fatalf("%d of 200 are in; refused: %v", n, out.Refusals[:min(3, len(out.Refusals))])
	}
	on.relay.Forget()
	v = on.view(t, names...)
	if len(v.Servers) != 121 {
		t.Fatalf("%d backends", len(v.Servers))
	}
	long := slices.DeleteFunc(on.relay.Transcript(), func(said string) bool { return !strings.Contains(said, "show servers state") })
	if on.version != "2.6" && on.version != "3.0" && slices.ContainsFunc(long, func(said string) bool {
		return slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool { return len(line) >= size })
	}) {
		t.Errorf("a line is too long again: %d connections", len(long))
	}
	on.Restart()
	v = on.view(t, names...)
	if len(v.Servers) != 121 {
		t.Errorf("after a restart: %d backends", len(v.Servers))
	}
}
