package main

import (
	"fmt"
	"os"
	"strings"
)

// The table stands between these.
const begins, ends = "<!-- mutants -->\n", "<!-- /mutants -->"

// render makes the table of docs/proof.md.
func render(chosen []mutant, results []result) string {
	var b strings.Builder
	b.WriteString("| rule | how broken | what caught it |\n|---|---|---|\n")
	for i, m := range chosen {
		how := m.how
		if m.past {
			how = "*as it once was:* " + how
		}
		by := "**nothing**"
		if r := results[i]; r.err != nil {
			by = "**" + r.err.Error() + "**"
		} else if r.caught() {
			by = strings.Join(r.by, ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(m.rule), cell(how), cell(by))
	}
	return b.String()
}

// cell keeps text in its column.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

// insert returns the page with that table in the place of the one it has.
func insert(page, table string) (string, error) {
	before, rest, found := strings.Cut(page, begins)
	_, after, closed := strings.Cut(rest, ends)
	if !found || !closed {
		return "", fmt.Errorf("the page has no place for the table, from %q to %q", strings.TrimSpace(begins), ends)
	}
	return before + begins + table + ends + after, nil
}

func writePage(path, table string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := insert(string(page), table)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
