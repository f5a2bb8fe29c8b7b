package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// everyCommand lists the commands that do something, by how they are called.
func everyCommand() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	list := newRootCommand(&app{}).Commands()
	for i := 0; i < len(list); i++ { // those within a command are appended
		list = append(list, list[i].Commands()...)
		if !list[i].Hidden && list[i].Name() != "help" {
			all[list[i].CommandPath()] = list[i]
		}
	}
	return all
}

// tableRows returns the first two cells of each row of the tables of a page.
func tableRows(t *testing.T, path string) (rows [][2]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.Contains(cells[1], "`") {
			rows = append(rows, [2]string{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
		}
	}
	return rows
}

// TestPagesKnowTheCommands: docs/commands.md has every command, and no flag that one lacks;
// docs/promises.md says that each may exit with 2, as it does for a flag that it does not know.
func TestPagesKnowTheCommands(t *testing.T) {
	codes := map[string]string{}
	for _, row := range tableRows(t, "../../docs/promises.md") {
		codes[strings.Trim(row[0], "`")] = row[1]
	}
	all := everyCommand()
	for path, cmd := range all {
		var out, errs bytes.Buffer
		args := append(strings.Fields(path)[1:], "--no-such-flag")
		if code := run(t.Context(), args, &out, &errs, config.Environment{}); code != exitUsage || !strings.Contains(errs.String(), "no-such-flag") {
			t.Errorf("%s: exit %d, %s", path, code, errs.String())
		}
		if top := strings.Fields(path)[1]; !strings.Contains(codes[top], "2") {
			t.Errorf("docs/promises.md: %s may exit with 2, and not only %s", top, codes[top])
		}
		if cmd.HasSubCommands() {
			delete(all, path) // it lists them
		}
	}
	named := map[string]bool{}
	for _, row := range tableRows(t, "../../docs/commands.md") {
		for _, complaint := range checkRow(row, named) {
			t.Errorf("docs/commands.md: %s: %s", row[0], complaint)
		}
	}
	for path := range all {
		if !named[path] {
			t.Errorf("docs/commands.md lacks %s", path)
		}
	}
}

// checkRow notes the commands of a row of docs/commands.md, and says which of its flags there
// are not: one in brackets behind a command is of that one, one of the second cell of any.
func checkRow(row [2]string, named map[string]bool) (complaints []string) {
	all := everyCommand()
	var group, last string
	var here []*cobra.Command
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[0], -1) {
		text := m[1]
		if rest, ok := strings.CutPrefix(text, "slotsync "); ok {
			words := strings.Fields(regexp.MustCompile(` [A-Z\[-].*`).ReplaceAllString(" "+rest, ""))
			last = strings.Join(append([]string{"slotsync"}, words...), " ")
			group = strings.TrimSuffix(last, " "+words[len(words)-1])
		} else if !strings.HasPrefix(text, "-") && all[group+" "+text] != nil {
			last = group + " " + text
		} else if strings.HasPrefix(text, "-") {
			if cmd := all[last]; cmd != nil && !hasFlag(cmd, text) {
				complaints = append(complaints, last+" has no "+text)
			}
			continue
		} else {
			complaints = append(complaints, "there is no command "+text)
		}
		if all[last] == nil {
			complaints = append(complaints, "there is no "+last)
			continue
		}
		named[last] = true
		here = append(here, all[last])
	}
	for _, m := range regexp.MustCompile("`(--[a-z-]+)[^`]*`").FindAllStringSubmatch(row[1], -1) {
		if !slices.ContainsFunc(here, func(cmd *cobra.Command) bool { return hasFlag(cmd, m[1]) }) {
			complaints = append(complaints, "none has "+m[1])
		}
	}
	return complaints
}

// hasFlag reports whether a command has a flag, written as "--for 30m" or "-o json".
func hasFlag(cmd *cobra.Command, text string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(text, "-"), " ")
	if strings.HasPrefix(text, "--") {
		return cmd.Flag(name) != nil
	}
	return cmd.Flags().ShorthandLookup(name) != nil
}
