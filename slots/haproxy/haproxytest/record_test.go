package haproxytest_test

import (
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

var record = flag.Bool("record", false, "record the real HAProxys anew")

// recorded is what one HAProxy answered to one connection.
type recorded struct{ Name, Send, Answer string }

// stage is what all recordings are of.
var stage = []haproxytest.Backend{
	{Name: "web", Slots: 3},
	{Name: "chk", Slots: 2, Prefix: "c", Check: "check inter 1h"},
	{Name: "hash", Slots: 2, Balance: "source", Weight: 1},
	{Name: "none", Slots: 2, NoAddress: true, Enabled: true},
	{Name: "plain", Slots: 2, Enabled: true, Weight: 50},
	{Name: "off", Slots: 2, Disabled: true},
}

const set = "set server web/web1 "

// cases go one after another, each over a connection of its own; what they
// change stays.
var cases = []struct{ name, send string }{
	{"info", "show info\n"},
	{"all backends", "show backend\n"},
	{"level", "show cli level\n"},
	{"version", "show version\n"},
	{"state of all", "show servers state\n"},
	{"state of one", "show servers state web\n"},
	{"state of one by number", "show servers state #2\n"},
	{"state of checked ones", "show servers state chk\n"},
	{"state without addresses", "show servers state none\n"},
	{"state of enabled ones", "show servers state plain\n"},
	{"state of a disabled backend", "show servers state off\n"},
	{"state of an unknown backend", "show servers state nope\n"},
	{"stat of one", "show stat web 4 -1\n"},
	{"stat by number", "show stat 3 4 -1\n"},
	{"stat of all", "show stat -1 4 -1\n"},
	{"stat of an unknown backend", "show stat nope 4 -1\n"},
	{"stat without level", "operator;show stat web 4 -1\n"},
	{"addr and port", set + "addr 127.9.0.1 port 80\n"},
	{"addr and port again", set + "addr 127.9.0.1 port 80\n"},
	{"addr and port shown", "show servers state web\n"},
	{"port alone changes", set + "addr 127.9.0.1 port 81\n"},
	{"addr alone changes", set + "addr 127.9.0.2 port 81\n"},
	{"addr without port", set + "addr 127.9.0.3\n"},
	{"addr without port again", set + "addr 127.9.0.3\n"},
	{"addr of IPv6", set + "addr fd00::1 port 80\n"},
	{"addr of IPv6 again", set + "addr fd00::1 port 80\n"},
	{"addr of IPv6 shown", "show servers state web;show stat web 4 -1\n"},
	{"addr in brackets", set + "addr [fd00::2] port 80\n"},
	{"addr of IPv4 in IPv6", set + "addr ::ffff:127.9.0.9 port 80\n"},
	{"addr back to IPv4", set + "addr 127.9.0.1 port 80\n"},
	{"addr star", set + "addr * port 80\n"},
	{"addr by name", set + "addr localhost port 80\n"},
	{"addr with zone", set + "addr fe80::1%lo port 80\n"},
	{"addr with port", set + "addr 127.9.0.5:8080\n"},
	{"addr missing", set + "addr\n"},
	{"port missing", set + "addr 127.9.0.1 port\n"},
	{"port no number", set + "addr 127.9.0.2 port x\n"},
	{"port no number shown", "show servers state web\n"},
	{"port too large", set + "addr 127.9.0.2 port 70000\n"},
	{"port with a tail", set + "addr 127.9.0.2 port 80abc\n"},
	{"port 0", set + "addr 127.9.0.2 port 0\n"},
	{"port of a map", set + "addr 127.9.0.2 port +5\n"},
	{"port of a map with checks", "set server chk/c1 addr 127.9.0.1 port +5\n"},
	{"port of a map shown", "show servers state web\n"},
	{"port after a map", set + "addr 127.9.0.2 port 85\n"},
	{"port keyword misspelt", set + "addr 127.9.0.4 prt 99\n"},
	{"addr of an unknown server", "set server web/nope addr 127.9.0.1 port 80\n"},
	{"addr in an unknown backend", "set server nope/web1 addr 127.9.0.1 port 80\n"},
	{"addr in a disabled backend", "set server off/off1 addr 127.9.0.1 port 80\n"},
	{"addr where none can be", "set server none/none1 addr 127.9.0.1 port 80\n"},
	{"addr where none can be shown", "show servers state none\n"},
	{"maint where no addr is", "set server none/none1 state maint\n"},
	{"maint where no addr is shown", "show servers state none\n"},
	{"server without backend", "set server web1 state ready\n"},
	{"server with an empty backend", "set server /web1 state ready\n"},
	{"server by number", "get weight #2/web1\n"},
	{"unknown of a server", set + "foo\n"},
	{"state ready", set + "state ready\n"},
	{"state ready again", set + "state ready\n"},
	{"state ready shown", "show servers state web;show stat web 4 -1\n"},
	{"state drain", set + "state drain\n"},
	{"state drain shown", "show servers state web;show stat web 4 -1\n"},
	{"state drain of a checked one", "set server chk/c1 state drain\n"},
	{"state ready of a checked one", "set server chk/c2 state ready\n"},
	{"states of checked ones shown", "show servers state chk\n"},
	{"state maint", set + "state maint\n"},
	{"state maint shown", "show servers state web\n"},
	{"state of no kind", set + "state Ready\n"},
	{"state in a disabled backend", "set server off/off1 state ready\n"},
	{"enable", "enable server web/web2\n"},
	{"disable", "disable server plain/plain1\n"},
	{"drain of an enabled one", "set server plain/plain2 state drain\n"},
	{"enable and disable shown", "show servers state plain\n"},
	{"weight", set + "weight 10\n"},
	{"weight shown", "get weight web/web1\n"},
	{"weight in percent", set + "weight 50%\n"},
	{"weight far over", set + "weight 999%\n"},
	{"weight far over shown", "get weight web/web1\n"},
	{"weight 0", set + "weight 0\n"},
	{"weight 256", set + "weight 256\n"},
	{"weight 257", set + "weight 257\n"},
	{"weight negative", set + "weight -1\n"},
	{"weight negative percent", set + "weight -1%\n"},
	{"weight missing", set + "weight\n"},
	{"weight no number", set + "weight x\n"},
	{"weight with a tail", set + "weight 5x\n"},
	{"weight refused, then more", set + "weight x;show cli level\n"},
	{"weight refused, then empty", set + "weight x;" + set + "state maint;show cli level\n"},
	{"weight of a static algorithm", "set server hash/hash1 weight 50\n"},
	{"weight as configured there", "set server hash/hash1 weight 1\n"},
	{"weight 0 there", "set server hash/hash1 weight 0\n"},
	{"set weight", "set weight web/web1 7\n"},
	{"get weight of an unknown server", "get weight web/nope\n"},
	{"shutdown sessions", "shutdown sessions server web/web1\n"},
	{"several commands", set + "weight 5;get weight web/web1;" + set + "state drain;show cli level\n"},
	{"a bad one among several", set + "weight 5;set server web/nope weight 5;get weight web/web1\n"},
	{"unknown command", "foo bar\n"},
	{"wait", "wait 1ms\n"},
	{"level user", "user;show cli level;" + set + "state ready;get weight web/web1\n"},
	{"level operator", "operator;" + set + "weight 1;" + set + "addr 1.2.3.4 port 5;enable server web/web1\n"},
	{"level back up", "user;operator;show cli level\n"},
	{"no line end", "show cli level"},
	{"two lines", "show cli level\nshow backend\n"},
	{"carriage return", "show cli level\r\n"},
	{"prompt", "prompt\nshow cli level\n" + set + "state maint\nquit\n"},
	{"prompt and several commands", "prompt\nshow cli level;show cli level\nquit\n"},
	{"prompt on one line", "prompt;show cli level;quit\n"},
	{"prompt and a refusal", "prompt\n" + set + "weight x\nquit\n"},
	{"a line of 15 kB", strings.Repeat(set+"weight 5;", 510) + "show cli level\n"},
	{"a line of 16383 bytes", strings.Repeat("show cli level;", 1092) + "foo\n"},
	{"a line of 16384 bytes", strings.Repeat("show cli level;", 1092) + "fooo\n"},
	{"a line of 20 kB", strings.Repeat("show cli level;", 1333) + "show cli level\n"},
	{"add", "add server web/web4 127.9.0.4:80 weight 7\n"},
	{"add shown", "show servers state web;show stat web 4 -1\n"},
	{"add twice", "add server web/web4 127.9.0.5:80\n"},
	{"add of IPv6", "add server web/web5 [fd00::5]:80\n"},
	{"add to a static algorithm", "add server hash/hash3 127.9.0.1:80\n"},
	{"add to a disabled backend", "add server off/off3 127.9.0.1:80\n"},
	{"add to an unknown backend", "add server nope/web1 127.9.0.1:80\n"},
	{"add without backend", "add server web6 127.9.0.1:80\n"},
	{"add without address", "add server web/web6\n"},
	{"add with a bad keyword", "add server web/web6 127.9.0.1:80 nope\n"},
	{"add with a bad keyword, twice", "add server web/web4 127.9.0.1:80 nope\n"},
	{"add with a bad weight", "add server web/web6 127.9.0.1:80 weight 257\n"},
	{"add with resolvers", "add server web/web6 127.9.0.1:80 resolvers dns\n"},
	{"add with init-addr", "add server web/web6 127.9.0.1:80 init-addr none\n"},
	{"add with a cookie", "add server web/web6 127.9.0.1:80 cookie c\n"},
	{"add with a check", "add server chk/c3 127.9.0.1:80 weight 5 check inter 1h fall 2\n"},
	{"add with a check shown", "show servers state chk\n"},
	{"add with an agent", "add server chk/c4 127.9.0.1:80 agent-check agent-inter 1h agent-port 9\n"},
	{"add with an agent shown", "show servers state chk\n"},
	{"enable health", "enable health chk/c3\n"},
	{"enable health without check", "enable health chk/c4\n"},
	{"enable health of the configuration's", "enable health chk/c1\n"},
	{"enable health of an unknown server", "enable health chk/c9\n"},
	{"enable health in a disabled backend", "enable health off/off1\n"},
	{"enable agent without one", "enable agent web/web4\n"},
	{"enable health shown", "show servers state chk\n"},
	{"agent enabled, then ready", "enable agent chk/c4;set server chk/c4 state ready;show servers state chk\n"},
	{"ready, then agent enabled", "add server chk/c5 127.9.0.1:80 check inter 1h agent-check agent-inter 1h agent-port 9;enable health chk/c5;set server chk/c5 state ready;enable agent chk/c5;show servers state chk\n"},
	{"drain with an agent", "set server chk/c5 state drain;set server chk/c5 state ready;show servers state chk\n"},
	{"added ones ready", "set server web/web4 state ready;set server chk/c3 state ready\n"},
	{"added ones ready shown", "show servers state web;show servers state chk;show stat web 4 -1\n"},
	{"added one with another weight and address", "set server web/web4 weight 9;set server web/web4 addr 127.9.0.9 port 81\n"},
	{"added one with another weight shown", "get weight web/web4;show servers state web\n"},
	{"delete of a ready one", "del server web/web4\n"},
	{"delete", "set server web/web4 state maint;del server web/web4;show cli level\n"},
	{"delete again", "del server web/web4\n"},
	{"delete several", "del server web/web5;del server web/web6;del server nope/x;show servers state web\n"},
	{"delete without backend", "del server web4\n"},
	{"delete of the configuration's", "del server plain/plain1\n"},
	{"number that is free again", "add server plain/plain3 127.9.0.1:80;show servers state plain\n"},
	{"add and delete without level", "operator;add server web/web9 127.9.0.1:80;del server web/web9;enable health web/web9\n"},
	{"add and delete with prompts", "prompt;add server web/web9 127.9.0.1:80;del server web/web9;del server web/web9;quit\n"},
	{"all in the end", "show servers state;show stat -1 4 -1\n"},
}

// say sends text as it is and reads to the end.
func say(t *testing.T, socket, text string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text, "\n") {
		conn.(*net.UnixConn).CloseWrite()
	}
	b, err := io.ReadAll(conn)
	if err != nil && len(b) == 0 {
		t.Fatalf("%.60q: %v", text, err)
	}
	return string(b)
}

// perform plays all cases.
func perform(t *testing.T, version, socket string) []recorded {
	t.Helper()
	var out []recorded
	for _, c := range cases {
		if version == "3.4" && c.name == "add to a disabled backend" {
			// it ends the process (SIGFPE, seen in 3.4.7), and the fake too
			out = append(out, recorded{c.name, abridge(c.send), ""})
			continue
		}
		out = append(out, recorded{c.name, abridge(c.send), normal(say(t, socket, c.send))})
		if version != "2.6" && strings.Contains(c.send, "addr") {
			// a new address shows some time after its answer
			say(t, socket, "wait 20ms\n")
		}
	}
	return out
}

func abridge(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

func file(version string) string { return filepath.Join("testdata", "recorded-"+version+".json") }

func load(t *testing.T, version string) []recorded {
	t.Helper()
	b, err := os.ReadFile(file(version))
	if err != nil {
		t.Fatal(err)
	}
	var list []recorded
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRecordingsAreOfRealHAProxys(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: stage})
			got := perform(t, version, p.Socket)
			if *record {
				b, err := json.MarshalIndent(got, "", "\t")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file(version), append(b, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, load(t, version), got)
		})
	}
}

func TestFakeIsHonest(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			f := haproxytest.NewFake(t, version, stage...)
			f.SetDelay(0)
			compare(t, load(t, version), perform(t, version, f.Socket))
		})
	}
}

func compare(t *testing.T, want, got []recorded) {
	t.Helper()
	if len(want) != len(cases) {
		t.Fatalf("%d recordings of %d cases: run go test -record", len(want), len(cases))
	}
	for i, w := range want {
		if d := cmp.Diff(w, got[i]); d != "" {
			t.Errorf("%s (-recorded +now):\n%s", w.Name, d)
		}
	}
}

var (
	sinceColumn = regexp.MustCompile(`(?m)^(\d+ \S+ \d+ \S+ \S+ \d+ \d+ \d+ \d+) -?\d+ `)
	pids        = regexp.MustCompile(`(?m)^(Pid|Start_time_sec): \d+$`)
	pointless   = regexp.MustCompile(`(?m)^(Version: )?(\d\.\d)\.\d+\S*$`)
)

// normal takes out what differs from run to run, and what no client reads.
func normal(answer string) string {
	if i := strings.Index(answer, "Unknown command"); i >= 0 {
		end := strings.IndexByte(answer[i:], '\n')
		return answer[:i+end+1]
	}
	var out []string
	var keep []int
	for line := range strings.Lines(answer) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# pxname,"):
			keep = statColumns(line)
			out = append(out, project(line, keep))
		case keep != nil && strings.Contains(line, ","):
			out = append(out, project(line, keep))
		case !isInfo(line):
			keep = nil
			out = append(out, line)
		}
	}
	text := strings.Join(out, "\n")
	if strings.HasSuffix(answer, "\n") {
		text += "\n"
	}
	text = sinceColumn.ReplaceAllString(text, "$1 0 ")
	text = pids.ReplaceAllString(text, "$1: N")
	return pointless.ReplaceAllString(text, "$1$2")
}

// isInfo reports whether line is one of "show info" that clients do not read.
func isInfo(line string) bool {
	key, _, ok := strings.Cut(line, ": ")
	// the last one is that of no value, as in "description: "
	if !ok || strings.HasPrefix(line, "Unknown") || strings.Contains(key, "'") || strings.HasSuffix(key, " ") {
		return false
	}
	return !slices.Contains([]string{"Name", "Version", "Pid", "Start_time_sec", "node", "Stopping"}, key)
}

func statColumns(header string) []int {
	var keep []int
	for i, name := range strings.Split(strings.TrimPrefix(header, "# "), ",") {
		if slices.Contains([]string{"pxname", "svname", "scur", "status", "type", "addr"}, name) {
			keep = append(keep, i)
		}
	}
	return keep
}

func project(line string, keep []int) string {
	fields := strings.Split(line, ",")
	var out []string
	for _, i := range keep {
		if i < len(fields) {
			out = append(out, fields[i])
		}
	}
	return strings.Join(out, ",")
}
