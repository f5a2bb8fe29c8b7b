package audit

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// TestSlowDiskIsNotWaitedFor longer than 5 s, by whoever's entry is being written and by the
// next, and what it wrote in the end is whole.
func TestSlowDiskIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, answers := New("", securedir.Policy{}), make(chan struct{})
		var written []string
		f.append = func(line []byte) error {
			<-answers
			written = append(written, string(line))
			return nil
		}
		add := func(who string, want error, within time.Duration) {
			t.Helper()
			begun := time.Now()
			if err := f.Add(Entry{Who: who}); !errors.Is(err, want) || time.Since(begun) != within {
				t.Errorf("%s: %v after %s", who, err, time.Since(begun))
			}
		}
		add("ann", errSlow, 5*time.Second)
		add("bob", errSlow, 5*time.Second)
		close(answers)
		add("eve", nil, 0)
		if len(written) != 2 || !strings.Contains(written[0], "ann") || !strings.Contains(written[1], "eve") {
			t.Errorf("written: %q", written)
		}
	})
}

// TestFileThatIsNone of ours: a device, a folder, one that others may write to, none.
func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, "device")); err != nil {
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
	for _, name := range []string{"device", "folder", "open", "none/file"} {
		if err := New(filepath.Join(dir, name), securedir.Policy{}).Add(Entry{}); err == nil {
			t.Errorf("%s took an entry", name)
		}
	}
}
