package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slotsync/slotsync/agent/web"
)

// A parityRow is one line of a table in docs/prior-art.md.
type parityRow struct{ operation, command, call, tests string }

// parityRows reads the tables.
func parityRows(t *testing.T) []parityRow {
	t.Helper()
	page, err := os.ReadFile("../../docs/prior-art.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []parityRow
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 6 && strings.Contains(cells[2], "`slotsync") {
			rows = append(rows, parityRow{cells[1], cells[2], cells[3], cells[4]})
		}
	}
	if len(rows) < 50 {
		t.Fatalf("docs/prior-art.md has %d rows", len(rows))
	}
	return rows
}

// quoted returns what stands in backquotes.
func quoted(cell string) []string {
	var all []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestPriorArtIsThere: each operation of docs/prior-art.md names a command with its
// flags, an HTTP call and tests that there are.
func TestPriorArtIsThere(t *testing.T) {
	allowed := allowedMethods(t)
	for _, row := range parityRows(t) {
		commands, calls, tests := quoted(row.command), quoted(row.call), quoted(row.tests)
		if len(commands) == 0 || len(calls) == 0 || len(tests) == 0 {
			t.Errorf("%s: the row has no command, no call or no test", row.operation)
		}
		for _, c := range commands {
			checkCommand(t, c)
		}
		for _, c := range calls {
			method, path, _ := strings.Cut(c, " ")
			if !slices.Contains(allowed(path), method) {
				t.Errorf("%s: nothing answers %s", row.operation, c)
			}
		}
		for _, name := range tests {
			checkTest(t, name)
		}
	}
}

// checkCommand fails if there is no such command, if it does not know a flag, or if it
// wants more than the line has.
func checkCommand(t *testing.T, line string) {
	t.Helper()
	args := strings.Fields(line)[1:]
	cmd, rest, err := newRootCommand(&app{stdout: io.Discard, stderr: io.Discard}).Find(args)
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if len(cmd.Commands()) > 0 && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("%s: %s has no command %s", line, cmd.CommandPath(), rest[0])
	}
	for _, arg := range rest {
		if name, ok := strings.CutPrefix(arg, "--"); ok && name != "help" && cmd.Flag(name) == nil {
			t.Errorf("%s: there is no flag %s", line, arg)
		}
	}
	if cmd.Flag("file") != nil && !slices.Contains(rest, "--file") {
		t.Errorf("%s: it wants --file", line)
	}
	err = cmd.ParseFlags(rest)
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// checkTest fails if there is no parity script or test of this name.
func checkTest(t *testing.T, name string) {
	t.Helper()
	if strings.HasSuffix(name, ".txtar") {
		if !exists(filepath.Join("testdata/parity", name)) {
			t.Errorf("there is no parity script %s", name)
		}
		return
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return
		}
	}
	t.Errorf("there is no test %s", name)
}

// allowedMethods serves the API of an agent that is not there, and returns what asks
// it for the methods of a path: a wrong one is answered with the right ones (RFC 9110
// section 15.5.6).
func allowedMethods(t *testing.T) func(path string) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "api.sock")
	server, err := web.New(web.Options{Socket: socket, Metrics: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return func(path string) []string { return askAllowed(t, client, path) }
}

func askAllowed(t *testing.T, client *http.Client, path string) []string {
	t.Helper()
	path = regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, "x")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return strings.Split(resp.Header.Get("Allow"), ", ")
}

// TestEveryCommandHasHelp: a line, an example that calls it, and a word on each flag.
func TestEveryCommandHasHelp(t *testing.T) {
	root := newRootCommand(&app{stdout: io.Discard, stderr: io.Discard})
	eachCommand(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short is %q", path, cmd.Short)
		}
		if !strings.Contains(cmd.Example, path) && cmd != root {
			t.Errorf("%s: no example calls it:\n%s", path, cmd.Example)
		}
		for line := range strings.Lines(cmd.Example) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "slotsync ") && !strings.ContainsAny(line, `"'>|`) {
				line, _, _ = strings.Cut(line, " #")
				checkCommand(t, line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: nothing says what --%s is", path, f.Name)
			}
		})
	})
}

// TestEveryJSONIsDocumented: docs/json.md has the commands that print it, and no others.
func TestEveryJSONIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `slotsync ") && !strings.Contains(line, " --") {
			said = append(said, quoted(line)[0])
		}
	}
	var are []string
	eachCommand(newRootCommand(&app{stdout: io.Discard, stderr: io.Discard}), func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("output") != nil {
			are = append(are, cmd.CommandPath())
		}
	})
	slices.Sort(said)
	slices.Sort(are)
	if diff := cmp.Diff(are, said); diff != "" {
		t.Errorf("docs/json.md (-commands +page):\n%s", diff)
	}
}
