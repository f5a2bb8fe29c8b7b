package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// maxPath is what fits in sockaddr_un besides the final NUL, unix(7).
const maxPath = 107

// An address is where a Runtime API is.
type address struct{ network, addr string }

// String returns the path or host:port.
func (a address) String() string { return a.addr }

func parseAddress(s string) (address, error) {
	if hostport, ok := strings.CutPrefix(s, "tcp://"); ok {
		host, port, err := net.SplitHostPort(hostport)
		if err != nil {
			return address{}, fmt.Errorf("socket %q: %w", s, err)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return address{}, fmt.Errorf("socket %q: want tcp://host:port", s)
		}
		return address{"tcp", hostport}, nil
	}
	path := strings.TrimPrefix(s, "unix://")
	switch {
	case path == "":
		return address{}, errors.New("socket: empty; want a path, unix:///path or tcp://host:port")
	case strings.Contains(path, "://"), strings.HasPrefix(path, "@"), strings.ContainsRune(path, 0):
		return address{}, fmt.Errorf("socket %q: want a path, unix:///path or tcp://host:port", s)
	case len(path) > maxPath:
		return address{}, fmt.Errorf("socket %q: the path has %d bytes; unix sockets have at most %d", s, len(path), maxPath)
	}
	return address{"unix", path}, nil
}

// dialFault says what a failed connect means, and what to do about it.
func dialFault(a address, err error) *slots.InstanceError {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return fault(slots.Absent, "no socket at %s: is HAProxy running, with this path as its `stats socket`?", a)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault(slots.Absent, "nobody listens on %s: HAProxy is not running", a)
	case errors.Is(err, errUnknownPeer):
		return fault(slots.Denied, "%s: %w", a, err)
	case errors.Is(err, fs.ErrPermission):
		return fault(slots.Denied, "permission denied on %s: %s; add this user to the group or set `stats socket … group`", a, ownership(a.addr))
	case errors.Is(err, syscall.EAGAIN):
		return fault(slots.Crowded, "HAProxy takes no more connections on %s: raise `stats maxconn` (10 by default)", a)
	case isTimeout(err):
		return fault(slots.Hung, "%s does not take the connection: %w", a, err)
	}
	return fault(slots.Absent, "%s: %w", a, err)
}

// ownership describes a socket as ls -l does.
func ownership(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "its directory may not be entered"
	}
	owner, group := "?", "?"
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner, group = securedir.UserName(st.Uid), securedir.GroupName(st.Gid)
	}
	return fmt.Sprintf("it is s%s %s:%s", info.Mode().Perm().String()[1:], owner, group)
}

func fault(f slots.Fault, format string, args ...any) *slots.InstanceError {
	return &slots.InstanceError{Fault: f, Err: fmt.Errorf(format, args...)}
}

func garbled(sent bool, format string, args ...any) *slots.InstanceError {
	return &slots.InstanceError{Fault: slots.Garbled, Sent: sent, Err: fmt.Errorf(format, args...)}
}

func restarted(a address, want, got slots.Process, sent bool) *slots.InstanceError {
	e := fault(slots.Restarted, "%s: process %d answers, not %d", a, got.Pid, want.Pid)
	if got.Stopping {
		e = fault(slots.Restarted, "%s: process %d is stopping", a, got.Pid)
	}
	e.Sent = sent
	return e
}

// A listener is where a HAProxy takes commands.
type listener struct {
	socket  string // as configured
	at      address
	timeout time.Duration
	dialer  net.Dialer
}

// newListener says what is wrong with the arguments; a timeout of 0 is the usual one.
func newListener(socket string, timeout, usual time.Duration) (listener, error) {
	at, err := parseAddress(socket)
	if err == nil && timeout < 0 {
		err = fmt.Errorf("timeout %s is negative", timeout)
	}
	return listener{socket: socket, at: at, timeout: cmp.Or(timeout, usual)}, err
}

// String returns the socket as it was configured.
func (l *listener) String() string { return l.socket }

// askAlone sends one line in a connection of its own and reads so many answers. It has no deadline
// but ctx's. acts says whether the line changes anything.
func (l *listener) askAlone(ctx context.Context, conn net.Conn, command string, answers int, acts bool) (string, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if n, err := io.WriteString(conn, command+"\n"); n <= len(command) && isTimeout(err) {
		return "", l.faultOf(ctx, errors.Join(errUnsent, err), false)
	}
	raw, err := readAll(conn, &meter{commands: answers, limit: maxAnswer})
	if err != nil {
		return "", l.faultOf(ctx, err, acts)
	}
	return raw, nil
}

// faultOf returns the fault of the instance that err shows. writes says whether the line
// changes anything.
func (l *listener) faultOf(ctx context.Context, err error, writes bool) error {
	switch {
	case errors.Is(err, errUnsent):
		return fault(slots.Hung, "%s takes no commands: %w", l.at, cause(ctx, err))
	case isTimeout(err):
		e := fault(slots.Hung, "%s does not answer: %w", l.at, cause(ctx, err))
		e.Sent = writes
		return e
	}
	return garbled(writes, "%s: %w", l.at, err)
}

// dial connects to what listens there. In a folder where every user can put a socket the
// peer has to be one that may be HAProxy: see [checkPeer].
func (a address) dial(ctx context.Context, d *net.Dialer) (net.Conn, error) {
	if a.network != "unix" {
		return d.DialContext(ctx, a.network, a.addr)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: a.addr, Net: "unix"})
	if err != nil || !worldWritable(filepath.Dir(a.addr)) {
		return conn, err
	}
	if err := checkPeer(conn, a.addr); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// worldWritable reports whether every user can make files in a folder.
func worldWritable(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o002 != 0
}

// errUnknownPeer says that the program that listens may be of any user.
var errUnknownPeer = errors.New("and may be anybody")

// checkPeer returns an error unless the program that listens runs as root, as this user, or
// as the owner of the folder.
func checkPeer(conn *net.UnixConn, path string) error {
	uid, dir := peerAt(conn).uid, filepath.Dir(path)
	if uid == 0 || uid == os.Geteuid() || uid >= 0 && uid == ownerOf(dir) {
		return nil
	}
	return fmt.Errorf("user %d listens there, %w, since everybody can write to %s: have HAProxy make its socket in a folder of its own", uid, errUnknownPeer, dir)
}
