package haproxy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	procHeader = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
	proc26     = procHeader + "16336           master          3 [failed: 1]   0d00h00m04s     2.6.12-1+deb12u3\n# workers\n" +
		"16596           worker          1               0d00h00m02s     2.6.12-1+deb12u3\n# old workers\n" +
		"16340           worker          3               12d01h00m03s    2.6.12-1+deb12u3\n# programs\n" +
		"16341           my prog         3               0d00h00m03s     -\n\n"
	// a failed reload of 3.2: the worker that serves stands among the old ones
	proc32 = procHeader + "17704           master          3 [failed: 1]   0d00h00m03s     3.2.26-1       \n# workers\n# old workers\n" +
		"17708           worker          3               0d00h00m03s     3.2.26-1       \n" +
		"17971           worker          1               0d00h00m01s     3.2.26-1       \n\n"
)

func TestParseProcesses(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name, text string
		want       processes
	}{
		{"2.6 with an old worker and a program", proc26, processes{16336, "2.6.12-1+deb12u3", 3, 1,
			[]Worker{{16596, "2.6.12-1+deb12u3", 2 * s, 1, false}, {16340, "2.6.12-1+deb12u3", 12*24*time.Hour + time.Hour + 3*s, 3, true}}}},
		{"3.2 after a failed reload", proc32, processes{17704, "3.2.26-1", 3, 1,
			[]Worker{{17971, "3.2.26-1", s, 1, false}, {17708, "3.2.26-1", 3 * s, 3, true}}}},
		{"no worker", strings.ReplaceAll(proc32, "[failed: 1]", "[failed: 0]"), processes{17704, "3.2.26-1", 3, 0,
			[]Worker{{17971, "3.2.26-1", s, 1, true}, {17708, "3.2.26-1", 3 * s, 3, true}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseProcesses(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(processes{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseProcessesRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no answer"},
		{"html", "<html>\n", "no answer"},
		{"2.4", "#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>\n", "no answer"},
		{"no master", procHeader, "no master"},
		{"worker first", procHeader + "5 worker 0 0d00h00m01s 3.2\n", "line 2: "},
		{"two masters", procHeader + strings.Repeat("5 master 0 [failed: 0] 0d00h00m01s 3.2\n", 2), "line 3: "},
		{"failed", strings.Replace(proc26, "[failed: 1]", "[failed: x]", 1), "line 2: "},
		{"pid", strings.Replace(proc26, "16340", "-6340", 1), "line 6: "},
		{"pid 0", strings.Replace(proc26, "16340", "0", 1), "line 6: a pid of 0"},
		{"huge pid", strings.Replace(proc26, "16340", "99999999999", 1), "line 6: "},
		{"uptime", strings.Replace(proc26, "0d00h00m02s", "0d00h61m02s", 1), "line 4: "},
		{"more uptime", strings.Replace(proc26, "0d00h00m02s", "0d00h01m02sx", 1), "line 4: "},
		{"a field less", strings.Replace(proc26, "0d00h00m02s", "", 1), "line 4: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseProcesses(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func FuzzParseProcesses(f *testing.F) {
	f.Add(proc26)
	f.Add(proc32)
	f.Add(procHeader)
	f.Add("Unknown command: 'show'\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseProcesses(text)
		if err != nil {
			if len(p.workers) > 0 || len(err.Error()) > 1000 {
				t.Errorf("got %+v, %v", p, err)
			}
			return
		}
		if p.pid <= 0 {
			t.Errorf("got %+v", p)
		}
		last := -1
		for _, w := range p.workers {
			if w.Pid <= 0 || w.Age < 0 || w.Reloads < last || strings.ContainsAny(w.Version, "\n\x1b") {
				t.Errorf("got %+v", w)
			}
			last = w.Reloads
		}
	})
}

func TestVerdict(t *testing.T) {
	at := address{"unix", "/m.sock"}
	for _, c := range []struct{ name, raw, words, err string }{
		{"good", "Success=1\n--\n[NOTICE]   (5) : New worker (6) forked\n[NOTICE]   (5) : Loading success.\n\n",
			"[NOTICE]   (5) : New worker (6) forked\n[NOTICE]   (5) : Loading success.", ""},
		{"good without words", "Success=1\n", "", ""},
		{"good without logs", "Success=1\n--\n\n", "", ""},
		{"bad", "Success=0\n--\n[NOTICE]   (5) : x\n[ALERT]    (6) : config : one\n[ALERT]    (6) : config : two\n\n",
			"[NOTICE]   (5) : x\n[ALERT]    (6) : config : one\n[ALERT]    (6) : config : two", "/m.sock: HAProxy has not loaded its configuration: config : one; config : two"},
		{"busy", "Success=0\n--\nAnother reload is still in progress.\n\n", "Another reload is still in progress.",
			"/m.sock: HAProxy has not loaded its configuration: Another reload is still in progress."},
		{"hostile", "Success=1\n--\n\x1b[2J\n", ".[2J", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			words, err := verdict(at, c.raw)
			if err == nil && c.err != "" || err != nil && err.Error() != c.err || words != c.words {
				t.Errorf("got %q, %v", words, err)
			}
		})
	}
}

func TestCame(t *testing.T) {
	at := address{"unix", "/m.sock"}
	before := processes{pid: 5, reloads: 1, workers: []Worker{{Pid: 6}}}
	for _, c := range []struct {
		name  string
		after processes
		err   string
	}{
		{"a new worker", processes{pid: 5, reloads: 2, workers: []Worker{{Pid: 7}, {Pid: 6, Old: true}}}, ""},
		{"failed", processes{pid: 5, reloads: 2, failed: 1, workers: []Worker{{Pid: 6}}}, "did not start a worker with its new configuration"},
		{"the same worker", processes{pid: 5, reloads: 2, workers: []Worker{{Pid: 6}}}, "did not start a worker with its new configuration"},
		{"another master", processes{pid: 9, workers: []Worker{{Pid: 10}}}, "restarted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := came(at, before, c.after); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
