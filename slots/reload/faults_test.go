package reload

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// TestFaults lets each step fail: the file is the one from before, HAProxy serves
// what it served, and the error names the step.
func TestFaults(t *testing.T) {
	full := func(part string) func(*Transaction) {
		return func(tr *Transaction) {
			write := tr.write
			tr.write = func(path string, text []byte, like securedir.Attributes, still func() error) error {
				if strings.Contains(path, part) {
					return &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
				}
				return write(path, text, like, still)
			}
		}
	}
	cases := []struct {
		name     string
		template string
		check    []string
		how      string
		spoil    func(*Transaction)
		step     Step
		back     bool
		says     string
	}{
		{name: "no template", template: "-", step: StepRender, says: "no such file"},
		{name: "template", template: "a\n{{if}}", step: StepRender, says: "haproxy.cfg.tmpl:2"},
		{name: "unknown backend", template: "\n\n{{slots `wbe`}}", step: StepRender, says: `haproxy.cfg.tmpl:3:2: executing`},
		{name: "nothing rendered", template: "{{/* */}}\n", step: StepRender, says: "renders nothing"},
		{name: "check", check: []string{"sh", "-c", "echo '[NOTICE] x'; echo '[ALERT] line 3'; exit 1", "{{.File}}"}, step: StepCheck, says: "exit status 1: [ALERT] line 3; nothing was changed"},
		{name: "no check program", check: []string{"/nowhere/haproxy", "{{.File}}"}, step: StepCheck, says: "no such file"},
		{name: "full at keep", spoil: full(".json"), step: StepKeep, says: "no space left"},
		{name: "full at keep's text", spoil: full(textEnd), step: StepKeep, says: "no space left"},
		{name: "full at journal", spoil: full(journalFile), step: StepKeep, says: "no space left"},
		{name: "full at replace", spoil: full("/haproxy.cfg"), step: StepReplace, says: "nothing was changed"},
		{name: "reload refused", how: "refuses", step: StepReload, back: true, says: "Success=0: [ALERT] it says no; the file from before is in place; edge-1: the worker from before serves on"},
		{name: "reload hangs", how: "hangs", step: StepReload, back: true, says: "deadline exceeded"},
		{name: "no new worker", how: "ignores", step: StepWorker, back: true, says: "process 100 from before still answers"},
		{name: "worker dies", how: "dies", step: StepWorker, back: true, says: "reloaded once more with it; then edge-1: a new worker serves"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.how = c.how
				switch c.template {
				case "":
				case "-":
					os.Remove(s.template())
				default:
					s.put(t, s.template(), c.template)
				}
				o := s.options()
				o.Check = c.check
				tr, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				if c.spoil != nil {
					c.spoil(tr)
				}
				res, err := tr.Run(t.Context(), Request{Data: web(10)})
				wantFailure(t, err, c.step, c.back, c.says)
				if res.Step != c.step && c.step != StepReplace || res.Changed || res.RolledBack != c.back {
					t.Errorf("got %+v", res)
				}
				if s.onDisk(t) != "backend old\n" || s.running().Text != "backend old\n" {
					t.Errorf("the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
				}
				wantMended(t, s, c.template != "")
			})
		})
	}
}

func wantFailure(t *testing.T, err error, step Step, back bool, says string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if e.Step != step || e.RolledBack != back || !strings.HasPrefix(err.Error(), "step "+string(step)+" failed: ") {
		t.Errorf("got step %s, back %t: %v", e.Step, e.RolledBack, err)
	}
	if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want it to say %q", err, says)
	}
}

// wantMended proves that the next process succeeds once the fault is gone.
func wantMended(t *testing.T, s site, withTemplate bool) {
	t.Helper()
	s.how = ""
	if withTemplate {
		s.put(t, s.template(), "{{range .Backends}}backend {{.Proxy}}\n  {{serverTemplate .Name}}\n{{end}}")
	}
	tr := s.open(t)
	if res, had, err := tr.Recover(t.Context()); err != nil || had {
		t.Errorf("recovered %+v, %v", res, err)
	}
	mustRun(t, tr, Request{Data: web(10)})
	if s.onDisk(t) != rendered(10) || s.running().Text != rendered(10) {
		t.Errorf("the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
	}
	wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
}

// TestFullDisk proves that what was before needs no space to come back,
// and that books which cannot be kept do not undo what HAProxy runs.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		how, text, says string
		back            bool
	}{
		{"refuses", "backend old\n", "the journal could not be closed", true},
		{"", rendered(10), "HAProxy runs", false},
	} {
		t.Run(c.how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.how = c.how
				tr := s.open(t)
				tr.reached = func(at string) {
					if at == "replaced" {
						tr.write = func(string, []byte, securedir.Attributes, func() error) error { return syscall.ENOSPC }
					}
				}
				_, err := tr.Run(t.Context(), Request{Data: web(10)})
				e, ok := errors.AsType[*Error](err)
				if !ok || e.RolledBack != c.back || !strings.Contains(err.Error(), c.says) || !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("got %v", err)
				}
				if s.onDisk(t) != c.text || s.running().Text != c.text {
					t.Errorf("the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
				}
				s.how = ""
				tr = s.open(t)
				if _, had, err := tr.Recover(t.Context()); !had || err != nil {
					t.Errorf("got %t, %v", had, err)
				}
				if s.onDisk(t) != c.text || s.running().Text != c.text {
					t.Errorf("then the file is %q, HAProxy runs %q", s.onDisk(t), s.running().Text)
				}
			})
		})
	}
}

// many is several HAProxys behind one reload, of which some do not renew.
type many struct {
	site
	name string
	p    *slots.Process
	new  bool
}

func (m many) Name() string                                   { return m.name }
func (m many) Process(context.Context) (slots.Process, error) { return *m.p, nil }

type renew []many

func (r renew) String() string { return "renew" }
func (r renew) Reload(context.Context) (string, error) {
	for _, m := range r {
		if m.new {
			m.p.Pid += 100
		}
	}
	return "", nil
}

func TestEachInstanceMustBeNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		r := renew{{s, "edge-1", &slots.Process{Pid: 1}, true}, {s, "edge-2", &slots.Process{Pid: 2}, false}}
		o := s.options()
		o.Reloader, o.Instances = r, []Instance{r[0], r[1]}
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = tr.Run(t.Context(), Request{Data: web(10)})
		wantFailure(t, err, StepWorker, true, "edge-2: the worker from before serves on; edge-1: a new worker serves")
		if took := time.Since(begun); took < DefaultTimeout || took > 2*DefaultTimeout {
			t.Errorf("took %s", took)
		}
	})
}

// TestNobodyAnswers asks for a reload of a HAProxy that is not there: only a
// person gets it.
func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.start(running{})
		tr := s.open(t)
		_, err := tr.Run(t.Context(), Request{Data: web(10)})
		wantFailure(t, err, StepReload, false, "edge-1: connection refused")
		if s.onDisk(t) != "backend old\n" {
			t.Error("the file was changed")
		}
		if res := mustRun(t, tr, Request{Data: web(10), By: "ann"}); !res.Changed {
			t.Errorf("got %+v", res)
		}
	})
}

// A slow instance does not answer its first question after a reload.
type slow struct {
	instance
	asked *int
}

func (s slow) Process(ctx context.Context) (slots.Process, error) {
	if *s.asked++; *s.asked == 2 {
		<-ctx.Done()
		return slots.Process{}, ctx.Err()
	}
	return s.instance.Process(ctx)
}

// TestHangingProbe asks anew: the connection may have reached a worker that will
// never answer.
func TestHangingProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		o := s.options()
		o.Instances = []Instance{slow{instance{"edge-1", s}, new(int)}}
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if res := mustRun(t, tr, Request{Data: web(10)}); res.Took < probeTimeout || res.Took > probeTimeout+time.Second {
			t.Errorf("took %s", res.Took)
		}
	})
}
