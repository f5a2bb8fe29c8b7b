package haproxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/securedir/securedirtest"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// seekLock is set in a process that asks for the lock of the socket it names.
const seekLock = "SLOTSYNC_TEST_SEEK_LOCK"

// Users of these tests, and the group that HAProxy's socket is open to.
const haproxyUser, haproxyGroup = 65533, 65532

// A user is one who runs a process, in a network namespace of its own or in this one.
type user struct {
	uid    uint32
	groups []uint32
	apart  bool
}

// as starts this test in a process of u, with the socket in variable. What it prints first is line.
func (u user) as(t *testing.T, variable, socket string) (cmd *exec.Cmd, line string) {
	t.Helper()
	self, err := os.Open("/proc/self/exe") // which others cannot get to by its path
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd = exec.Command("/proc/self/fd/3", "-test.run=^TestLockAmongUsers$")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = append(os.Environ(), variable+"="+socket)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.uid, Gid: u.uid, Groups: u.groups}}
	if u.apart {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

// TestLockAmongUsers: whoever may write to HAProxy sees the lock of everybody else who may, and who
// may not keeps nobody out.
func TestLockAmongUsers(t *testing.T) {
	if socket := os.Getenv(holdLock); socket != "" {
		if _, err := client(t, socket).Lock(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		os.Stdin.Read(make([]byte, 1))
		return
	}
	if socket := os.Getenv(seekLock); socket != "" {
		_, err := client(t, socket).LockWithin(t.Context(), 150*time.Millisecond) // the second try must not meet what the first left
		if locked, ok := errors.AsType[*haproxy.LockedError](err); ok {
			fmt.Println("locked by", locked.Pid)
		} else {
			fmt.Println("free", err)
		}
		return
	}
	securedirtest.NeedsRoot(t, "it runs processes of other users")
	root, anne, bob := user{}, user{uid: 1001, groups: []uint32{haproxyGroup}}, user{uid: 1002, groups: []uint32{haproxyGroup}}
	stranger := user{uid: 1003}
	apart := func(u user) user { u.apart = true; return u }
	const theirs, closed, everybodys = 0o2775, 0o755, 0o777
	for _, c := range []struct {
		name         string
		folder       uint32 // its mode; it is haproxy's
		socket       uint32 // its mode; 0: HAProxy has not made it yet
		holder, seek user
		free         bool
	}{
		{"root sees the unit's", theirs, 0o660, anne, root, false},
		{"root apart sees the unit's", theirs, 0o660, anne, apart(root), false},
		{"the unit sees root's", theirs, 0o660, root, anne, false},
		{"a pod sees another user's", theirs, 0o660, apart(anne), apart(bob), false},
		{"pods of two users, and a socket for everybody", everybodys, 0o666, apart(stranger), apart(bob), false},
		{"root's, from before HAProxy", theirs, 0, root, apart(anne), false},
		{"root's, from before HAProxy in a closed folder", closed, 0, root, apart(anne), false},
		{"a folder where no file can be made", closed, 0o660, anne, root, false},
		{"and two of its users", closed, 0o660, anne, bob, false},
		{"a stranger by an abstract socket", closed, 0o660, stranger, root, true},
		{"a stranger before HAProxy", closed, 0, stranger, anne, true},
		{"a stranger by a file", everybodys, 0o660, stranger, apart(root), true},
		{"a stranger by a file that cannot be opened", everybodys, 0o660, stranger, anne, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := securedirtest.Folder(t, 0o755)
			socket := filepath.Join(dir, "s")
			if c.socket != 0 {
				if err := errors.Join(os.WriteFile(socket, nil, 0o600), os.Chown(socket, haproxyUser, haproxyGroup), syscall.Chmod(socket, c.socket)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chown(dir, haproxyUser, haproxyGroup), syscall.Chmod(dir, c.folder)); err != nil {
				t.Fatal(err)
			}
			holder, said := c.holder.as(t, holdLock, socket)
			if said != "held" {
				t.Fatal(said)
			}
			want := fmt.Sprint("locked by ", holder.Process.Pid)
			if c.free {
				want = "free <nil>"
			}
			if _, got := c.seek.as(t, seekLock, socket); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	t.Run("two users over TCP", func(t *testing.T) {
		holder, said := anne.as(t, holdLock, "tcp://127.0.0.1:2")
		if said != "held" {
			t.Fatal(said)
		}
		if _, got := bob.as(t, seekLock, "tcp://127.0.0.1:2"); got != fmt.Sprint("locked by ", holder.Process.Pid) {
			t.Error(got)
		}
	})
	t.Run("who does not answer, over TCP", func(t *testing.T) {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err == nil {
			defer syscall.Close(fd)
			err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: "@slotsync:127.0.0.1:3"})
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, got := anne.as(t, seekLock, "tcp://127.0.0.1:3"); got != "free <nil>" {
			t.Error(got)
		}
	})
	t.Run("a file that nobody holds any more", func(t *testing.T) {
		dir := securedirtest.Folder(t, 0o755)
		socket := filepath.Join(dir, "s")
		if err := os.WriteFile(lockOf(socket), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, got := anne.as(t, seekLock, socket); got != "free <nil>" {
			t.Error(got)
		}
	})
}

// TestLockDoubt: what the lock does not keep out is said, and who is in its place.
func TestLockDoubt(t *testing.T) {
	securedirtest.NeedsRoot(t, "it is another user")
	dir := securedirtest.Folder(t, 0o755)
	socket := filepath.Join(dir, "s")
	c := client(t, socket)
	want := func(part string, squatted bool) {
		t.Helper()
		doubt, got := c.LockDoubt()
		if got != squatted || !strings.Contains(doubt, part) || part == "" && doubt != "" {
			t.Errorf("%q, %t; want %q, %t", doubt, got, part, squatted)
		}
	}
	want("", false)
	c = client(t, "tcp://127.0.0.1:1")
	want("over TCP: the lock keeps out what runs in this network namespace alone", false)
	c = client(t, socket)
	if err := os.Mkdir(lockOf(socket), 0o700); err != nil { // where it cannot be made, as for a unit that may not write there
		t.Fatal(err)
	}
	want("there can be no lock file (", false)
	squat(t, abstractOf(t, socket))
	want("no other slotsync is kept from writing; end that process", true)
}
