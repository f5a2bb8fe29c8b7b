package haproxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// standInTries bounds how often a name is tried that is taken although no process holds it.
const standInTries = 5

// standInName is the abstract socket for a socket: its folder as the kernel knows it, in
// whatever chroot that is, and its name. "" if there is no folder.
func standInName(socket string) string {
	info, err := os.Stat(filepath.Dir(socket))
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return abstractName(fmt.Sprintf("%x:%x:%s", st.Dev, st.Ino, filepath.Base(socket)))
}

// abstractName is the abstract socket for what; one that is too long is shortened.
func abstractName(what string) string {
	name := "@slotsync:" + what
	if len(name) > maxPath {
		name = fmt.Sprintf("@slotsync:%x", sha256.Sum256([]byte(name)))
	}
	return name
}

// standIn holds the abstract socket, unless it does already.
func (l *Lock) standIn(name string, may rights) error {
	if l.stand != nil && l.name == name {
		return nil
	}
	held, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	for try := 0; errors.Is(err, syscall.EADDRINUSE); try++ {
		by := peerOf(name)
		switch {
		case by.pid == os.Getpid() && by.uid == os.Geteuid() && l.file != nil:
			// It was closed just now, and a program that is being started has it until it
			// is executed. Who else in this process would hold it holds the file, too.
			return nil
		case by.pid == 0 && try < standInTries: // given up between the two questions
			held, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		case may.peer(by):
			return &LockedError{Socket: l.socket, Pid: by.pid, does: l.does}
		default:
			return nil // it is done without: see Renew
		}
	}
	if err != nil {
		return nil // it is done without: see Renew
	}
	if l.stand != nil {
		l.stand.Close()
	}
	l.stand, l.name = held, name
	go acceptAll(held)
	return nil
}

// acceptAll takes connections until l is closed: other agents connect to learn who holds
// the lock, and a full queue would keep them waiting.
func acceptAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

// A peer is who listens on an abstract socket.
type peer struct {
	uid, pid int // -1 and 0 if the kernel does not say
	groups   []int
}

func peerOf(name string) peer {
	conn, err := net.DialTimeout("unix", name, time.Second)
	if err != nil {
		return peer{uid: -1}
	}
	defer conn.Close()
	return peerAt(conn.(*net.UnixConn))
}

// peerAt asks the kernel who is at the other end of a connection.
func peerAt(conn *net.UnixConn) peer {
	p := peer{uid: -1}
	if raw, err := conn.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
				p = peer{int(cred.Uid), int(cred.Pid), append(peerGroups(fd), int(cred.Gid))}
			}
		})
	}
	return p
}

// maxGroups is more than a process is a member of in practice; of one in more nothing is known.
const maxGroups = 4096

func peerGroups(fd uintptr) []int {
	gids := make([]uint32, maxGroups)
	size := uint32(len(gids) * 4)
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	var groups []int
	for _, gid := range gids[:size/4] {
		groups = append(groups, int(gid))
	}
	return groups
}
