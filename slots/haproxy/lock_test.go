package haproxy_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy"
)

// holdLock is set in a process that holds the lock of the socket it names.
const holdLock = "SLOTSYNC_TEST_HOLD_LOCK"

func TestLock(t *testing.T) {
	if socket := os.Getenv(holdLock); socket != "" {
		if _, err := client(t, socket).Lock(); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("held\n")
		os.Stdin.Read(make([]byte, 1))
		return
	}
	socket := filepath.Join(t.TempDir(), "s")
	c := client(t, socket)
	lock, err := c.Lock()
	if err != nil {
		t.Fatal(err)
	}
	wantLocked(t, c, os.Getpid())
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(os.Args[0], "-test.run=^TestLock$")
	cmd.Env = append(os.Environ(), holdLock+"="+socket)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	wantLocked(t, c, cmd.Process.Pid)
	cmd.Process.Kill()
	cmd.Wait()
	lock, err = c.Lock()
	if err != nil {
		t.Fatalf("the lock outlives its process: %v", err)
	}
	lock.Close()
}

func wantLocked(t *testing.T, c *haproxy.Client, pid int) {
	t.Helper()
	_, err := c.Lock()
	locked, ok := errors.AsType[*haproxy.LockedError](err)
	if !ok || locked.Pid != pid || locked.Socket != c.String() || !strings.Contains(err.Error(), c.String()) {
		t.Errorf("got %v; want pid %d", err, pid)
	}
}

// TestLockOfAMaster: one holds it, whatever way the others write its path.
func TestLockOfAMaster(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	master := func(socket string) *haproxy.Master {
		m, err := haproxy.NewMaster(socket, 0)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first, second := master(filepath.Join(dir, "m")), master("unix://"+filepath.Join(link, "m"))
	lock, err := first.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Lock()
	locked, ok := errors.AsType[*haproxy.LockedError](err)
	if !ok || locked.Pid != os.Getpid() || !strings.Contains(err.Error(), "reloads by "+second.String()) {
		t.Errorf("got %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = second.Lock(); err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

// A lock that was just given back is to be had at once, also while a program is being
// started, which has its files until it is executed.
func TestLockIsToBeHadAgainAtOnce(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run() // only that it is started counts
				}
			}
		})
	}
	defer starting.Wait()
	defer close(stop)
	master, err := haproxy.NewMaster(filepath.Join(dir, "master.sock"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		l, err := master.Lock()
		if err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
		l.Close()
	}
}
