package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slotsync/slotsync/securedir"
)

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// TestFileIsRotatedByOthers: renamed, removed or cut, the next entry is in the file of that
// name, and every line is one of JSON, also after one that was cut short.
func TestFileIsRotatedByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f := New(path, securedir.Policy{})
	add := func() {
		t.Helper()
		if err := f.Add(Entry{Who: "ann", Reason: "a\nb\x1b[2J\"", Status: 200}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	add()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add()
	if a, b := len(lines(t, path+".1")), len(lines(t, path)); a != 2 || b != 1 {
		t.Errorf("%d and %d lines", a, b)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o137 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Truncate(path, 10); err != nil { // as a loss of power may leave it
		t.Fatal(err)
	}
	add()
	got := lines(t, path)
	var e Entry
	if len(got) != 2 || json.Unmarshal([]byte(got[1]), &e) != nil || e.Reason != "a\nb\x1b[2J\"" {
		t.Errorf("%q", got)
	}
}

func TestEntriesOfManyAreWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f := New(path, securedir.Policy{})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := f.Add(Entry{Who: strings.Repeat("x", 5000)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, line := range lines(t, path) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("%q", line)
		}
	}
}

// TestFileThatCannotBeWritten: a full disk, and what is no file of ours.
func TestFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, "full")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "open"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"full", "folder", "open", "none/file"} {
		if err := New(filepath.Join(dir, name), securedir.Policy{}).Add(Entry{}); err == nil {
			t.Errorf("%s took an entry", name)
		}
	}
}
