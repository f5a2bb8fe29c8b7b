package main

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// answeredBy returns an endpoint whose connections are answered by serve.
func answeredBy(t *testing.T, serve func(net.Conn)) discovery.Endpoint {
	t.Helper()
	return discovery.Endpoint{Addr: haproxytest.Answer(t, "tcp", serve).(*net.TCPAddr).AddrPort()}
}

// listening returns an endpoint that takes connections until the test ends.
func listening(t *testing.T) discovery.Endpoint {
	t.Helper()
	return answeredBy(t, func(net.Conn) {})
}

// readyAt are the endpoints that are ready at the instance, sorted.
func readyAt(s api.Status) []string {
	var out []string
	for _, slot := range s.Backends[0].Slots {
		if in := slot.Instances; len(in) > 0 && in[0].State == slots.Ready {
			out = append(out, in[0].Address)
		}
	}
	slices.Sort(out)
	return out
}

// TestTurnoverGoesByHAProxysChecks replaces a whole set by one that HAProxy finds
// dead, and then by one that it finds alive.
func TestTurnoverGoesByHAProxysChecks(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version string) {
		p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Check: "check inter 500ms"}}})
		source := &toldSource{next: make(chan []discovery.Endpoint, 1), said: make(chan time.Time, 9)}
		b := backendOf(source)
		b.Guard.TurnoverWait = time.Hour
		r := newRig(t, map[string]string{"a": p.Socket}, b)
		old, alive, dead := listening(t), listening(t), discovery.Endpoint{Addr: loopback(9, 1)[0].Addr}
		shows := func(want ...discovery.Endpoint) func() string {
			var words []string
			for _, e := range want {
				words = append(words, e.Addr.String())
			}
			slices.Sort(words)
			return func() string {
				if got := readyAt(r.agent.Status()); !slices.Equal(got, words) {
					return "ready: " + strings.Join(got, " ") + ", want " + strings.Join(words, " ")
				}
				return ""
			}
		}
		source.next <- []discovery.Endpoint{old}
		r.start()
		eventually(t, 15*time.Second, shows(old))
		source.next <- []discovery.Endpoint{dead}
		eventually(t, 15*time.Second, shows(old, dead))
		during(t, 7*time.Second, shows(old, dead)) // longer than a server is up before its first check
		source.next <- []discovery.Endpoint{alive}
		eventually(t, 2*time.Second, shows(old, alive))
		during(t, 2*time.Second, shows(old, alive))
		eventually(t, 15*time.Second, shows(alive))
	})
}
