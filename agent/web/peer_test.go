package web

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/agent/web/auth"
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
func accepted(t *testing.T, l net.Listener) (net.Conn, auth.Peer) {
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
	return c, auth.AskPeer(c)
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
	u, err := bindUnix(Options{Socket: path, SocketMode: 0o660, SocketGroup: strconv.Itoa(gid)})
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
		if _, p := accepted(t, l); p.UID != securedirtest.Nobody {
			t.Errorf("%s: got %+v", l.Addr().Network(), p)
		}
	}
	if errs[2] == nil {
		t.Error("who is not in the group may use the socket")
	}
}
