package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTableFits tells at once when code that the table breaks has moved.
func TestTableFits(t *testing.T) {
	root := rootOf(t)
	seen := map[string]bool{}
	past := 0
	for _, m := range table() {
		if _, err := m.apply(root); err != nil {
			t.Error(err)
		}
		if m.rule == "" || m.how == "" || len(m.tests) == 0 {
			t.Errorf("%+v: a rule, how it is broken and tests that notice are needed", m)
		}
		if seen[m.rule] {
			t.Errorf("%q stands twice in the table", m.rule)
		}
		seen[m.rule] = true
		if m.past {
			past++
		}
	}
	if n := len(seen); n < 45 || past < 12 {
		t.Errorf("%d rules, %d of them broken as they once were: want 45 and 12 at least", n, past)
	}
}

// TestTableNamesTests: go test -run passes over a name that there is not.
func TestTableNamesTests(t *testing.T) {
	root := rootOf(t)
	there := map[string]string{} // the tests of each package
	for _, m := range table() {
		for _, u := range m.tests {
			if there[u.pkg] == "" {
				there[u.pkg] = testsOf(t, filepath.Join(root, u.pkg))
			}
			for _, name := range u.names() {
				if !strings.Contains(there[u.pkg], "\nfunc "+name+"(t *testing.T)") {
					t.Errorf("%q: %s has no %s", m.rule, u.pkg, name)
				}
			}
		}
	}
}

func rootOf(t *testing.T) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func testsOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests (%v)", folder, err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestPageHasTheTable: docs/proof.md is of this table.
func TestPageHasTheTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(rootOf(t), "docs", "proof.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), begins)
	rest, _, closed := strings.Cut(rest, ends)
	if !found || !closed {
		t.Fatal("docs/proof.md has no place for the table")
	}
	rows := strings.Split(strings.TrimSpace(rest), "\n")[2:]
	list := table()
	if len(rows) != len(list) {
		t.Fatalf("docs/proof.md has %d rules, the table %d: make mutate writes it", len(rows), len(list))
	}
	for i, m := range list {
		if want := "| " + cell(m.rule) + " | "; !strings.HasPrefix(rows[i], want) {
			t.Errorf("row %d of docs/proof.md is not %q: make mutate writes it", i+1, want)
		}
		if strings.Contains(rows[i], "**") {
			t.Errorf("docs/proof.md: nothing notices: %s", rows[i])
		}
	}
}

func TestApply(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		edits []edit
		want  string // "": it fails
	}{
		{"once", []edit{{"one", "1"}}, "1 two two"},
		{"one after the other", []edit{{"one two", "x"}, {"two", "2"}}, "x 2"},
		{"twice", []edit{{"two", "2"}}, ""},
		{"never", []edit{{"three", "3"}}, ""},
		{"no change", []edit{{"one", "one"}}, ""},
		{"nothing", nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := mutant{rule: "r", file: "a.go", edits: c.edits}.apply(root)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestUnderstand(t *testing.T) {
	failed := errors.New("exit status 1")
	cases := []struct {
		name, said string
		err        error
		want       string
		broken     error
	}{
		{"passed", "ok  \tx\t0.1s\n", nil, "", nil},
		{"failed", "--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/sub (0.00s)\n--- FAIL: TestA (0.00s)\nFAIL\n", failed, "TestB, TestA", nil},
		{"indented", "    --- FAIL: TestB/sub (0.00s)\nFAIL\n", failed, "", errUnknownEnd},
		{"panic in a test", "--- FAIL: TestA (0.00s)\npanic: x [recovered]\n\tpanic: x\n", failed, "TestA", nil},
		{"panic elsewhere", "panic: close of closed channel\n\ngoroutine 7\nFAIL\tx\t0.1s\n", failed, inPanic, nil},
		{"the runtime", "fatal error: all goroutines are asleep - deadlock!\n", failed, inPanic, nil},
		{"too long", "panic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\nFAIL\tx\t1s\n", failed, outOfTime, nil},
		{"killed", "", errors.New("signal: killed"), outOfTime, nil},
		{"compiler", "# x\n./a.go:1:1: undefined: y\nFAIL\tx [build failed]\n", failed, "", errNotCompiled},
		{"setup", "# x\nFAIL\tx [setup failed]\n", failed, "", errNotCompiled},
		{"the go command", "go: unknown flag\n", failed, "", errUnknownEnd},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := understand(c.said, c.err)
			if by := strings.Join(got.by, ", "); by != c.want || !errors.Is(got.broken, c.broken) {
				t.Errorf("got %q, %v; want %q, %v", by, got.broken, c.want, c.broken)
			}
		})
	}
}

func TestSeedIn(t *testing.T) {
	for said, want := range map[string]string{
		"    simulation_test.go:12: seed 123: x\n    simulation_test.go:12: seed 5: y\n": "seed 123 of the simulation",
		"seed 9: x\n":                "seed 9 of the simulation",
		"every seed passed\n":        "",
		"    note of seed 7: well\n": "",
	} {
		if got := seedIn(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

func TestRender(t *testing.T) {
	list := []mutant{{rule: "a|b", how: "not"}, {rule: "c", how: "as if", past: true}, {rule: "d", how: "e"}}
	got := render(list, []result{{by: []string{"seed 3 of the simulation", "TestA"}}, {}, {err: errNotCompiled}})
	want := "| rule | how broken | what caught it |\n|---|---|---|\n" +
		"| a\\|b | not | seed 3 of the simulation, TestA |\n" +
		"| c | *as it once was:* as if | **nothing** |\n" +
		"| d | e | **does not compile** |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	page, err := insert("x\n"+begins+"old\n"+ends+"y\n", got)
	if err != nil || page != "x\n"+begins+want+ends+"y\n" {
		t.Errorf("got %v\n%s", err, page)
	}
	if _, err := insert("no table\n", got); err == nil {
		t.Error("a page without a place for the table was taken")
	}
}

func TestVerdict(t *testing.T) {
	list := []mutant{{rule: "a", past: true}, {rule: "b", file: "b.go", how: "so"}}
	var out strings.Builder
	err := verdict(&out, list, []result{{by: []string{"TestA"}}, {}})
	if err == nil || !regexp.MustCompile(`nothing notices: b \(b.go: so\)\n2 rules were broken, 1 of them as they once were; 1 survived`).MatchString(out.String()) {
		t.Errorf("got %v, %q", err, out.String())
	}
	if err := verdict(&out, list, []result{{by: []string{"TestA"}}, {by: []string{outOfTime}}}); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	for _, args := range []string{"-sim -tests", "-write x -only y", "-j 0", "-seeds 0", "-only (", "more"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
	if o, err := parse([]string{"-seeds=7", "-only=guard"}); err != nil || (mutant{}).seeds(o) != 7 || (mutant{past: true}).seeds(o) != pastSeeds {
		t.Errorf("got %+v, %v", o, err)
	}
}
