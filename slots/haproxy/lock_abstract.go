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
	return fmt.Sprintf("@slotsync:%x:%x:%s", st.Dev, st.Ino, filepath.Base(socket))
}

// standIn holds the abstract socket, unless it does already.
func (l *Lock) standIn(name string, owner int) error {
	if len(name) > maxPath {
		name = fmt.Sprintf("@slotsync:%x", sha256.Sum256([]byte(name)))
	}
	if l.stand != nil && l.name == name {
		return nil
	}
	held, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	for try := 0; errors.Is(err, syscall.EADDRINUSE); try++ {
		uid, pid := peerOf(name)
		switch {
		case pid == os.Getpid() && uid == os.Geteuid() && l.file != nil:
			// It was closed just now, and a program that is being started has it until it
			// is executed. Who else in this process would hold it holds the file, too.
			return nil
		case pid == 0 && try < standInTries: // given up between the two questions
			held, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		case honoured(uid, owner):
			return &LockedError{Socket: l.socket, Pid: pid, does: l.does}
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

// peerOf asks the kernel who listens on an abstract socket; -1 and 0 if it does not say.
func peerOf(name string) (uid, pid int) {
	uid = -1
	conn, err := net.DialTimeout("unix", name, time.Second)
	if err != nil {
		return uid, 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return uid, 0
	}
	raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid, pid = int(cred.Uid), int(cred.Pid)
		}
	})
	return uid, pid
}
