package remote

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
)

func TestPasswordFiles(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"a word\n": "a word", "päss": "päss", "x\r\n": "x", " x ": " x ", "": "", "\n": "", "a\nb": "", strings.Repeat("x", maxPassword+1): ""} {
		file := filepath.Join(dir, "password")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readPassword(file)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	if _, err := readPassword(dir); err == nil {
		t.Error("a folder holds no password")
	}
}

// TestReaders: who owns a file can read it, and by its group who is in that, if the file says so.
func TestReaders(t *testing.T) {
	securedirtest.NeedsRoot(t, "it gives a file away")
	nobody, err := user.LookupId(strconv.Itoa(securedirtest.Nobody))
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const owner, stranger = 12345, 54321
	for _, tt := range []struct {
		gid  int
		mode os.FileMode
		want bool // of who is in that group
	}{{gid, 0o640, true}, {gid, 0o600, false}, {stranger, 0o640, false}} {
		if err := errors.Join(os.Chown(path, owner, tt.gid), os.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		may := readers(path)
		if !may(owner) || may(securedirtest.Nobody) != tt.want || may(stranger) {
			t.Errorf("%+v: %t, %t, %t", tt, may(owner), may(securedirtest.Nobody), may(stranger))
		}
	}
	if readers(path + ".none")(owner) {
		t.Error("nobody can read what is not there")
	}
}
