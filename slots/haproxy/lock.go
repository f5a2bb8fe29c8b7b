package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

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
// It is held twice, so that agents of other users, in other containers, allocations or network
// namespaces see it, and those with fewer rights too:
//
//   - by flock(2) of .slotsync-NAME.lock in the folder of HAProxy's socket NAME, with host and pid
//     in it. Whoever may write to the socket may open the file, and nobody else. In a folder where
//     everybody can make files it has to belong to root, to this user or to the owner of the socket;
//   - by an abstract unix socket, unix(7), that is named by the folder's device and inode
//     and by NAME. One of a user who may not write to HAProxy is passed over.
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
	l, err := newLock(c.at, c.socket, "writes to")
	if err == nil {
		c.Guard(l)
	}
	return l, err
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
	return newLock(m.at, m.socket, "reloads by")
}

func newLock(of address, socket, does string) (*Lock, error) {
	l := &Lock{of: of, socket: socket, does: does}
	if err := l.Renew(); err != nil {
		_ = l.Close() // of what it got, which cannot fail in a way that matters
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
		return l.standIn(abstractName(l.of.addr), rightsOf(""))
	}
	path := realPath(l.of.addr)
	may := rightsOf(path)
	if err := l.takeFile(lockFile(path), may); err != nil {
		return err
	}
	name := standInName(path)
	if name == "" {
		return nil // there is no folder yet, and so no HAProxy
	}
	return l.standIn(name, may)
}

// Close gives the lock back. The file stays.
func (l *Lock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var err error
	if l.file != nil {
		err = securedir.Unlock(l.file)
		l.file = nil
	}
	if l.stand != nil {
		err = errors.Join(err, l.stand.Close())
		l.stand = nil
	}
	return err
}

func lockFile(socket string) string {
	return filepath.Join(filepath.Dir(socket), ".slotsync-"+filepath.Base(socket)+".lock")
}

// takeFile holds the file at path, unless it does already.
func (l *Lock) takeFile(path string, may rights) error {
	if l.file != nil && isAt(l.file, path) {
		may.admit(l.file) // HAProxy may have made its socket since
		return nil
	}
	f, err := openLock(path, os.O_CREATE, may)
	if err != nil {
		if pid, held := may.holder(path); held {
			return &LockedError{Socket: l.socket, Pid: pid, does: l.does}
		}
		return nil // it is done without the file: see Renew
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		host, pid := securedir.Holder(f)
		f.Close()
		return &LockedError{Socket: l.socket, Host: printable(host), Pid: pid, does: l.does}
	case err != nil:
		f.Close()
		return nil // a file system without locks
	}
	if !isAt(f, path) { // it was removed meanwhile
		_ = securedir.Unlock(f)
		return l.takeFile(path, may)
	}
	securedir.Sign(f)
	may.admit(f)
	if l.file != nil {
		_ = securedir.Unlock(l.file)
	}
	l.file = f
	return nil
}

// openLock opens a file that may be used as a lock, and with os.O_CREATE makes it. One that is there
// is held also where nothing can be written, as behind systemd's ProtectSystem=strict.
func openLock(path string, create int, may rights) (*os.File, error) {
	const flags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, os.O_RDWR|create|flags, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		if readOnly, failed := os.OpenFile(path, os.O_RDONLY|flags, 0); failed == nil {
			f, err = readOnly, nil
		}
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = may.fit(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func isAt(f *os.File, path string) bool {
	now, err := os.Lstat(path)
	if err != nil {
		return false
	}
	held, err := f.Stat()
	return err == nil && os.SameFile(held, now)
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
