package haproxy_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/securedir/securedirtest"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func lockOf(socket string) string {
	return filepath.Join(filepath.Dir(socket), ".slotsync-"+filepath.Base(socket)+".lock")
}

func wantLock(t *testing.T, c *haproxy.Client) *haproxy.Lock {
	t.Helper()
	l, err := c.Lock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// The file says who holds it, and is for nobody else.
func TestLockFile(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	wantLock(t, client(t, socket))
	info, err := os.Stat(lockOf(socket))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("got %v, %v", info, err)
	}
	host, _ := os.Hostname()
	if got, want := read(t, lockOf(socket)), fmt.Sprintf("%s %d\n", host, os.Getpid()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A lock outlives the folder of the socket only as long as nobody else takes it: with the
// next look it is taken anew, or somebody else has it.
func TestLockOfAnEmptiedFolder(t *testing.T) {
	for name, empty := range map[string]func(socket string) error{
		"file": func(socket string) error { return os.Remove(lockOf(socket)) },
		"folder": func(socket string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(socket)), os.Mkdir(filepath.Dir(socket), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(dir, "s")
			first := client(t, socket)
			lock := wantLock(t, first)
			if err := empty(socket); err != nil {
				t.Fatal(err)
			}
			if err := lock.Renew(); err != nil {
				t.Fatal(err)
			}
			wantLocked(t, client(t, socket), os.Getpid())
			lock.Close()

			if err := empty(socket); err != nil {
				t.Fatal(err)
			}
			second := wantLock(t, client(t, socket))
			if err := lock.Renew(); err != nil {
				t.Errorf("one that was given back: %v", err)
			}
			second.Close()
		})
	}
}

// Before HAProxy has made its folder there is nothing to hold; with the first look after
// that there is.
func TestLockBeforeTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	a, b := client(t, filepath.Join(dir, "s")), client(t, filepath.Join(dir, "s"))
	first, second := wantLock(t, a), wantLock(t, b)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := second.Renew(); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*haproxy.LockedError](first.Renew()); !ok {
		t.Error("both have it")
	}
}

// TestWriterLosesItsLock: who finds with a new process of HAProxy that somebody else has
// the lock writes nothing to it.
func TestWriterLosesItsLock(t *testing.T) {
	p := haproxytest.Start(t, haproxytest.Config{Backends: []haproxytest.Backend{{Name: "web", Slots: 3}}})
	c := client(t, p.Socket)
	wantLock(t, c)
	apply := func(n int) error {
		v, err := c.View(t.Context(), []string{"web"}, true)
		if err != nil {
			t.Fatal(err)
		}
		s := v.Servers["web"][n]
		_, err = c.Apply(t.Context(), v.Process, []slots.Change{fill("web", s, addr("127.9.0.1:%d", 80+n))})
		return err
	}
	if err := apply(0); err != nil {
		t.Fatal(err)
	}
	// as if another agent had come to an emptied folder
	if err := os.Remove(lockOf(p.Socket)); err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(lockOf(p.Socket), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(other, "elsewhere 7")
	if err := apply(1); err != nil {
		t.Errorf("within one process: %v", err)
	}
	p.Restart()
	err = apply(2)
	if _, ok := errors.AsType[*haproxy.LockedError](err); !ok || !strings.Contains(err.Error(), "(pid 7, host elsewhere) writes to "+p.Socket) {
		t.Fatalf("got %v", err)
	}
	wantFault(t, err, slots.Denied, false)
	v, err := c.View(t.Context(), []string{"web"}, true)
	if err != nil || len(served(v.Servers["web"])) != 0 {
		t.Errorf("got %v, %v", v.Servers, err)
	}
	other.Close()
	if err := apply(2); err != nil {
		t.Errorf("when the other one has gone: %v", err)
	}
}

func TestLockWithin(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	first := wantLock(t, client(t, socket))
	begun := time.Now()
	_, err := client(t, socket).LockWithin(t.Context(), 300*time.Millisecond)
	if _, ok := errors.AsType[*haproxy.LockedError](err); !ok || time.Since(begun) < 300*time.Millisecond {
		t.Errorf("got %v after %s", err, time.Since(begun))
	}
	time.AfterFunc(200*time.Millisecond, func() { first.Close() })
	second, err := client(t, socket).LockWithin(t.Context(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// TestLockAcrossNetworks: a process in another network namespace sees the lock.
func TestLockAcrossNetworks(t *testing.T) {
	if socket := os.Getenv(holdLock); socket != "" {
		wantLocked(t, client(t, socket), os.Getppid())
		return
	}
	securedirtest.NeedsRoot(t, "it makes a network namespace")
	socket := filepath.Join(t.TempDir(), "s")
	wantLock(t, client(t, socket))
	cmd := exec.CommandContext(t.Context(), "unshare", "-n", os.Args[0], "-test.run=^TestLockAcrossNetworks$", "-test.v")
	cmd.Env = append(os.Environ(), holdLock+"="+socket)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestLockIsNotForOthers: what another user holds keeps nobody from writing, and the
// abstract socket holds where there is no file.
func TestLockIsNotForOthers(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives a file to another user")
	dir := t.TempDir()
	t.Run("abstract socket", func(t *testing.T) {
		socket := filepath.Join(dir, "a")
		squat(t, abstractOf(t, socket))
		wantLock(t, client(t, socket))
		wantLocked(t, client(t, socket), os.Getpid())
	})
	t.Run("file", func(t *testing.T) {
		socket := filepath.Join(securedirtest.Folder(t, 0o777), "b")
		f, err := os.OpenFile(lockOf(socket), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := errors.Join(f.Chown(securedirtest.Nobody, securedirtest.Nobody), syscall.Flock(int(f.Fd()), syscall.LOCK_EX)); err != nil {
			t.Fatal(err)
		}
		wantLock(t, client(t, socket))
		wantLocked(t, client(t, socket), os.Getpid()) // by the abstract socket
	})
	t.Run("a link", func(t *testing.T) {
		socket := filepath.Join(dir, "c")
		victim := filepath.Join(dir, "victim")
		if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, lockOf(socket)); err != nil {
			t.Fatal(err)
		}
		wantLock(t, client(t, socket))
		if got := read(t, victim); got != "precious" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("the socket's owner", func(t *testing.T) {
		socket := filepath.Join(dir, "d")
		if err := errors.Join(os.WriteFile(socket, nil, 0o600), os.Chown(socket, securedirtest.Nobody, securedirtest.Nobody)); err != nil {
			t.Fatal(err)
		}
		squat(t, abstractOf(t, socket))
		if _, err := client(t, socket).Lock(); err == nil || !strings.Contains(err.Error(), "another slotsync") {
			t.Errorf("got %v", err)
		}
	})
}

// abstractOf is the abstract socket that stands in for a lock.
func abstractOf(t *testing.T, socket string) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Dir(socket), &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("@slotsync:%x:%x:%s", st.Dev, st.Ino, filepath.Base(socket))
}

// squat has another user listen on an abstract socket until the test ends.
func squat(t *testing.T, name string) {
	t.Helper()
	var l net.Listener
	var err error
	securedirtest.AsNobody(t, securedirtest.Nobody, func() { l, err = net.Listen("unix", name) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}
