package reload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestUnified(t *testing.T) {
	numbers := func(n int, except map[int]string) string {
		var b strings.Builder
		for i := 1; i <= n; i++ {
			line, ok := except[i]
			if !ok {
				line = fmt.Sprintf("%d\n", i)
			}
			b.WriteString(line)
		}
		return b.String()
	}
	for _, c := range []struct{ name, a, b, want string }{
		{"equal", "a\n", "a\n", ""},
		{"both empty", "", "", ""},
		{"from nothing", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"to nothing", "a\n", "", "@@ -1 +0,0 @@\n-a\n"},
		{"one line", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"no last line feed", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		{"in the middle", numbers(20, nil), numbers(20, map[int]string{10: "x\n"}),
			"@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+x\n 11\n 12\n 13\n"},
		{"near each other", numbers(20, nil), numbers(20, map[int]string{5: "", 12: "x\n"}),
			"@@ -2,14 +2,13 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n 9\n 10\n 11\n-12\n+x\n 13\n 14\n 15\n"},
		{"far from each other", numbers(20, nil), numbers(20, map[int]string{5: "", 13: "x\n"}),
			"@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n@@ -10,7 +9,7 @@\n 10\n 11\n 12\n-13\n+x\n 14\n 15\n 16\n"},
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

// TestDiffProperties: what the edits keep and take is a, what they keep and add
// is b, and no line is kept that need not be changed twice.
func TestDiffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "d\n"}), 0, 40)
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		var old, new []string
		changed := 0
		for _, e := range diff(a, b) {
			if e.op != '+' {
				old = append(old, e.line)
			}
			if e.op != '-' {
				new = append(new, e.line)
			}
			if e.op != ' ' {
				changed++
			}
		}
		if strings.Join(old, "") != strings.Join(a, "") || strings.Join(new, "") != strings.Join(b, "") {
			t.Errorf("the edits make %q of %q", new, old)
		}
		if shortest := len(a) + len(b) - 2*common(a, b); changed != shortest {
			t.Errorf("%d lines changed, %d would do", changed, shortest)
		}
	})
}

// common returns how many lines the longest common subsequence has.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
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
