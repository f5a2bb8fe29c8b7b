package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

func TestDiagnose(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hourAgo := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, hourAgo, hourAgo); err != nil {
			t.Fatal(err)
		}
	}
	files, err := New(Options{Path: filepath.Join(dir, "*.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := files.Source(Query{Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	found := func() []string {
		var out []string
		for _, f := range discovery.Diagnose(t.Context(), s) {
			out = append(out, f.Verdict+" "+f.Text)
		}
		return out
	}
	if got := found(); len(got) != 1 || !strings.HasPrefix(got[0], "fail no file matches ") {
		t.Errorf("none: %q", got)
	}
	write("web.yaml", `[{targets: ["10.0.0.1:80", "10.0.0.2:80"]}]`)
	write("api.yaml", `[{targets: ["10.0.0.3:80"]}]`)
	got := found()
	if len(got) != 2 || !strings.HasPrefix(got[0], "ok api.yaml, 0 targets of this service, changed ") ||
		!strings.HasPrefix(got[1], "ok web.yaml, 2 targets of this service, changed ") || !strings.Contains(got[1], "(1h0m0s ago)") {
		t.Errorf("two: %q", got)
	}
	write("bad.yaml", "{")
	if got := found(); len(got) != 3 || !strings.HasPrefix(got[1], "warn bad.yaml, 0 targets of this service: ") {
		t.Errorf("one is bad: %q", got)
	}
	for i := range 30 {
		write(string(rune('a'+i%26))+strings.Repeat("z", i/26+1)+".yaml", "[]")
	}
	if got := found(); len(got) != maxTold+1 || got[maxTold] != "ok 13 files more" {
		t.Errorf("many: %q", got[len(got)-1])
	}
}

// TestAbsenceNamesNoServer: the class is for machines, and a person would look for one.
func TestAbsenceNamesNoServer(t *testing.T) {
	for _, name := range []string{"*.yaml", "web.yaml"} {
		files, err := New(Options{Path: filepath.Join(t.TempDir(), name)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := files.Source(Query{Service: "web"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Confirm(t.Context())
		if discovery.ClassOf(err) != discovery.Server || strings.Contains(err.Error(), "server") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v of class %s", name, err, discovery.ClassOf(err))
		}
	}
}
