package longpoll

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestC16TokenFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		write := func(content string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(" first\n")
		f, err := NewTokenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(step, want string) {
			t.Helper()
			if got := f.Token(); got != want {
				t.Errorf("%s: %q", step, got)
			}
		}
		expect("at first", "first")
		for name, bad := range map[string]string{
			"truncated": "", "blank": " \n\n", "two lines": "a\nb", "control": "a\x1bb", "not ASCII": "tökén", "a book": strings.Repeat("x", 5000),
		} {
			write(bad)
			time.Sleep(recheck)
			expect(name, "first")
			f.Reread()
			expect(name+", after a 403", "first")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		expect("removed", "first")

		write("second")
		f.checked = time.Now()
		expect("within 5 s", "first")
		time.Sleep(recheck)
		expect("after 5 s", "second")
		write("third!")
		f.Reread()
		expect("after a 403", "third!")
	})
}

func TestTokenFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing": filepath.Join(dir, "no"), "empty": file("empty", "\n"), "a folder": dir, "a pipe": pipe, "two words": file("two", "top secret"),
	} {
		if _, err := NewTokenFile(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
