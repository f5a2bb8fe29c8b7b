package reconciler

import (
	"net/netip"
	"testing"
	"time"
)

// addr is an address of which the port tells which one it is.
func addr(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), port)
}

// TestEndedSessionsAreForgotten: addresses come and go for months.
func TestEndedSessionsAreForgotten(t *testing.T) {
	b := newBackendState(Known{})
	at := time.Now()
	b.take(BackendSpec{SessionEnds: map[netip.AddrPort]time.Time{addr(80): at, addr(81): at}})
	b.killed = map[netip.AddrPort]time.Time{addr(80): at, addr(81): at}
	b.take(BackendSpec{SessionEnds: map[netip.AddrPort]time.Time{addr(81): at}})
	b.awaitSessions()
	if len(b.killed) != 1 || !b.killed[addr(81)].Equal(at) {
		t.Errorf("remembered: %v", b.killed)
	}
}
