package slotsync_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unproved lists the rows of a page's tables that name no test, or one that is not there,
// or that have another number of cells.
func unproved(page string, files []testFile) []string {
	var complaints []string
	rows := 0
	test := regexp.MustCompile("`(Test\\w+)`")
	for line := range strings.SplitSeq(page, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "|") {
			continue
		}
		cells := strings.Split(strings.ReplaceAll(line, `\|`, ""), "|")
		if len(cells) != 5 {
			complaints = append(complaints, fmt.Sprintf("%d cells: %s", len(cells)-2, line))
			rows++
			continue
		}
		if strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[3]) == "test" {
			continue
		}
		rows++
		named := test.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			complaints = append(complaints, fmt.Sprintf("no test: %s", cells[1]))
		}
		for _, match := range named {
			if !slices.ContainsFunc(files, func(f testFile) bool { return slices.Contains(f.functions, match[1]) }) {
				complaints = append(complaints, fmt.Sprintf("no such test: %s of %s", match[1], cells[1]))
			}
		}
	}
	if rows == 0 {
		complaints = append(complaints, "no rows")
	}
	return complaints
}

// TestHAProxyPageIsProved: every statement of docs/haproxy.md names tests that there are.
func TestHAProxyPageIsProved(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "haproxy.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := readTests(t)
	for _, complaint := range unproved(string(page), files) {
		t.Error(complaint)
	}
	if !strings.Contains(string(page), "`TestProgram`") {
		t.Error("the text about programs names no test")
	}
	for _, bad := range []string{
		"", "| a | b | `TestNothingLikeThis` |\n", "| a | b | none |\n",
		"| a | `TestProgram` |\n", "| a | b | c | `TestProgram` |\n", "| a | b | `TestProgram`\n",
	} {
		if len(unproved(bad, files)) != 1 {
			t.Errorf("%q is proved", bad)
		}
	}
}
