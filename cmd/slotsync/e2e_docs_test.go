package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// operatingWorld is what the commands of docs/operating.md meet.
const operatingWorld = `haproxy one 3.0 master
haproxy two 3.0
consul start
consul register a 127.9.0.1 80
consul register b 127.9.0.2 80
consul register c 127.9.0.3 80
template slotsync.yaml
agent a run --config slotsync.yaml
servers one '^web1 127.9.0.1:80 4\nweb2 127.9.0.2:80 4\nweb3 127.9.0.3:80 4$'
servers two '^web1 127.9.0.1:80 4\nweb2 127.9.0.2:80 4\nweb3 127.9.0.3:80 4$'
%s
# Nothing of it is left.
servers one '^web1 127.9.0.1:80 4\nweb2 127.9.0.2:80 4\nweb3 127.9.0.3:80 4$'
servers two '^web1 127.9.0.1:80 4\nweb2 127.9.0.2:80 4\nweb3 127.9.0.3:80 4$'
-- slotsync.yaml --
haproxy:
  resync: 1s
  instances:
    - {name: edge-1, socket: $one}
    - {name: edge-2, socket: $two, reload: none}
reload: {master: $one_master, file: $one_file, check: [$one_binary, -c, -f, "{{.File}}"], jitter: 0s}
sources:
  - {name: consul, type: consul, address: $CONSUL}
backends:
  - {name: web, source: consul, service: web, guard: {empty_hold: 0s, removal_hold: 0s}}
`

// TestOperating runs every command of docs/operating.md, in its order, on two HAProxies.
func TestOperating(t *testing.T) {
	var lines []string
	for _, line := range shellLines(t, "../../docs/operating.md", 30) {
		lines = append(lines, scripted(line))
	}
	runOperating(t, lines)
}

// TestRunbookCommands runs every command of docs/runbook.md that is slotsync's own. What it exits with
// depends on the trouble, but for 2: that there is no such command.
func TestRunbookCommands(t *testing.T) {
	var lines []string
	for _, line := range shellLines(t, "../../docs/runbook.md", 30) {
		if command := scripted(line); strings.HasPrefix(command, "exits 0 slotsync ") && !slices.Contains(lines, command) {
			lines = append(lines, command)
		}
	}
	for i, line := range lines {
		lines[i] = strings.Replace(line, "exits 0 ", "exits 0|1|3 ", 1)
	}
	runOperating(t, lines)
}

// shellLines returns what a page's blocks for a shell say, at least that many lines.
func shellLines(t *testing.T, page string, least int) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	if len(lines) < least {
		t.Fatalf("%s shows %d commands", page, len(lines))
	}
	return lines
}

// runOperating runs lines of a script in the world of docs/operating.md.
func runOperating(t *testing.T, lines []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "operating.txtar")
	if err := os.WriteFile(file, fmt.Appendf(nil, operatingWorld, strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	p := scripts("", setupStage)
	p.Files = []string{file}
	testscript.Run(t, p)
}

// TestRunbookLooksAtWhatThereIs: what the runbook looks for in the journal is what the log says, and
// the folders that it looks at are those of the unit.
func TestRunbookLooksAtWhatThereIs(t *testing.T) {
	unit := readText(t, "../../examples/systemd/slotsync.service")
	for _, line := range shellLines(t, "../../docs/runbook.md", 30) {
		words := strings.Fields(line)
		switch program := words[0]; program {
		case "slotsync":
		case "journalctl", "systemctl":
			if !slices.Contains([]string{"slotsync", "haproxy"}, words[2]) {
				t.Errorf("%s: which unit is that?", line)
			}
			if _, pattern, ok := strings.Cut(line, " -g "); ok && !logSays(t, strings.Trim(pattern, `"`)) {
				t.Errorf("%s: no line of the log says that", line)
			}
		case "df", "ls":
			if folder, ok := strings.CutPrefix(words[2], "/var/lib/"); !ok || !slices.Contains(strings.Fields(strings.ReplaceAll(unit, "StateDirectory=", "StateDirectory= ")), folder) {
				t.Errorf("%s: the unit has no such folder", line)
			}
		default:
			t.Errorf("%s: nothing runs this", line)
		}
	}
}

// logSays reports whether a source has a message of the log with these words.
func logSays(t *testing.T, words string) bool {
	t.Helper()
	for _, pattern := range []string{"../../agent/*.go", "../../agent/*/*.go", "daemon/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			message := regexp.MustCompile(`(?i)(?:line:|Text:|line =|\.(?:Warn|Error|Info)\() *"[^"]*` + regexp.QuoteMeta(words))
			if !strings.HasSuffix(file, "_test.go") && message.MatchString(readText(t, file)) {
				return true
			}
		}
	}
	return false
}

// TestOperatingKnowsTheStates: whatever the tables call a state, the page says what it is.
func TestOperatingKnowsTheStates(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []fmt.Stringer{discovery.Ready, discovery.Drain, discovery.Down, slots.Ready, slots.Drain, slots.Maint} {
		if !strings.Contains(string(page), "*"+word.String()+"*") {
			t.Errorf("docs/operating.md does not say what %s is", word)
		}
	}
}

// scripted is a line for a shell as one of a script: its addresses are loopback ones,
// and a comment may name exit codes besides 0.
func scripted(line string) string {
	command, comment, _ := strings.Cut(strings.TrimSpace(line), " #")
	codes := "0"
	for _, m := range regexp.MustCompile(`exit (\d)`).FindAllStringSubmatch(comment, -1) {
		codes += "|" + m[1]
	}
	command, format, redirected := strings.Cut(strings.TrimSpace(command), " > ")
	if !strings.Contains(command, "'") { // a script knows no other quotes
		command = strings.ReplaceAll(command, `"`, "'")
	}
	command = strings.NewReplacer("10.0.0.", "127.9.0.", "/run/slotsync/slotsync.sock", "$SS/api.sock").Replace(command)
	if redirected {
		return "exits " + codes + " " + command + "\ncp stdout " + format
	}
	return "exits " + codes + " " + command
}

// curl does what the one of the same name would with these flags.
func curl() {
	socket := flag.String("unix-socket", "", "")
	method := flag.String("X", http.MethodGet, "")
	body := flag.String("d", "", "")
	header := flag.String("H", "X-None: none", "")
	flag.Parse()
	r, err := http.NewRequest(*method, flag.Arg(0), strings.NewReader(*body))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name, value, _ := strings.Cut(*header, ": ")
	r.Header.Set(name, value)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", *socket)
	}}}
	answer, err := client.Do(r)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, err = io.Copy(os.Stdout, answer.Body)
	if err != nil || answer.StatusCode >= http.StatusBadRequest {
		os.Exit(1)
	}
}
