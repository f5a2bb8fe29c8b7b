package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// TestPipeKeepsNobodyWaiting: what is no file has a deadline, and can still be the
// configuration of who writes it in time.
func TestPipeKeepsNobodyWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), "is a pipe, and nobody writes to it") {
		t.Errorf("without a writer: %v", err)
	}
	if err := auth.CheckConfig(path); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("http.web_config_file: %v", err)
	}
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := readWithin(path, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end within 10ms") {
		t.Errorf("with one that does not end: %v", err)
	}
	r, w, err := os.Pipe() // as standard input
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const text = "state_dir: none\n"
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := readFile(fmt.Sprintf("/dev/fd/%d", r.Fd())); string(got) != text || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
