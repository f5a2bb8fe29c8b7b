package reload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/slots"
)

// A process that is to be killed in the middle is this program once more.
const (
	killPoint = "SLOTSYNC_TEST_KILL_AT"
	killDir   = "SLOTSYNC_TEST_KILL_DIR"
	killHow   = "SLOTSYNC_TEST_KILL_HOW"
)

func TestMain(m *testing.M) {
	if point := os.Getenv(killPoint); point != "" {
		dieAt(point, os.Getenv(killDir), os.Getenv(killHow))
	}
	goleak.VerifyTestMain(m)
}

func dieAt(point, dir, how string) {
	tr, err := New(site{dir, how, patience}.options())
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	tr.reached = func(at string) {
		if at == point {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	_, err = tr.Run(context.Background(), Request{Data: web(20), Reason: "more"})
	fmt.Println("came through:", err)
	os.Exit(4)
}

// A site is a folder with a template, a configuration file, and a HAProxy that
// is made up: what it runs with is in a file, so that it survives processes.
type site struct {
	dir     string
	how     string // it reloads: "", "refuses", "hangs", "ignores", "dies", "dies at once"
	timeout time.Duration
}

// patience is the timeout where time is real.
const patience = time.Second

type running struct {
	Pid  int
	Text string
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{dir: t.TempDir()}
	s.put(t, s.template(), "{{range .Backends}}backend {{.Proxy}}\n  {{serverTemplate .Name}}\n{{end}}")
	s.put(t, s.file(), "backend old\n")
	s.start(running{100, "backend old\n"})
	return s
}

func (s site) template() string { return filepath.Join(s.dir, "haproxy.cfg.tmpl") }
func (s site) file() string     { return filepath.Join(s.dir, "haproxy.cfg") }
func (s site) kept() string     { return filepath.Join(s.dir, "kept") }

func (s site) put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func (s site) options() Options {
	return Options{
		Template: s.template(), File: s.file(), Dir: s.kept(),
		Reloader: s, Instances: []Instance{instance{"edge-1", s}}, Timeout: s.timeout,
	}
}

func (s site) open(t *testing.T) *Transaction {
	t.Helper()
	tr, err := New(s.options())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (s site) start(r running) {
	b, _ := json.Marshal(r)
	if err := os.WriteFile(filepath.Join(s.dir, "running"), b, 0o600); err != nil {
		panic(err)
	}
}

func (s site) running() (r running) {
	b, _ := os.ReadFile(filepath.Join(s.dir, "running"))
	json.Unmarshal(b, &r)
	return r
}

func (s site) onDisk(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s site) String() string { return "made-up reload" }

// Reload starts a new process with the file, or fails as it is told.
func (s site) Reload(ctx context.Context) (string, error) {
	was := s.running()
	text, err := os.ReadFile(s.file())
	if err != nil {
		return "", err
	}
	next := running{was.Pid + 1, string(text)}
	switch s.how {
	case "refuses":
		return "[ALERT] it says no\nand more", errors.New("Success=0")
	case "hangs":
		<-ctx.Done()
		return "", ctx.Err()
	case "ignores":
		return "nothing to say", nil
	case "dies", "dies at once":
		if next.Text != "backend old\n" && next.Text != rendered(10) || s.how == "dies" && next.Text == rendered(10) {
			next = running{was.Pid, ""}
		}
		if s.how == "dies at once" && next.Text == "" {
			s.start(next)
			return "", errors.New("it died")
		}
	}
	s.start(next)
	return "reloaded", nil
}

type instance struct {
	name string
	site site
}

func (in instance) Name() string { return in.name }

func (in instance) Process(context.Context) (slots.Process, error) {
	r := in.site.running()
	if r.Text == "" {
		return slots.Process{}, errors.New("connection refused")
	}
	return slots.Process{Version: "3.2.0", Pid: r.Pid, Started: 1, Node: "a"}, nil
}

// web is the data of one backend with one server.
func web(n int) Data {
	return Data{Backends: []Backend{{
		Name: "web", Proxy: "web", Prefix: "websrv", Slots: n,
		Servers: []Server{{Name: "a", Slot: "websrv1", Addr: netip.MustParseAddrPort("10.0.0.1:80"), State: "ready"}},
	}}}
}

// rendered is what the site's template makes of web(n).
func rendered(n int) string {
	return fmt.Sprintf("backend web\n  server-template websrv 1-%d slot.invalid:1 init-addr last,127.0.0.1 disabled\n", n)
}
