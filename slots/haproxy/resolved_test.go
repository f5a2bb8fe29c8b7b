package haproxy_test

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// deadResolvers is a section of resolvers that nobody answers.
const deadResolvers = "resolvers dead\n  nameserver a 127.0.0.1:1\n  resolve_retries 1\n  timeout retry 100ms\n  timeout resolve 100ms\n" +
	"  hold other 100ms\n  hold refused 100ms\n  hold timeout 100ms\n"

// resolvedIn asks for one server of each of the backends.
func resolvedIn(t *testing.T, on *target, backends ...string) map[string]bool {
	t.Helper()
	asked := map[string]slots.Server{}
	for name, servers := range on.view(t, backends...).Servers {
		asked[name] = servers[0]
	}
	found, err := on.client.Resolved(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// HAProxy's own resolvers are found before they have taken an address away, and after it;
// a host name without any is none. Nothing is changed by asking.
func TestResolvedSlots(t *testing.T) {
	t.Parallel()
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := haproxytest.Start(t, haproxytest.Config{Version: version,
				Backends: []haproxytest.Backend{{Name: "web", Slots: 2}, {Name: "res", Slots: 2, Resolvers: "dead"}},
				Extra: deadResolvers + "backend srv\n  server-template v 1-2 _web._tcp.example.org resolvers dead init-addr last,127.0.0.1 disabled\n" +
					"backend sock\n  server u1 unix@/nowhere disabled\n"})
			on := newTarget(t, version, p.Socket, real{p})
			for range 2 {
				before := on.view(t, "web", "srv", "sock")
				if found := resolvedIn(t, on, "web", "res", "srv", "sock"); !found["res"] || !found["srv"] || found["web"] || found["sock"] {
					t.Errorf("found %v", found)
				}
				after := on.view(t, "web", "srv", "sock")
				for b, servers := range before.Servers {
					for i, s := range servers {
						if x := after.Servers[b][i]; x.FQDN != s.FQDN || x.Addr != s.Addr || x.Class != s.Class {
							t.Errorf("%s: %+v became %+v", b, s, x)
						}
					}
				}
				deadline := time.Now().Add(5 * time.Second)
				for !on.view(t, "res").Servers["res"][0].NoAddress && time.Now().Before(deadline) {
					time.Sleep(20 * time.Millisecond)
				}
			}
			if s := on.view(t, "res").Servers["res"][0]; !s.NoAddress {
				t.Errorf("the address is still there: %+v", s)
			}
		})
	}
}

// Where there are no resolvers nothing is written to find that out.
func TestResolvedWritesNothingWithoutResolvers(t *testing.T) {
	everywhere(t, []haproxytest.Backend{{Name: "web", Slots: 2}}, func(t *testing.T, on *target) {
		if found := resolvedIn(t, on, "web"); found["web"] || !haproxytest.Reads(on.relay.Transcript()) {
			t.Errorf("found %v by %q", found, on.relay.Transcript())
		}
	})
	f := haproxytest.NewFake(t, "3.0", haproxytest.Backend{Name: "web"}, haproxytest.Backend{Name: "res", Resolvers: "dead"})
	if found := resolvedIn(t, newTarget(t, "3.0", f.Socket, fake{f}), "web", "res"); found["web"] || !found["res"] {
		t.Errorf("found %v", found)
	}
}
