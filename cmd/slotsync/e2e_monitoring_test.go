package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const monitoring = "../../examples/monitoring/"

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alertNames are the alerts of the rules, in their order.
func alertNames(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readText(t, monitoring+"alerts.yaml"), -1) {
		names = append(names, m[1])
	}
	if len(names) < 15 {
		t.Fatalf("the rules have %d alerts", len(names))
	}
	return names
}

// TestRules has promtool run the tests of the rules, of which there has to be one for each alert, as there has to be a
// real cause.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "rules", monitoring+"alerts.yaml")
	promtool(t, nil, "test", "rules", monitoring+"alerts_test.yaml")
	names, tests, causes := alertNames(t), readText(t, monitoring+"alerts_test.yaml"), []string{}
	for _, c := range alertCases() {
		causes = append(causes, c.alert)
	}
	if !slices.Equal(causes, names) {
		t.Errorf("there are causes of %v, and the alerts %v", causes, names)
	}
	for _, name := range names {
		if !strings.Contains(tests, "- name: "+name+"\n") {
			t.Errorf("alerts_test.yaml has no test of %s", name)
		}
	}
}

// TestSeriesAreThere holds what the rules and the dashboard ask for against what a real agent exposes, which has to
// please promtool, too.
func TestSeriesAreThere(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, "", "", 10)
	m.scrape()
	promtool(t, []byte(m.exposed), "check", "metrics")
	known := labelsOf(ownSeries(m.exposed))
	for _, c := range []struct{ query, fault string }{
		{"slotsync_no_such", "no series slotsync_no_such"}, {`slotsync_paused{backend="web"}`, "slotsync_paused has no label backend"},
		{`sum by (backend) (slotsync_paused)`, "no series has a label backend"}, {`slotsync_guard_held{kind="gone"}`, "slotsync_guard_held has no kind gone"},
	} {
		if got := strange(c.query, known); !strings.Contains(got, c.fault) {
			t.Errorf("of %s is said %q, want %q", c.query, got, c.fault)
		}
	}
	queries := append(ruleQueries(t), dashboardQueries(t)...)
	if len(queries) < 40 {
		t.Fatalf("%d queries", len(queries))
	}
	for _, q := range queries {
		if fault := strange(q, known); fault != "" {
			t.Errorf("%s: %s", q, fault)
		}
	}
}

// labelsOf are the values of each label, by series.
func labelsOf(series map[string]string) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for s := range series {
		name, labels, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
		if out[name] == nil {
			out[name] = map[string][]string{"instance": nil, "job": nil} // Prometheus adds them
		}
		for _, m := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(labels, -1) {
			out[name][m[1]] = append(out[name][m[1]], m[2])
		}
	}
	return out
}

// strange says what a query or a text asks for that there is not.
func strange(query string, known map[string]map[string][]string) string {
	var faults []string
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(slotsync_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(query, -1) {
		labels, ok := known[m[1]]
		if !ok {
			faults = append(faults, "there is no series "+m[1])
		}
		for name := range labels {
			used[name] = true
		}
		for _, l := range regexp.MustCompile(`(\w+)(=~|!=|=)"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			values, ok := labels[l[1]]
			if !ok {
				faults = append(faults, fmt.Sprintf("%s has no label %s", m[1], l[1]))
			} else if l[2] != "=~" && !slices.Contains(values, l[3]) {
				faults = append(faults, fmt.Sprintf("%s has no %s %s", m[1], l[1], l[3]))
			}
		}
	}
	groups := regexp.MustCompile(`\b(?:by|without|on) ?\(([^)]*)\)|\$labels\.(\w+)|\{\{(\w+)\}\}`)
	for _, m := range groups.FindAllStringSubmatch(query, -1) {
		for name := range strings.FieldsFuncSeq(m[1]+","+m[2]+","+m[3], func(r rune) bool { return r == ',' || r == ' ' }) {
			if !used[name] && len(used) > 0 {
				faults = append(faults, "no series has a label "+name)
			}
		}
	}
	return strings.Join(faults, "; ")
}

// ruleQueries are the rules with what is said of them.
func ruleQueries(t *testing.T) []string {
	t.Helper()
	return strings.Split(readText(t, monitoring+"alerts.yaml"), "- alert:")[1:]
}

// dashboardQueries are the queries with their legends.
func dashboardQueries(t *testing.T) (out []string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct{ List []struct{ Definition string } }
	}
	if err := json.Unmarshal([]byte(readText(t, monitoring+"dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			out = append(out, q.Expr+" "+q.LegendFormat)
		}
	}
	for _, v := range d.Templating.List {
		out = append(out, v.Definition)
	}
	return out
}

// TestDashboard reads the dashboard with Grafana's own types.
func TestDashboard(t *testing.T) {
	t.Parallel()
	check := func(text string) error {
		cmd := exec.CommandContext(t.Context(), "go", "run", "-C", "../../tools/dashboard", ".")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	text := readText(t, monitoring+"dashboard.json")
	if err := check(text); err != nil {
		t.Error(err)
	}
	if check(strings.Replace(text, `"graphMode"`, `"graphMod"`, 1)) == nil {
		t.Error("a field that Grafana does not know is taken")
	}
}

// TestRunbook: each alert has its entry, in their order, and the annotation leads there. What is shown is a command.
func TestRunbook(t *testing.T) {
	t.Parallel()
	page, rules := readText(t, "../../docs/runbook.md"), readText(t, monitoring+"alerts.yaml")
	var entries []string
	for _, part := range strings.Split(page, "\n## ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		entries = append(entries, name)
		for _, word := range []string{"**Means.**", "**Affected.**", "**Look.**", "```sh\n", "**Do.**", "**Do not**"} {
			if !strings.Contains(text, word) {
				t.Errorf("%s lacks %s", name, word)
			}
		}
		if !strings.Contains(rules, "/docs/runbook.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("no alert leads to %s", name)
		}
	}
	if names := alertNames(t); !slices.Equal(entries, names) {
		t.Errorf("there are entries for %v, and the alerts %v", entries, names)
	}
	shown := regexp.MustCompile("(?m)`(slotsync [a-z][^`\n]*)`|^(slotsync .*)$").FindAllStringSubmatch(page, -1)
	if len(shown) < 40 {
		t.Fatalf("the page shows %d commands", len(shown))
	}
	for _, m := range shown {
		if err := parses(m[1] + m[2]); err != nil {
			t.Errorf("%s%s: %v", m[1], m[2], err)
		}
	}
	if parses("slotsync statuses") == nil || parses("slotsync status --nothing") == nil {
		t.Error("what is no command is taken for one")
	}
}

// parses reports what is wrong with a command line.
func parses(line string) error {
	var args []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		args = append(args, m[1]+m[2])
	}
	root := newRootCommand(&app{stdout: io.Discard, stderr: io.Discard})
	cmd, rest, err := root.Find(args[1:])
	if err != nil {
		return err
	}
	if cmd == root || !cmd.Runnable() {
		return fmt.Errorf("there is no such command")
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return checkArgs(cmd)
}

// checkArgs checks the arguments that are no flags.
func checkArgs(cmd *cobra.Command) error {
	if cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, cmd.Flags().Args())
}
