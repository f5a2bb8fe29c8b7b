package securedir

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limited is set for the process in which no file may be larger than that.
const limited = "SECUREDIR_TEST_LIMIT"

// TestAppendTakesBackWhatIsCutShort: of a line that finds room for a part of it nothing stays,
// and the next that fits is a line of its own.
func TestAppendTakesBackWhatIsCutShort(t *testing.T) {
	if path := os.Getenv(limited); path != "" {
		appendLimited(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(os.Args[0], "-test.run=^TestAppendTakesBackWhatIsCutShort$", "-test.v") // the limit is of a process
	cmd.Env = append(os.Environ(), limited+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "first\nthird\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func appendLimited(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ)
	dir, err := Policy{}.Open(filepath.Dir(path))
	must(t, err)
	defer dir.Close()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	whole := limit.Cur
	limit.Cur = 100
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	for _, c := range []struct {
		line string
		want error
	}{{"first\n", nil}, {strings.Repeat("second", 20) + "\n", syscall.EFBIG}, {"third\n", nil}} {
		if err := dir.Append(filepath.Base(path), []byte(c.line), 0o600); !errors.Is(err, c.want) {
			t.Errorf("%.10q: %v", c.line, err)
		}
	}
	limit.Cur = whole // for what the test writes about itself
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
}
