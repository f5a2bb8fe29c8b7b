package web_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/slotsync/slotsync/agent/client/clienttest"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// socketDir is short enough for the path of a unix socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func checkMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != want|fs.ModeSocket {
		t.Errorf("%s: mode %v, want %v", path, got, want)
	}
}

func TestSocketMode(t *testing.T) {
	tests := []struct{ set, want fs.FileMode }{{0, 0o660}, {0o600, 0o600}, {0o666, 0o666}}
	for _, tt := range tests {
		t.Run(tt.set.String(), func(t *testing.T) {
			o := options(newFake())
			o.Socket, o.SocketMode = filepath.Join(socketDir(t), "a.sock"), tt.set
			serve(t, o)
			checkMode(t, o.Socket, tt.want)
			client := clienttest.New(t, "unix://"+o.Socket, nil)
			if status, err := client.Status(t.Context()); err != nil || !status.Ready {
				t.Errorf("Status over the socket: %+v, %v", status, err)
			}
		})
	}
}

func TestSocketDirectoryIsMade(t *testing.T) {
	o := options(newFake())
	o.Socket = filepath.Join(socketDir(t), "run", "slotsync", "a.sock")
	serve(t, o)
	checkMode(t, o.Socket, 0o660)
}

func TestSocketGroup(t *testing.T) {
	o := options(newFake())
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	o.SocketGroup = strconv.Itoa(os.Getgid())
	serve(t, o)
	info, err := os.Stat(o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if gid := info.Sys().(*syscall.Stat_t).Gid; int(gid) != os.Getgid() {
		t.Errorf("group %d, want %d", gid, os.Getgid())
	}
}

// TestOnlyTheSocketIsOpened: who may write to the directory can put something else in
// the place of the socket as soon as it is bound.
func TestOnlyTheSocketIsOpened(t *testing.T) {
	dir := socketDir(t)
	file, link := filepath.Join(dir, "secret"), filepath.Join(dir, "a.sock")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, file, filepath.Join(dir, "nothing")} {
		if err := web.Admit(path, 0o666, -1); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != 0o600 {
		t.Errorf("the file has mode %v now", mode)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	o := options(newFake())
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after SIGKILL
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	serve(t, o)
	if _, err := clienttest.New(t, "unix://"+o.Socket, nil).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestListenErrors(t *testing.T) {
	dir := socketDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(dir, "used")
	first := options(newFake())
	first.Socket, first.Listen = used, "127.0.0.1:0"
	running := serve(t, first)
	tests := []struct {
		name string
		o    web.Options
		want string
	}{
		{"socket in use", web.Options{Socket: used}, "another process listens at " + used},
		{"no socket", web.Options{Socket: file}, "is there already and is no socket"},
		{"directory", web.Options{Socket: dir}, "is there already and is no socket"},
		{"directory is a file", web.Options{Socket: file + "/a.sock"}, "not a directory"},
		{"path too long", web.Options{Socket: dir + "/" + strings.Repeat("x", 107)}, "longer than 107 bytes"},
		{"unknown group", web.Options{Socket: dir + "/g", SocketGroup: "no such group"}, "no such group"},
		{"port in use", web.Options{Listen: running.Addr()}, "address already in use"},
		{"port in use, socket free", web.Options{Listen: running.Addr(), Socket: dir + "/b"}, "address already in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.o)
			if err := s.Listen(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Listen: %v, want %q", err, tt.want)
			}
		})
	}
	if b, err := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("the file that was there: %q, %v", b, err)
	}
	if _, err := clienttest.New(t, "unix://"+used, nil).Status(t.Context()); err != nil {
		t.Errorf("the one that was there first: %v", err)
	}
	for _, name := range []string{"b", "g"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("a failed Listen left %s behind", name)
		}
	}
}

// TestListenLeavesWhatItWasGiven: a socket unit's listener can be used once more where the path
// of the other one cannot.
func TestListenLeavesWhatItWasGiven(t *testing.T) {
	given, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := options(newFake())
	o.TCP, o.Listen, o.Socket = given, given.Addr().String(), socketDir(t)
	if err := newServer(t, o).Listen(); err == nil {
		t.Fatal("a folder became a socket")
	}
	o.Socket = ""
	s := serve(t, o)
	if _, err := clienttest.New(t, "http://"+s.Addr(), nil).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseWithoutServe(t *testing.T) {
	o := options(newFake())
	o.Socket, o.Listen = filepath.Join(socketDir(t), "a.sock"), "127.0.0.1:0"
	s := newServer(t, o)
	if s.Addr() != "" {
		t.Errorf("Addr before Listen: %q", s.Addr())
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(o.Socket); err == nil {
		t.Error("the socket is still there")
	}
}

// TestGivenSocketIsNarrowed: systemd opens a socket to everybody unless its unit says otherwise.
func TestGivenSocketIsNarrowed(t *testing.T) {
	for _, tt := range []struct{ had, set, want fs.FileMode }{{0o666, 0o660, 0o660}, {0o600, 0o660, 0o600}, {0o666, 0o666, 0o666}} {
		path := filepath.Join(socketDir(t), "a.sock")
		given, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.had); err != nil {
			t.Fatal(err)
		}
		o := options(newFake())
		o.Unix, o.Socket, o.SocketMode = given, path, tt.set
		serve(t, o)
		checkMode(t, path, tt.want)
	}
}

// TestGivenSocketOfAnother: one that cannot be narrowed is refused.
func TestGivenSocketOfAnother(t *testing.T) {
	path := filepath.Join(socketDir(t), "a.sock")
	given, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	if err := errors.Join(os.Chmod(path, 0o666), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	o := options(newFake())
	o.Unix, o.Socket = given, path
	s := newServer(t, o)
	securedirtest.AsNobody(t, securedirtest.Nobody, func() { err = s.Listen() })
	if err == nil || !strings.Contains(err.Error(), "with mode 0666, and http.socket_mode is 0660: write SocketMode=0660 into the unit") {
		t.Errorf("got %v", err)
	}
}

// TestStaleSocketOfRoot: one that root has left in the folder of this user's agent is replaced,
// unless somebody listens there.
func TestStaleSocketOfRoot(t *testing.T) {
	dir := securedirtest.Folder(t, 0o755)
	path := filepath.Join(dir, "a.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o660), os.Chown(dir, securedirtest.Nobody, securedirtest.Nobody)); err != nil {
		t.Fatal(err)
	}
	listen := func() (err error) {
		o := options(newFake())
		o.Socket = path
		s := newServer(t, o)
		securedirtest.AsNobody(t, securedirtest.Nobody, func() { err = s.Listen() })
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := listen(); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("while root listens: %v", err)
	}
	l.SetUnlinkOnClose(false) // as after SIGKILL
	l.Close()
	if err := listen(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := os.Chown(dir, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// TestSocketOwner: root makes the socket for the agent's user.
func TestSocketOwner(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives a file to another user")
	o := options(newFake())
	o.Socket, o.SocketUID, o.SocketGID = filepath.Join(socketDir(t), "a.sock"), securedirtest.Nobody, securedirtest.Nobody
	serve(t, o)
	info, err := os.Stat(o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != securedirtest.Nobody || st.Gid != securedirtest.Nobody {
		t.Errorf("it belongs to %d:%d", st.Uid, st.Gid)
	}
}
