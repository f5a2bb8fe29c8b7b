// Package securedirtest does what another user of the machine could do.
package securedirtest

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Nobody is the user and group of attacks.
const Nobody = 65534

// Attack runs a shell script as a user without rights; args are $1 and so on. Without root
// the test is skipped.
func Attack(t testing.TB, script string, args ...string) {
	t.Helper()
	NeedsRoot(t, "it runs a process of another user")
	cmd := exec.Command("/bin/sh", append([]string{"-ec", script, "sh"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: Nobody, Gid: Nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the attack itself failed: %v\n%s", err, out)
	}
}

// AsNobody runs f in a thread that belongs to user [Nobody] and to the group gid alone; f
// must not end the test. The thread ends with it. Without root the test is skipped.
func AsNobody(t testing.TB, gid int, f func()) {
	t.Helper()
	NeedsRoot(t, "it is another user for a while")
	ended := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0)
		if errno == 0 {
			_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
		}
		if errno == 0 {
			_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESUID, Nobody, Nobody, Nobody)
		}
		if errno == 0 {
			f()
		}
		ended <- errno
	}()
	if errno := <-ended; errno != 0 {
		t.Fatal(errno)
	}
}

// Listen has user [Nobody] listen at an address of this machine, until the test ends. Without
// root the test is skipped.
func Listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	AsNobody(t, Nobody, func() { l, err = net.Listen(network, address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Folder makes a folder with that mode for one test, where others can get to.
func Folder(t testing.TB, mode fs.FileMode) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755); err != nil { // testing makes it 0700
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}
