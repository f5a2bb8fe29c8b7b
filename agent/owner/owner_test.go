package owner

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

func port(t *testing.T, l net.Listener) uint16 {
	t.Helper()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%s is no TCP address", l.Addr())
	}
	return a.AddrPort().Port()
}

// TestListening: the kernel says who would be connected to, also where he listens at all
// addresses, of both families.
func TestListening(t *testing.T) {
	listen := func(at string) net.Listener {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	for name, tt := range map[string]struct {
		l    net.Listener
		at   netip.Addr
		want int
	}{
		"ours":                    {listen("127.0.0.1:0"), v4, os.Geteuid()},
		"ours, IPv6":              {listen("[::1]:0"), v6, os.Geteuid()},
		"another's":               {securedirtest.Listen(t, "tcp", "127.0.0.1:0"), v4, securedirtest.Nobody},
		"another's, IPv6":         {securedirtest.Listen(t, "tcp", "[::1]:0"), v6, securedirtest.Nobody},
		"another's, anywhere":     {securedirtest.Listen(t, "tcp4", ":0"), v4, securedirtest.Nobody},
		"another's, any, by IPv4": {securedirtest.Listen(t, "tcp", "[::]:0"), v4, securedirtest.Nobody},
		"another's, any, by IPv6": {securedirtest.Listen(t, "tcp", "[::]:0"), v6, securedirtest.Nobody},
	} {
		at := netip.AddrPortFrom(tt.at, port(t, tt.l))
		if got := Listening(at); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
		if err := tt.l.Close(); err != nil {
			t.Error(err)
		}
		if got := Listening(at); got != Unknown {
			t.Errorf("%s, gone: %d", name, got)
		}
	}
}
