package slotsync_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A caseRow is one line of the table in docs/discovery.md.
type caseRow struct {
	number string // as in C12
	what   string // happens
	does   string // slotsync
	tests  []string
}

// numbers lists every case that there is.
func numbers() []string {
	var all []string
	for _, series := range []struct {
		letter string
		last   int
	}{{"C", 61}, {"D", 45}, {"F", 7}, {"X", 12}} {
		for i := range series.last {
			all = append(all, series.letter+strconv.Itoa(i+1))
		}
	}
	return all
}

// readCases returns the rows of a page whose first cell is a number.
func readCases(page string) []caseRow {
	number := regexp.MustCompile(`^[CDFX]\d+$`)
	test := regexp.MustCompile("`(Test\\w+)`")
	var rows []caseRow
	for line := range strings.SplitSeq(page, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !number.MatchString(strings.TrimSpace(cells[1])) {
			continue
		}
		row := caseRow{number: strings.TrimSpace(cells[1]), what: strings.TrimSpace(cells[2]), does: strings.TrimSpace(cells[3])}
		for _, match := range test.FindAllStringSubmatch(cells[4], -1) {
			row.tests = append(row.tests, match[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// A testFile is what one file of tests has to do with numbered cases.
type testFile struct {
	functions []string
	literals  []string // the numbers that string literals begin with
}

// readTests returns what each file of tests has, and what is wrong with them.
func readTests(t *testing.T) []testFile {
	t.Helper()
	var files []testFile
	positions := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, "_test.go") || name == "cases_test.go":
			return nil
		}
		syntax, err := parser.ParseFile(positions, name, nil, parser.SkipObjectResolution)
		if err == nil {
			files = append(files, readTestFile(syntax))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readTestFile(syntax *ast.File) testFile {
	var file testFile
	number := regexp.MustCompile("^[\"`]([CDFX]\\d+) ")
	ast.Inspect(syntax, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			if node.Recv == nil && strings.HasPrefix(node.Name.Name, "Test") {
				file.functions = append(file.functions, node.Name.Name)
			}
		case *ast.BasicLit:
			if match := number.FindStringSubmatch(node.Value); match != nil {
				file.literals = append(file.literals, match[1])
			}
		}
		return true
	})
	return file
}

// bears reports whether the name of a test has number, as TestC12Budget has C12.
func bears(test, number string) bool {
	series := regexp.MustCompile(`^Test((?:[CDFX]\d+)+)(?:[A-Z_]|$)`).FindStringSubmatch(test)
	return series != nil && slices.Contains(regexp.MustCompile(`[CDFX]\d+`).FindAllString(series[1], -1), number)
}

// checkCases says what the table lacks, one line each.
func checkCases(rows []caseRow, files []testFile) []string {
	var complaints, seen []string
	for _, row := range rows {
		seen = append(seen, row.number)
		if row.what == "" || row.does == "" || len(row.tests) == 0 {
			complaints = append(complaints, row.number+": what happens, what slotsync does, and a test")
		}
		for _, test := range row.tests {
			proves := func(f testFile) bool {
				return slices.Contains(f.functions, test) && (bears(test, row.number) || slices.Contains(f.literals, row.number))
			}
			if !slices.ContainsFunc(files, proves) {
				complaints = append(complaints, fmt.Sprintf("%s: no %s that bears this number, nor has %q in its file", row.number, test, row.number+" …"))
			}
		}
	}
	if want := numbers(); !slices.Equal(seen, want) {
		lacking := slices.DeleteFunc(want, func(n string) bool { return slices.Contains(seen, n) })
		complaints = append(complaints, fmt.Sprintf("%d rows, which lack %v, or are out of order or there twice", len(seen), lacking))
	}
	return complaints
}

// TestEveryCaseIsProved holds the table of docs/discovery.md against the tests: it
// has every case, and each names tests that there are.
func TestEveryCaseIsProved(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "discovery.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range checkCases(readCases(string(page)), readTests(t)) {
		t.Error(complaint)
	}
}

func TestCheckCasesSeesWhatIsMissing(t *testing.T) {
	var table strings.Builder
	file := testFile{}
	for _, n := range numbers() {
		fmt.Fprintf(&table, "| %s | something | something else | `Test%[1]sHolds` |\n", n)
		file.functions = append(file.functions, "Test"+n+"Holds")
	}
	table.WriteString("| what | else | is | said |\n")
	whole := table.String()
	table1 := strings.Replace(whole, "TestC12Holds", "TestTable", 1)
	other := testFile{functions: []string{"TestTable"}, literals: []string{"C12"}}
	cases := []struct {
		name, table string
		files       []testFile
		complaints  int
	}{
		{"all is there", whole, []testFile{file}, 0},
		{"a literal in the same file", table1, []testFile{file, other}, 0},
		{"a literal in another file", table1, []testFile{file, {functions: []string{"TestTable"}}, {literals: []string{"C12"}}}, 1},
		{"a test of another number", strings.Replace(whole, "TestC12Holds", "TestC1Holds", 1), []testFile{file}, 1},
		{"no test", strings.Replace(whole, "`TestX3Holds`", "", 1), []testFile{file}, 1},
		{"no such test", whole, []testFile{{functions: file.functions[1:]}}, 1},
		{"a row is missing", strings.Replace(whole, "| D7 |", "| |", 1), []testFile{file}, 1},
		{"no table", "", []testFile{file}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := checkCases(readCases(c.table), c.files); len(got) != c.complaints {
				t.Errorf("got %d complaints, want %d: %q", len(got), c.complaints, got)
			}
		})
	}
}

func TestBears(t *testing.T) {
	for test, want := range map[string]bool{
		"TestC12Budget": true, "TestC12_budget": true, "TestC12": true, "TestC11C12Both": true,
		"TestC120Budget": false, "TestC1Budget": false, "TestC12budget": false, "TestBudgetC12": false,
	} {
		if bears(test, "C12") != want {
			t.Errorf("%s bears C12: want %v", test, want)
		}
	}
}
