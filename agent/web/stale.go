package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

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
	left := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrPermission) && isOwn(filepath.Dir(path)) && !isListening(path)
	if !left {
		return fmt.Errorf("%s is in use: %w", path, err)
	}
	return os.Remove(path)
}

// isOwn reports whether nobody but this user and root can make a socket in a folder.
func isOwn(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}

// isListening reports whether the kernel knows of somebody who listens at a path, or at the same
// name in another folder, for it may be known by another path there. A process in another network
// namespace is not seen.
func isListening(path string) bool {
	const accepts = "00010000"                      // __SO_ACCEPTCON
	text, err := os.ReadFile("/proc/self/net/unix") // also behind systemd's ProcSubset=pid
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) { // Num RefCount Protocol Flags Type St Inode Path
		if f := strings.Fields(line); len(f) > 7 && f[3] == accepts && filepath.Base(f[7]) == filepath.Base(path) {
			return true
		}
	}
	return false
}
