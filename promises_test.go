package slotsync_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// section returns the text of a page below a heading, up to the next one of its level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// firstCells returns the first cell of every row of the tables in text.
func firstCells(text string) (cells []string) {
	for line := range strings.SplitSeq(text, "\n") {
		parts := strings.Split(line, "|")
		if len(parts) > 3 && !strings.HasPrefix(parts[1], "---") {
			cells = append(cells, strings.TrimSpace(parts[1]))
		}
	}
	return cells[1:]
}

// bullets returns the items of the list in text, each in one line.
func bullets(text string) (items []string) {
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, "* "):
			items = append(items, strings.TrimPrefix(line, "* "))
		case strings.HasPrefix(line, "  ") && len(items) > 0:
			items[len(items)-1] += " " + strings.TrimSpace(line)
		}
	}
	return items
}

// commands returns the names of the commands that the program has, as its sources say.
func commands(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("cmd", "slotsync", "root.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`new([A-Z]\w*)Command\(a\)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, strings.ToLower(m[1]))
	}
	return names
}

// TestEveryPromiseIsProved: what docs/trouble.md says, what the architecture page
// promises, and what commands exit with stand in docs/promises.md with tests that there
// are, and nothing else does.
func TestEveryPromiseIsProved(t *testing.T) {
	page := filepath.Join("docs", "promises.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range unproved(string(text), readTests(t)) {
		t.Error(complaint)
	}
	same := func(what string, want, got []string, is func(want, got string) bool) {
		for i, w := range want {
			if i >= len(got) || !is(w, got[i]) {
				t.Errorf("%s: row %d of docs/promises.md is not %q", what, i+1, w)
				return
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
		}
	}
	equal := func(want, got string) bool { return want == got }
	same("docs/trouble.md", firstCells(section(t, filepath.Join("docs", "trouble.md"), "When things go wrong")), firstCells(section(t, page, "When things go wrong")), equal)
	same("docs/architecture.md", bullets(section(t, filepath.Join("docs", "architecture.md"), "Promised")), firstCells(section(t, page, "Promised")), strings.HasPrefix)
	listed := map[string]bool{}
	for _, c := range firstCells(section(t, page, "Exit codes")) {
		listed[strings.ReplaceAll(strings.Trim(c, "`"), "-", "")] = true
	}
	for _, name := range commands(t) {
		if !listed[name] {
			t.Errorf("the exit codes of %s are not in docs/promises.md", name)
		}
	}
}
