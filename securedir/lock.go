package securedir

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock opens the file name, which it makes if there is none, and holds it by flock(2) until
// [Unlock], with host and pid in it. If somebody else does, the error is a [HeldError].
func (d *Dir) Lock(name string) (*os.File, error) {
	f, _, err := d.openOwn(name, 0, 0o600)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		held := &HeldError{Path: f.Name()}
		held.Host, held.Pid = Holder(f)
		return nil, errors.Join(held, f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), err), f.Close())
	}
	Sign(f)
	return f, nil
}

// A HeldError says that somebody else holds a lock.
type HeldError struct {
	Path string
	Host string // of the holder; "" if it is this one, or not known
	Pid  int    // of the holder, as it sees itself; 0 if it is not known
}

// Error names the holder.
func (e *HeldError) Error() string {
	who := "another process"
	if e.Pid != 0 {
		who = fmt.Sprintf("pid %d", e.Pid)
	}
	if e.Host != "" {
		who += fmt.Sprintf(" of host %q", e.Host)
	}
	return who + " holds " + e.Path
}

// Unlock gives a lock back. It does not leave that to Close: a program that is just being
// started has the file, too, until it is executed.
func Unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// Sign writes into a lock who holds it: for people only, so it does not matter if it cannot.
func Sign(f *os.File) {
	host, _ := os.Hostname()
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%s %d\n", host, os.Getpid()), 0)
	}
}

// Holder returns who has signed a lock. The host is "" if it is this one.
func Holder(f *os.File) (host string, pid int) {
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
	return host, pid
}
