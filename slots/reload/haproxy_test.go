package reload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// realTemplate is a file whose slots and listener vary.
const realTemplate = `global
  stats socket %s mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:%d
  default_backend web
backend web
  {{serverTemplate "web"}}
`

type client struct{ *haproxy.Client }

func (c client) Name() string                                       { return "edge-1" }
func (c client) Process(ctx context.Context) (slots.Process, error) { return c.Info(ctx) }

// real starts a HAProxy with a file that is rendered.
func real(t *testing.T, version string) (p *haproxytest.Process, o Options) {
	t.Helper()
	text := fmt.Sprintf(realTemplate, "{socket}", haproxytest.FreePort(t))
	line := "server-template websrv 1-2 slot.invalid:1 init-addr last,127.0.0.1 disabled"
	p = haproxytest.Start(t, haproxytest.Config{
		Version: version, Master: true, Text: strings.Replace(text, `{{serverTemplate "web"}}`, line, 1),
	})
	c, err := haproxy.New(haproxy.Options{Socket: p.Socket})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o = Options{
		Template: filepath.Join(dir, "haproxy.cfg.tmpl"), File: p.File(), Dir: filepath.Join(dir, "kept"),
		Check:    []string{haproxytest.Binary(t, version), "-c", "-f", fileMark},
		Timeout:  3 * time.Second,
		Reloader: Command([]string{"sh", "-c", "kill -USR2 " + strconv.Itoa(p.Pid())}), Instances: []Instance{client{c}},
	}
	writeTemplate(t, o, strings.Replace(text, "{socket}", p.Socket, 1))
	return p, o
}

func writeTemplate(t *testing.T, o Options, text string) {
	t.Helper()
	if err := os.WriteFile(o.Template, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func slotsOf(t *testing.T, p *haproxytest.Process) int {
	t.Helper()
	return strings.Count(haproxytest.Ask(t, p.Socket, "show servers state web"), " websrv")
}

func TestRealReload(t *testing.T) {
	t.Parallel()
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p, o := real(t, version)
			tr, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			was := p.Worker()
			res := mustRun(t, tr, Request{Data: web(20)})
			if now := p.Worker(); now == was || res.Workers["edge-1"].Pid != now || slotsOf(t, p) != 20 {
				t.Errorf("pid %d, then %d with %d slots; %+v", was, now, slotsOf(t, p), res)
			}
			failRefused(t, tr, o)
			failBind(t, p, tr, o)
			if slotsOf(t, p) != 20 {
				t.Errorf("%d slots", slotsOf(t, p))
			}
		})
	}
}

// failRefused gives the check something to say.
func failRefused(t *testing.T, tr *Transaction, o Options) {
	t.Helper()
	good, err := os.ReadFile(o.Template)
	if err != nil {
		t.Fatal(err)
	}
	writeTemplate(t, o, "nonsense\n"+string(good))
	defer writeTemplate(t, o, string(good))
	_, err = tr.Run(t.Context(), Request{Data: web(30)})
	wantFailure(t, err, StepCheck, false, "[ALERT]")
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Words, "parsing ["+o.File+":1]") {
		t.Errorf("got %v", err)
	}
	words, err := tr.Check(t.Context(), web(30))
	if err == nil || !strings.Contains(words, "unknown keyword 'nonsense'") {
		t.Errorf("got %q, %v", words, err)
	}
}

// failBind passes the check, but the new worker cannot listen.
func failBind(t *testing.T, p *haproxytest.Process, tr *Transaction, o Options) {
	t.Helper()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before, _, err := tr.Show()
	if err != nil {
		t.Fatal(err)
	}
	writeTemplate(t, o, fmt.Sprintf(realTemplate, p.Socket, taken.Addr().(*net.TCPAddr).Port))
	_, err = tr.Run(t.Context(), Request{Data: web(30)})
	wantFailure(t, err, StepWorker, true, "the worker from before serves on")
	if after, _, err := tr.Show(); err != nil || string(after) != string(before) {
		t.Errorf("the file is %s, %v", after, err)
	}
}

// TestRealCheck lets every HAProxy judge the golden files.
func TestRealCheck(t *testing.T) {
	for _, version := range haproxytest.Versions {
		for _, name := range []string{"template.cfg.tmpl", "lines.cfg.tmpl"} {
			t.Run(version+"/"+name, func(t *testing.T) {
				s := newSite(t)
				text, err := os.ReadFile(filepath.Join("testdata", name))
				if err != nil {
					t.Fatal(err)
				}
				s.put(t, s.template(), string(text))
				o := s.options()
				o.Check = []string{haproxytest.Binary(t, version), "-c", "-f", fileMark}
				tr, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				if words, err := tr.Check(t.Context(), sample()); err != nil {
					t.Errorf("%v\n%s", err, words)
				}
				wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "running")
			})
		}
	}
}
