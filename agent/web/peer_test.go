package web

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// dialRaw connects in the very thread that it is called in.
func dialRaw(family int, to unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, to); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// accepted is the next connection of l, and who the system says that it is from.
func accepted(t *testing.T, l net.Listener) (net.Conn, peer) {
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
	return c, askPeer(c)
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
			if p.uid != os.Getuid() || p.addr != want || p.key() != "uid "+strconv.Itoa(os.Getuid()) {
				t.Errorf("got %+v, key %q", p, p.key())
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if p := askPeer(far); p.uid != -1 || p.user() != "" {
				t.Errorf("of one that is closed: %+v %q", p, p.user())
			}
		})
	}
}

func TestPeerIsAnotherUser(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.sock")
	const gid = 54321
	u, err := bindUnix(path, 0o660, strconv.Itoa(gid))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	var fds [3]int
	var errs [3]error
	securedirtest.AsNobody(t, gid, func() {
		fds[0], errs[0] = dialRaw(unix.AF_INET, &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}})
		fds[1], errs[1] = dialRaw(unix.AF_UNIX, &unix.SockaddrUnix{Name: path})
	})
	securedirtest.AsNobody(t, gid+1, func() { fds[2], errs[2] = dialRaw(unix.AF_UNIX, &unix.SockaddrUnix{Name: path}) })
	for i, fd := range fds[:2] {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		defer unix.Close(fd)
	}
	for _, l := range []net.Listener{l, u} {
		if _, p := accepted(t, l); p.uid != securedirtest.Nobody {
			t.Errorf("%s: got %+v", l.Addr().Network(), p)
		}
	}
	if errs[2] == nil {
		t.Error("who is not in the group may use the socket")
	}
}

func TestPeerKeys(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.1": "10.0.0.1", "2001:db8::1": "2001:db8::/64", "2001:db8::ffff:1": "2001:db8::/64"} {
		if got := (peer{uid: -1, addr: netip.MustParseAddr(text)}).key(); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := (peer{uid: 4294967}).user(); got != "uid 4294967" {
		t.Errorf("got %q", got)
	}
}
