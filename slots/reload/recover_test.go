package reload

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// TestKilled kills a process at each point. The file on disk is a whole one then,
// HAProxy serves or is to be revived, and the next process goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	forward := []string{
		"kept what was found", "kept what was rendered", "wrote the journal", "set aside", "replaced",
		"about to reload", "reloaded", "new workers answered", "called it good", "closed the journal",
	}
	back := []string{"about to put back", "put back", "closed the journal"}
	for _, c := range []struct {
		how    string
		points []string
	}{
		{"", forward},
		{"refuses", append([]string{"about to reload"}, back...)},
		{"dies at once", append([]string{"reloaded again"}, back...)},
	} {
		for _, point := range c.points {
			t.Run(c.how+"/"+point, func(t *testing.T) {
				t.Parallel()
				kill(t, point, c.how)
			})
		}
	}
}

func kill(t *testing.T, point, how string) {
	t.Helper()
	s := newSite(t)
	s.timeout = patience
	mustRun(t, s.open(t), Request{Data: web(10)})
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), killPoint+"="+point, killDir+"="+s.dir, killHow+"="+how)
	out, err := child.CombinedOutput()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("it did not come to that: %v, %s", err, out)
	}
	if got := s.onDisk(t); got != rendered(10) && got != rendered(20) {
		t.Fatalf("the file is %q", got)
	}
	// what a writer that was killed may leave besides
	s.put(t, filepath.Join(s.dir, ".haproxy.cfg123456"), "half")
	tr := s.open(t)
	res, had, err := tr.Recover(t.Context())
	if err != nil || had && res.Words == "" {
		t.Errorf("recovered %+v, %v", res, err)
	}
	if s.onDisk(t) != s.running().Text {
		t.Errorf("the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
	}
	wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
	wantChanged(t, tr, false)
	if _, had, err := tr.Recover(t.Context()); had || err != nil {
		t.Errorf("there is still something: %v", err)
	}
	mustRun(t, tr, Request{Data: web(20)})
	if s.onDisk(t) != rendered(20) || s.running().Text != rendered(20) {
		t.Errorf("in the end the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
	}
}

// cut runs a transaction up to a point, from a file of ours.
func cut(t *testing.T, s site, point string) {
	t.Helper()
	mustRun(t, s.open(t), Request{Data: web(10)})
	tr := s.open(t)
	defer func() {
		if recover() == nil {
			t.Error("it did not come to that")
		}
	}()
	tr.reached = func(at string) {
		if at == point {
			panic(at)
		}
	}
	tr.Run(t.Context(), Request{Data: web(20), Reason: "more"})
}

func TestRecover(t *testing.T) {
	cases := []struct {
		name, point, how string
		after            func(*testing.T, site)
		file, says       string
		step             Step
		failed           bool
	}{
		{name: "before", point: "set aside", file: rendered(10), says: "before the file was replaced", step: StepReplace},
		{name: "replaced", point: "replaced", file: rendered(20), says: "went on from there", step: StepWorker},
		{name: "reloaded", point: "reloaded", file: rendered(20), says: "nothing was left to do", step: StepWorker},
		{name: "restarted by others", point: "about to reload", file: rendered(20), says: "nothing was left to do", step: StepWorker,
			after: func(_ *testing.T, s site) { s.start(running{7, rendered(20)}) }},
		{name: "refused now", point: "about to reload", how: "refuses", file: rendered(10), step: StepReload, failed: true,
			says: "the worker from before serves on"},
		{name: "HAProxy is gone", point: "about to reload", file: rendered(10), step: StepReload, failed: true,
			after: func(_ *testing.T, s site) { s.start(running{}) }, says: "reloaded once more"},
		{name: "by hand", point: "reloaded", file: "by hand\n", step: StepReplace, failed: true,
			after: func(t *testing.T, s site) { s.put(t, s.file(), "by hand\n") }, says: "the file stays as it is"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				cut(t, s, c.point)
				if c.after != nil {
					c.after(t, s)
				}
				s.how = c.how
				res, had, err := s.open(t).Recover(t.Context())
				if !had || (err != nil) != c.failed || res.Step != c.step || res.Reason != "more" {
					t.Errorf("got %+v, %t, %v", res, had, err)
				}
				says := res.Words
				if err != nil {
					says = err.Error()
				}
				if !strings.Contains(says, c.says) {
					t.Errorf("it says %q, want %q", says, c.says)
				}
				if s.onDisk(t) != c.file {
					t.Errorf("the file is %q", s.onDisk(t))
				}
				if _, had, _ := s.open(t).Recover(t.Context()); had {
					t.Error("there is still something")
				}
			})
		})
	}
}

// TestInterrupted ends the context while HAProxy reloads: the next Run goes on.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.how = "hangs"
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.open(t).Run(ctx, Request{Data: web(10)})
		wantFailure(t, err, StepReload, false, "goes on with it")
		if !errors.Is(err, context.DeadlineExceeded) || s.onDisk(t) != rendered(10) {
			t.Errorf("got %v, file %q", err, s.onDisk(t))
		}
		s.how = ""
		mustRun(t, s.open(t), Request{Data: web(10)})
		if s.running().Text != rendered(10) {
			t.Errorf("HAProxy runs %q", s.running().Text)
		}
	})
}

func TestBrokenJournal(t *testing.T) {
	other, _ := json.Marshal(journal{Version: journalVersion, File: "/etc/other.cfg"})
	for _, c := range []struct {
		name, text string
		aside      bool
	}{
		{"cut", `{"version":1,"fi`, true},
		{"empty", ``, true},
		{"newer", `{"version":2}`, false},
		{"of another file", string(other), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			mustRun(t, s.open(t), Request{Data: web(10)})
			tr := s.open(t)
			if err := os.WriteFile(tr.journalPath(), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, had, err := tr.Recover(t.Context())
			wantFailure(t, err, StepKeep, false, tr.journalPath())
			if !had {
				t.Error("nothing was noticed")
			}
			_, err = tr.Run(t.Context(), Request{Data: web(20)})
			if (err == nil) != c.aside {
				t.Errorf("then: %v", err)
			}
		})
	}
}

// TestSpareIsGone puts the file back from the version that is kept.
func TestSpareIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.how = "refuses"
		tr := s.open(t)
		tr.reached = func(at string) {
			if at == "about to put back" {
				os.Remove(filepath.Join(filepath.Dir(s.file()), backupName(s.file())))
			}
		}
		_, err := tr.Run(t.Context(), Request{Data: web(10)})
		wantFailure(t, err, StepReload, true, "the file from before is in place")
		if s.onDisk(t) != "backend old\n" {
			t.Errorf("the file is %q", s.onDisk(t))
		}
	})
}

// TestNothingToPutBack keeps the new file rather than none, and tries again.
func TestNothingToPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.how = "refuses"
		tr := s.open(t)
		var away string
		tr.reached = func(at string) {
			if at == "about to put back" {
				os.Remove(filepath.Join(filepath.Dir(s.file()), backupName(s.file())))
				versions, _ := tr.Versions()
				away = tr.path(versions[1].ID, textEnd)
				os.Rename(away, away+".away")
			}
		}
		_, err := tr.Run(t.Context(), Request{Data: web(10)})
		wantFailure(t, err, StepReload, false, "could not be put back")
		if s.onDisk(t) != rendered(10) {
			t.Errorf("the file is %q", s.onDisk(t))
		}
		if err := os.Rename(away+".away", away); err != nil {
			t.Fatal(err)
		}
		if res, had, err := s.open(t).Recover(t.Context()); !had || err != nil || !res.RolledBack || s.onDisk(t) != "backend old\n" {
			t.Errorf("got %+v, %v; file %q", res, err, s.onDisk(t))
		}
	})
}

func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		for _, c := range []struct {
			before map[string]slots.Process
			now    int
			want   string
		}{
			{map[string]slots.Process{"edge-1": {Pid: 5, Started: 1, Node: "a"}}, 5, "edge-1: the worker from before serves on"},
			{map[string]slots.Process{"edge-1": {Pid: 5, Started: 1, Node: "a"}}, 6, "edge-1: a new worker serves"},
			{map[string]slots.Process{"edge-1": {Pid: 5, Started: 1, Node: "a"}}, 0, "edge-1: nobody answers"},
			{nil, 6, ""},
		} {
			text := "x"
			if c.now == 0 {
				text = ""
			}
			s.start(running{c.now, text})
			if got := tr.inspect(t.Context(), c.before).String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		}
	})
}
