package reload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		name  string
		argv  []string
		words string
		says  string
	}{
		{"both outputs", []string{"sh", "-c", "echo out; echo err >&2"}, "out\nerr", ""},
		{"no shell", []string{"echo", "$HOME;", "x"}, "$HOME; x", ""},
		{"code", []string{"sh", "-c", "echo no; exit 3"}, "no", "sh: exit status 3"},
		{"missing", []string{"/nowhere/x"}, "", "/nowhere/x: "},
		{"none", nil, "", "no program"},
		{"much", []string{"sh", "-c", "yes | head -c 1000000"}, strings.TrimSpace(strings.Repeat("y\n", maxWords/2)), ""},
		{"escapes", []string{"printf", `a\033[2Jb`}, "a[2Jb", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			words, err := Command(c.argv).Reload(t.Context())
			if words != c.words {
				t.Errorf("got %q, want %q", shorten(words), shorten(c.words))
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	if got := Command([]string{"systemctl", "reload", "haproxy"}).String(); got != "systemctl reload haproxy" {
		t.Errorf("got %q", got)
	}
}

// TestCommandKilled proves that the end of the context ends what the program has
// started too: its children hold the pipe that is read here.
func TestCommandKilled(t *testing.T) {
	p := pipe(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		defer cancel(errors.New("enough"))
		p.Read(make([]byte, 1))
	}()
	begun := time.Now()
	_, err := Command([]string{"sh", "-c", "sh -c 'echo > $0; sleep 100' $0 & wait", p.path}).Reload(ctx)
	if err == nil || !strings.Contains(err.Error(), "sh was killed: enough") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestCommandLeavesADaemon proves that a program which leaves somebody behind, as
// "haproxy -D -sf" does, is done when it has ended.
func TestCommandLeavesADaemon(t *testing.T) {
	t.Parallel()
	words, err := Command([]string{"sh", "-c", "sleep 3 & echo started"}).Reload(t.Context())
	if err != nil || words != "started" {
		t.Errorf("got %q, %v", words, err)
	}
}

// A fifo is a pipe with a name, so that programs find it.
type fifo struct {
	*os.File
	path string
}

func pipe(t *testing.T) fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fifo{f, path}
}
