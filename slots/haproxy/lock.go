package haproxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"time"
)

// A LockedError says that somebody else writes to a HAProxy, or has its master reload:
// another process, or this one a second time.
type LockedError struct {
	Socket string // as configured
	Pid    int    // of the holder; 0 if it could not be found out

	does string // what with it
}

// Error names the holder.
func (e *LockedError) Error() string {
	if e.Pid == 0 {
		return fmt.Sprintf("another slotsync %s %s", e.does, e.Socket)
	}
	return fmt.Sprintf("another slotsync (pid %d) %s %s", e.Pid, e.does, e.Socket)
}

// Lock makes this process the only writer of the HAProxy, for as long as it
// lives or until the lock is closed. It does not wait: if another holds it, the
// error is a [LockedError].
//
// The lock is an abstract unix socket, unix(7), named after the real path of
// HAProxy's socket or its host:port. It holds among the processes of one
// network namespace, leaves no file behind and dies with its process.
func (c *Client) Lock() (io.Closer, error) { return lock(c.at, c.socket, "writes to") }

// Lock keeps everybody else from reloading by the master until it is closed, also in
// this process. It is like [Client.Lock] otherwise.
func (m *Master) Lock() (io.Closer, error) { return lock(m.at, m.socket, "reloads by") }

func lock(at address, socket, does string) (io.Closer, error) {
	name := lockName(at)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err == nil {
		return l, nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &LockedError{Socket: socket, Pid: holder(name), does: does}
	}
	return nil, fmt.Errorf("lock %s: %w", socket, err)
}

// lockName is the same for every way to write the path of one socket.
func lockName(a address) string {
	target := a.addr
	if a.network == "unix" {
		target = realPath(a.addr)
	}
	name := "@slotsync:" + target
	if len(name) > maxPath {
		name = fmt.Sprintf("@slotsync:%x", sha256.Sum256([]byte(target)))
	}
	return name
}

// realPath resolves symbolic links as far as path exists: HAProxy may make its
// socket later.
func realPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// holder asks the kernel which process listens on the lock.
func holder(name string) (pid int) {
	conn, err := net.DialTimeout("unix", name, time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
