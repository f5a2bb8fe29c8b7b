package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a source for service of all YAML files in dir.
func open(t *testing.T, dir, service string) *Source {
	t.Helper()
	return source(t, files(t, dir), service)
}

func files(t *testing.T, dir string) *Files {
	t.Helper()
	f, err := New(Options{Path: filepath.Join(dir, "*.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func source(t *testing.T, f *Files, service string) *Source {
	t.Helper()
	s, err := f.Source(Query{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unwatched makes f one whose changes are not noticed.
func unwatched(f *Files) *Files {
	f.newWatcher = func(string) (*watcher, error) { return nil, errors.New("too many open files") }
	return f
}

// group is a file with these targets.
func group(hosts ...int) string {
	if len(hosts) == 0 {
		return "[]"
	}
	var b strings.Builder
	b.WriteString("- targets:\n")
	for _, n := range hosts {
		fmt.Fprintf(&b, "  - 10.0.%d.%d:80\n", n>>8, n&255)
	}
	return b.String()
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace writes the file under another name and renames it.
func replace(t *testing.T, dir, name, text string) {
	t.Helper()
	write(t, dir, "."+name+".new", text)
	do(t, os.Rename(filepath.Join(dir, "."+name+".new"), filepath.Join(dir, name)))
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
