package haproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// rights say who may write to a HAProxy, by its socket: they may hold its lock. Who may not could
// only be in the way.
type rights struct {
	owner int         // of the socket; -1: there is none
	group int         // of the socket, or of the folder as long as there is none
	mode  os.FileMode // what group and others may
	open  bool        // everybody can make files in the folder
}

// rightsOf looks at a socket; "" for HAProxy's command line over TCP, to which everybody may write.
func rightsOf(socket string) rights {
	r := rights{owner: -1, group: -1}
	if socket == "" {
		r.mode = 0o006
		return r
	}
	dir := filepath.Dir(socket)
	r.open = worldWritable(dir)
	var st syscall.Stat_t
	switch {
	case syscall.Stat(socket, &st) == nil:
		r.owner, r.group, r.mode = int(st.Uid), int(st.Gid), os.FileMode(st.Mode)&0o066
	case syscall.Stat(dir, &st) == nil: // who can make the socket
		r.group, r.mode = int(st.Gid), os.FileMode(st.Mode)&0o060
	}
	if r.mode&0o020 == 0 {
		r.mode &^= 0o060
	}
	if r.mode&0o002 == 0 {
		r.mode &^= 0o006
	}
	return r
}

// user reports whether uid may write to HAProxy whatever its groups are.
func (r rights) user(uid int) bool {
	return uid >= 0 && (uid == 0 || uid == os.Geteuid() || uid == r.owner || r.mode&0o002 != 0)
}

func (r rights) peer(p peer) bool {
	return r.user(p.uid) || r.mode&0o020 != 0 && slices.Contains(p.groups, r.group)
}

// admit opens a lock to those who may hold it. Only its owner and root can.
func (r rights) admit(f *os.File) {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm()&0o066 == r.mode {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && r.mode&0o060 != 0 && int(st.Gid) != r.group && f.Chown(-1, r.group) != nil {
		return // its group is another one, which is not to have these rights
	}
	_ = f.Chmod(0o600 | r.mode)
}

// fit says why the file at path cannot be a lock. Where others can write to the folder it
// may be one that they have put there: a second name of a file of root's, which the holder
// would write to, or a file of their own, by which they would be in the way.
func (r rights) fit(path string, info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case ok && r.open && !r.user(int(st.Uid)):
		return fmt.Errorf("%s belongs to user %d", path, st.Uid)
	case ok && st.Nlink > 1:
		return fmt.Errorf("%s has another name, too", path)
	}
	return nil
}

// LockDoubt says which other agents the lock of this HAProxy does not keep out where this user
// takes it; "" if none. squatted: a program that may not write to HAProxy is in its place. It takes
// nothing.
func (c *Client) LockDoubt() (doubt string, squatted bool) {
	name, may, why := abstractName(c.at.addr), rightsOf(""), "it is reached over TCP"
	if c.at.network == "unix" {
		path := realPath(c.at.addr)
		may = rightsOf(path)
		err := canLock(lockFile(path), may)
		if name = standInName(path); err == nil || name == "" {
			return "", false
		}
		why = fmt.Sprintf("there can be no lock file (%v)", err)
	}
	if by := peerOf(name); by.pid != 0 && !may.peer(by) {
		return fmt.Sprintf("%s, and pid %d of user %d, who may not write to it, is where the lock would be: no other slotsync is kept from writing; end that process",
			why, by.pid, by.uid), true
	}
	return why + ": the lock keeps out what runs in this network namespace alone", false
}

// canLock says why there is no lock file for this user.
func canLock(path string, may rights) error {
	f, err := openLock(path, 0, may)
	if _, gone := os.Lstat(path); errors.Is(gone, fs.ErrNotExist) {
		const writable = 2 // W_OK of access(2)
		return syscall.Access(filepath.Dir(path), writable)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// ownerOf returns the user that a file belongs to; -1 if there is none.
func ownerOf(path string) int {
	if info, err := os.Stat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return int(st.Uid)
		}
	}
	return -1
}

// holder finds, as far as the kernel shows it (proc_locks(5)), who holds a lock that cannot be opened
// here. One that others have put there does not count.
func (r rights) holder(path string) (pid int, held bool) {
	info, err := os.Lstat(path)
	if err != nil || r.fit(path, info) != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.ReadFile("/proc/locks")
	if err != nil || !ok {
		return 0, false
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF; who waits has -> behind the number
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && f[5] == file {
			pid, _ = strconv.Atoi(f[4])
			return pid, true
		}
	}
	return 0, false
}
