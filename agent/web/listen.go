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
	"time"

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
		if l, err = bindUnix(s.o.Socket, s.o.SocketMode, s.o.SocketGroup); err != nil {
			return fmt.Errorf("http socket: %w", err)
		}
	}
	s.unix = &sharing{l, newPlaces(maxConns)}
	return nil
}

// bindUnix listens at path. Until the socket has its group and mode, nobody but
// its owner can connect.
func bindUnix(path string, mode fs.FileMode, group string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: the path is longer than %d bytes", path, maxPath)
	}
	gid, err := groupID(group)
	if err != nil {
		return nil, err
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
	if err := admit(path, mode, gid); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
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

// admit gives the socket at path its mode, and its group unless that is -1. It goes by
// the socket itself: whoever may write to the directory can have put a link to
// something else in its place.
func admit(path string, mode fs.FileMode, gid int) error {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is no socket any more: somebody else writes to its directory", path)
	}
	if err := unix.Fchownat(int(f.Fd()), "", -1, gid, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	// the file behind such a descriptor is reached by no other name (openat(2), O_PATH)
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: errors.Unwrap(err)}
	}
	return nil
}

// removeStale removes the socket that a killed process left behind, and nothing
// else: neither one that answers nor a file that is no socket.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there already and is no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("another process listens at %s", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s is in use: %w", path, err)
	}
	return os.Remove(path)
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
