package securedir_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slotsync/slotsync/securedir"
)

// TestReadFile: what is no file, or may never end, is not read; nor is a file that is too large.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"fits": "1234", "large": "12345"} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("fits", at("link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "regular", at("pipe"): "regular", "/dev/zero": "regular", at("none"): "no such file", at("large"): "more than 4 bytes", at("link"): "symbolic links",
	} {
		if text, err := securedir.ReadFile(path, 4, syscall.O_NOFOLLOW); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if text, err := securedir.ReadFile(at("link"), 4, 0); err != nil || string(text) != "1234" {
		t.Errorf("%q, %v", text, err)
	}
}
