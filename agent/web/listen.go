package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// maxConns bounds the connections of each listener, so that they cannot eat
	// the file descriptors that the agent needs for HAProxy.
	maxConns = 256
	// maxPath is what fits into sockaddr_un beside its final zero (unix(7)).
	maxPath = 107
)

// Listen binds what the options name. After an error nothing is bound by it; listeners that
// it was given are still open, for another try.
func (s *Server) Listen() error {
	err := s.listenTCP()
	if err == nil {
		err = s.listenUnix()
	}
	if err == nil {
		return nil
	}
	if s.tcp != nil && s.o.TCP == nil {
		err = errors.Join(err, s.tcp.Close())
	}
	return err
}

func (s *Server) listeners() []net.Listener {
	var all []net.Listener
	for _, l := range []net.Listener{s.tcp, s.unix} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

func (s *Server) listenTCP() error {
	if s.o.Listen == "" {
		return nil
	}
	l := s.o.TCP
	if l == nil {
		var err error
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Listen); err != nil {
			return fmt.Errorf("http listener: %w", err)
		}
	}
	s.tcp = &sharing{l, newPlaces(maxConns)}
	// A name may have turned out to be something else than it seemed.
	a, ok := l.Addr().(*net.TCPAddr)
	return s.gate.ListensAt(s.o.Listen, ok && a.IP.IsLoopback())
}

func (s *Server) listenUnix() error {
	if s.o.Socket == "" {
		return nil
	}
	l := s.o.Unix
	if l == nil {
		var err error
		if l, err = bindUnix(s.o); err != nil {
			return fmt.Errorf("http socket: %w", err)
		}
	} else if err := narrow(l.Addr().String(), s.o.SocketMode); err != nil {
		return err
	}
	s.unix = &sharing{l, newPlaces(maxConns)}
	return nil
}

// bindUnix listens at the socket of the options. Until it has its owner and mode, nobody but
// this user can connect.
func bindUnix(o Options) (net.Listener, error) {
	path := o.Socket
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: the path is longer than %d bytes", path, maxPath)
	}
	gid, err := groupID(o.SocketGroup)
	if err != nil {
		return nil, err
	}
	uid := -1
	if o.SocketUID != 0 {
		uid = o.SocketUID
		if o.SocketGroup == "" {
			gid = o.SocketGID
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l, err := bindPrivate(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		l, err = bindPrivate(path)
	}
	if err != nil {
		return nil, err
	}
	if err := admit(path, o.SocketMode, uid, gid); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// narrow takes from a socket that was handed over what its mode allows beyond mode: systemd's own
// is 0666, and who may connect may do everything.
func narrow(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // then nobody gets to it
	}
	had := info.Mode().Perm()
	if had&^mode == 0 {
		return nil
	}
	if err := admit(path, had&mode, -1, -1); err != nil {
		return fmt.Errorf("the socket unit opens %s with mode %#o, and http.socket_mode is %#o: write SocketMode=%#o into the unit (%w)", path, had, mode, mode, err)
	}
	return nil
}

// bindPrivate makes a socket with mode 0600 or less: Linux gives the file that
// bind makes the mode that the socket had (unix_bind in net/unix/af_unix.c).
func bindPrivate(path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	return lc.Listen(context.Background(), "unix", path)
}

// admit gives the socket at path its mode, and its owner and group unless they are -1. It goes by
// the socket itself: whoever may write to the directory can have put a link to
// something else in its place.
func admit(path string, mode fs.FileMode, uid, gid int) error {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); info.Mode().Type() != fs.ModeSocket || ok && stat.Nlink > 1 {
		return fmt.Errorf("%s is no socket of its own any more: somebody else writes to its directory", path)
	}
	if err := unix.Fchownat(int(f.Fd()), "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	// the file behind such a descriptor is reached by no other name (openat(2), O_PATH)
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: errors.Unwrap(err)}
	}
	return nil
}

// groupID is the number of a group that is given by name or number, -1 for "".
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
