package haproxy_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/securedir/securedirtest"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// State files go to no folder that others can write to.
func TestStateFileInEverybodysFolder(t *testing.T) {
	dir, victim := securedirtest.Folder(t, 0o777), securedirtest.Folder(t, 0o755)
	securedirtest.Attack(t, `ln -s "$2/made" "$1/web"; ln -s "$2/made" "$1/.web.slotsync"`, dir, victim)
	err := saver(t, "/run/x", filepath.Join(dir, "{backend}")).Save("web", nil)
	if !errors.Is(err, securedir.ErrUnsafe) || !strings.Contains(err.Error(), "chmod go-w it") {
		t.Errorf("got %v", err)
	}
	if list, _ := os.ReadDir(victim); len(list) != 0 {
		t.Errorf("made elsewhere: %v", list)
	}
}

// A FIFO that takes the place of the file before it is synced does not hang the instance.
func TestFIFOInPlaceOfAStateFile(t *testing.T) {
	dir := t.TempDir()
	c := saver(t, "/run/x", filepath.Join(dir, "{backend}"))
	if err := c.Save("web", nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "web")
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Sync() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it hangs")
	}
	if err := c.Save("web", nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("not written anew: %v, %v", info, err)
	}
}

// The lock is no second name of a file of root's, which the holder would write to.
func TestLockThatIsAnotherFile(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Link(victim, filepath.Join(dir, ".slotsync-s.lock"))); err != nil {
		t.Fatal(err)
	}
	l, err := client(t, filepath.Join(dir, "s")).Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := read(t, victim); got != "precious" {
		t.Errorf("written to: %q", got)
	}
}

// Where everybody can put a socket, only root, this user and the owner of the folder are
// taken for HAProxy.
func TestSocketOfSomebodyElse(t *testing.T) {
	dir := securedirtest.Folder(t, 0o777)
	var l net.Listener
	var err error
	// the kernel notes who calls listen(2)
	securedirtest.AsNobody(t, securedirtest.Nobody, func() { l, err = net.Listen("unix", filepath.Join(dir, "s")) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := client(t, filepath.Join(dir, "s"))
	_, err = c.Info(t.Context())
	wantFault(t, err, slots.Denied, false)
	if err == nil || !strings.Contains(err.Error(), "user 65534 listens there") {
		t.Errorf("got %v", err)
	}
	m, err := haproxy.NewMaster(filepath.Join(dir, "s"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Workers(t.Context()); err == nil || !strings.Contains(err.Error(), "user 65534") {
		t.Errorf("the master: %v", err)
	}
	if err := os.Chown(dir, securedirtest.Nobody, securedirtest.Nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Level(t.Context()); err == nil || strings.Contains(err.Error(), "listens there") {
		t.Errorf("the owner of the folder is refused: %v", err)
	}
}
