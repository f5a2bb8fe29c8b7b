package auth

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"
)

// accepted is the next connection of l, and who the system says that it is from.
func accepted(t *testing.T, l net.Listener) (net.Conn, Peer) {
	t.Helper()
	if l, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, AskPeer(c)
}

// TestPeerOverTCP: the kernel says whose a connection of this machine is, also of another
// user, and of nobody whose program has let go of it.
func TestPeerOverTCP(t *testing.T) {
	for _, at := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		t.Run(at, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			far, p := accepted(t, l)
			want := netip.MustParseAddr(at).Unmap()
			if p.UID != os.Getuid() || p.Addr != want || p.Key() != "uid "+strconv.Itoa(os.Getuid()) {
				t.Errorf("got %+v, key %q", p, p.Key())
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if p := AskPeer(far); p.UID != -1 || p.User() != "" {
				t.Errorf("of one that is closed: %+v %q", p, p.User())
			}
		})
	}
}

func TestPeerKeys(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.1": "10.0.0.1", "2001:db8::1": "2001:db8::/64", "2001:db8::ffff:1": "2001:db8::/64"} {
		if got := (Peer{UID: -1, Addr: netip.MustParseAddr(text)}).Key(); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := (Peer{UID: 4294967}).User(); got != "uid 4294967" {
		t.Errorf("got %q", got)
	}
}
