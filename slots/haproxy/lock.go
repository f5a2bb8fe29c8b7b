package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// lockPoll is how often a lock that is waited for is tried.
const lockPoll = 100 * time.Millisecond

// A LockedError says that somebody else writes to a HAProxy, or has its master reload:
// another process, or this one a second time.
type LockedError struct {
	Socket string // as configured
	Host   string // of the holder; "" if it is this one, or not known
	Pid    int    // of the holder, as it sees itself; 0 if it could not be found out

	does string // what with it
}

// Error names the holder.
func (e *LockedError) Error() string {
	var who []string
	if e.Pid != 0 {
		who = append(who, fmt.Sprintf("pid %d", e.Pid))
	}
	if e.Host != "" {
		who = append(who, "host "+e.Host)
	}
	if len(who) == 0 {
		return fmt.Sprintf("another slotsync %s %s", e.does, e.Socket)
	}
	return fmt.Sprintf("another slotsync (%s) %s %s", strings.Join(who, ", "), e.does, e.Socket)
}

// A Lock makes its holder the only writer of one HAProxy, or the only one who reloads by
// one master, for as long as its process lives.
//
// It is held twice, so that agents in other containers, allocations or network namespaces
// see it, and those with fewer rights too:
//
//   - by flock(2) of .slotsync-NAME.lock in the folder of HAProxy's socket NAME, mode 0600,
//     with host and pid in it. A file that belongs neither to root nor to this user nor to
//     the owner of the socket is not used;
//   - by an abstract unix socket, unix(7), that is named by the folder's device and inode
//     and by NAME. One that such another user holds is passed over.
//
// Over TCP there is the abstract socket alone, named by host:port: it holds among the
// processes of one network namespace.
type Lock struct {
	of     address
	socket string // as configured
	does   string

	mu     sync.Mutex
	closed bool
	file   *os.File  // nil: none is held
	name   string    // of the abstract socket; "": none is held
	stand  io.Closer // it
}

// Lock makes this process the only writer of the HAProxy, for as long as it
// lives or until the lock is closed. It does not wait: if another holds it, the
// error is a [LockedError]. Apply looks after it from then on; see [Client.Guard].
func (c *Client) Lock() (*Lock, error) {
	l := &Lock{of: c.at, socket: c.socket, does: "writes to"}
	if err := l.Renew(); err != nil {
		return nil, err
	}
	c.Guard(l)
	return l, nil
}

// LockWithin is like Lock, and waits for a lock that somebody else holds for that long.
func (c *Client) LockWithin(ctx context.Context, wait time.Duration) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		l, err := c.Lock()
		if err == nil {
			return l, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPoll):
		}
	}
}

// Guard has Apply look with each new process of HAProxy whether l is still held, and
// write nothing if somebody else has it.
func (c *Client) Guard(l *Lock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lock, c.locked = l, slots.Process{}
}

// holds returns an error unless the lock, if there is one, is held for process p.
func (c *Client) holds(p slots.Process) error {
	c.mu.Lock()
	l, known := c.lock, c.locked.Pid != 0 && c.locked.Same(p)
	c.mu.Unlock()
	if l == nil || known {
		return nil
	}
	if err := l.Renew(); err != nil {
		return &slots.InstanceError{Fault: slots.Denied, Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locked = p
	return nil
}

// Lock keeps everybody else from reloading by the master until it is closed, also in
// this process. It is like [Client.Lock] otherwise.
func (m *Master) Lock() (io.Closer, error) {
	l := &Lock{of: m.at, socket: m.socket, does: "reloads by"}
	if err := l.Renew(); err != nil {
		return nil, err
	}
	return l, nil
}

// Renew takes whatever of the lock is not held, or not any more: the folder of a socket
// may be emptied or made anew. The error is a [LockedError] if somebody else has it. What
// cannot be had for want of rights is done without.
func (l *Lock) Renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.of.network != "unix" {
		return l.standIn("@slotsync:"+l.of.addr, 0)
	}
	path := realPath(l.of.addr)
	owner := ownerOf(path)
	if err := l.takeFile(lockFile(path), owner); err != nil {
		return err
	}
	name := standInName(path)
	if name == "" {
		return nil // there is no folder yet, and so no HAProxy
	}
	return l.standIn(name, owner)
}

// Close gives the lock back. The file stays.
func (l *Lock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var err error
	if l.file != nil {
		err = unlock(l.file)
		l.file = nil
	}
	if l.stand != nil {
		err = errors.Join(err, l.stand.Close())
		l.stand = nil
	}
	return err
}

// lockFile is the file that stands for the socket.
func lockFile(socket string) string {
	return filepath.Join(filepath.Dir(socket), ".slotsync-"+filepath.Base(socket)+".lock")
}

// takeFile holds the file at path, unless it does already.
func (l *Lock) takeFile(path string, owner int) error {
	if l.file != nil && isAt(l.file, path) {
		return nil
	}
	f, err := openLock(path, owner)
	if err != nil {
		return nil // it is done without the file: see Renew
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		host, pid := readHolder(f)
		f.Close()
		return &LockedError{Socket: l.socket, Host: host, Pid: pid, does: l.does}
	case err != nil:
		f.Close()
		return nil // a file system without locks
	}
	if !isAt(f, path) { // it was removed meanwhile
		unlock(f)
		return l.takeFile(path, owner)
	}
	host, _ := os.Hostname()
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%s %d\n", host, os.Getpid()), 0) // for people only
	}
	if l.file != nil {
		unlock(l.file)
	}
	l.file = f
	return nil
}

// openLock opens a file that may be used as a lock.
func openLock(path string, owner int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = fit(path, info, owner)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// fit says why the file at path cannot be a lock. Where others can write to the folder it
// may be one that they have put there: a second name of a file of root's, which the holder
// would write to, or a file of their own, by which they would be in the way.
func fit(path string, info os.FileInfo, owner int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case ok && !honoured(int(st.Uid), owner):
		return fmt.Errorf("%s belongs to user %d", path, st.Uid)
	case ok && st.Nlink > 1:
		return fmt.Errorf("%s has another name, too", path)
	}
	return nil
}

// honoured reports whether a lock of user uid counts: root, this user and the owner of the
// socket may write to HAProxy, others may only be in the way.
func honoured(uid, owner int) bool { return uid == 0 || uid == os.Geteuid() || uid == owner }

// ownerOf returns the user that a socket belongs to; -1 if there is none.
func ownerOf(path string) int {
	if info, err := os.Stat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return int(st.Uid)
		}
	}
	return -1
}

// isAt reports whether f is what path leads to.
func isAt(f *os.File, path string) bool {
	now, err := os.Lstat(path)
	if err != nil {
		return false
	}
	held, err := f.Stat()
	return err == nil && os.SameFile(held, now)
}

// readHolder returns who holds the lock. The host is "" if it is this one.
func readHolder(f *os.File) (host string, pid int) {
	b := make([]byte, 300)
	n, _ := f.ReadAt(b, 0)
	host, number, _ := strings.Cut(strings.TrimSpace(string(b[:n])), " ")
	pid, err := strconv.Atoi(number)
	if err != nil || pid < 0 {
		pid = 0
	}
	if own, err := os.Hostname(); err == nil && host == own {
		host = ""
	}
	return printable(host), pid
}

// unlock does not leave it to Close: a program that is just being started has the file,
// too, until it is executed.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
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
