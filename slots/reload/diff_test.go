package reload

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestUnified(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"equal", "a\n", "a\n", ""},
		{"both empty", "", "", ""},
		{"from nothing", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"one line", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"no last line feed", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if want != "" {
				want = "--- x\n+++ y\n" + want
			}
			if got := unified("x", "y", c.a, c.b); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestDiffIsBounded compares texts that have nothing in common.
func TestDiffIsBounded(t *testing.T) {
	var a, b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&a, "a%d\n", i)
		fmt.Fprintf(&b, "b%d\n", i)
	}
	begun := time.Now()
	got := unified("x", "y", a.String(), b.String())
	if n := strings.Count(got, "\n"); n != 40_003 {
		t.Errorf("got %d lines", n)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestDiffOfVersions(t *testing.T) {
	s := newSite(t)
	tr := s.open(t)
	first := mustRun(t, tr, Request{Data: web(10)})
	mustRun(t, tr, Request{Data: web(20)})
	got, err := tr.Diff(first.Version, "")
	want := "--- " + first.Version + "\n+++ " + s.file() + "\n@@ -1,2 +1,2 @@\n backend web\n" +
		"-" + strings.SplitAfter(rendered(10), "\n")[1] + "+" + strings.SplitAfter(rendered(20), "\n")[1]
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := tr.Diff("", ""); err != nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, pair := range [][2]string{{"x", ""}, {"", "../../etc/passwd"}} {
		if got, err := tr.Diff(pair[0], pair[1]); err == nil {
			t.Errorf("got %q", got)
		}
	}
}
