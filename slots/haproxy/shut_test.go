package haproxy_test

import (
	"testing"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// Sessions that are ended are seen to be gone before that is said, and what is not there
// has none.
func TestShutSessionsIsSeen(t *testing.T) {
	port := haproxytest.FreePort(t)
	everywhere(t, []haproxytest.Backend{{Name: "web", Slots: 5, Frontend: port}}, func(t *testing.T, on *target) {
		origin := listen(t)
		p, own := on.own(t, "web")
		c := fill("web", own[4], addr("%s", origin.Addr()))
		if out := on.apply(t, p, c); len(out.Refusals) > 0 {
			t.Fatal(out.Refusals)
		}
		end := on.occupy(t, port, origin)
		defer end()
		on.until(t, func([]slots.Server) bool {
			v, err := on.client.View(t.Context(), []string{"web"}, true)
			return err == nil && sessions(v.Servers["web"], "web5") == 1
		})
		if err := on.client.ShutSessions(t.Context(), "web", "web5"); err != nil {
			t.Fatal(err)
		}
		v, err := on.client.View(t.Context(), []string{"web"}, true)
		if err != nil || sessions(v.Servers["web"], "web5") != 0 {
			t.Errorf("%v, %v", v.Servers["web"], err)
		}
		for _, at := range [][2]string{{"web", "web9"}, {"nope", "web1"}} {
			if err := on.client.ShutSessions(t.Context(), at[0], at[1]); err == nil {
				t.Errorf("%v has sessions", at)
			}
		}
	})
}
