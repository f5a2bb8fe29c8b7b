package haproxy_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A look and the changes after it share a connection, which ends in the proof of
// who answered, and is closed with the round.
func TestRoundSharesAConnection(t *testing.T) {
	everywhere(t, []haproxytest.Backend{web}, func(t *testing.T, on *target) {
		v := on.view(t, "web")
		on.apply(t, v.Process, fills(v, "web", 3)...)
		said := on.relay.Transcript()
		if len(said) > 2 { // two if the machine took its time between the two
			t.Errorf("%d connections: %q", len(said), said)
		}
		for _, s := range said {
			lines := strings.Split(strings.TrimSpace(s), "\n")
			if !strings.HasPrefix(s, "prompt;") || !strings.HasPrefix(lines[len(lines)-1], "show info") {
				t.Errorf("sent %q", s)
			}
		}
		on.relay.Forget()
		on.view(t, "web")
		if n := len(on.relay.Transcript()); n != 1 {
			t.Errorf("a round after a round has %d new connections, want 1", n)
		}
	})
}

// Another process than the one that was seen may get what was meant for that
// one, if it came just now; it is found out, and nothing in it is ready at an
// address that was not meant and read back.
func TestProcessThatComesMeanwhile(t *testing.T) {
	everywhere(t, []haproxytest.Backend{web}, func(t *testing.T, on *target) {
		for range 5 {
			v := on.view(t, "web")
			on.Restart()
			changes := fills(v, "web", 3)
			_, err := on.client.Apply(t.Context(), v.Process, changes)
			if fault, _ := slots.FaultOf(err); err == nil || fault != slots.Restarted && fault != slots.Garbled {
				t.Fatalf("got %v", err)
			}
			got := served(on.view(t, "web").Servers["web"])
			for _, ch := range changes {
				if a, ok := got[ch.Slot]; ok && a != ch.Addr.String() {
					t.Errorf("%s is ready at %s, not at %s", ch.Slot, a, ch.Addr)
				}
				delete(got, ch.Slot)
			}
			if len(got) != 0 {
				t.Errorf("ready besides: %v", got)
			}
		}
	})
}

// Nothing stays open once nothing is asked any more.
func TestIdleSessionCloses(t *testing.T) {
	f, on := made(t, "3.2")
	on.view(t, "web")
	for end := time.Now().Add(5 * time.Second); f.Sessions() > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open", f.Sessions())
		}
	}
}
