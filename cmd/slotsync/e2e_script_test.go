package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// scriptPatience is how long a script waits for what must come true.
const scriptPatience = 20 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slotsync": main, "fetch": fetch, "curl": curl, "webserver": webserver})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts("testdata/script", setupStage))
}

// TestParity runs what other tools let an operator do, on two HAProxies of each
// version: see docs/prior-art.md.
func TestParity(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version string) {
		testscript.Run(t, scripts("testdata/parity", func(env *testscript.Env) error {
			env.Setenv("VERSION", version)
			return setupStage(env)
		}))
	})
}

func scripts(dir string, setup func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second more under the race detector
			return setup(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"haproxy":    stageCmd((*stage).haproxy),
			"freeze":     stageCmd((*stage).freeze),
			"linger":     stageCmd((*stage).linger),
			"origin":     stageCmd((*stage).origin),
			"versions":   stageCmd((*stage).versions),
			"servers":    stageCmd((*stage).servers),
			"tell":       stageCmd((*stage).tell),
			"consul":     stageCmd((*stage).consul),
			"dns":        stageCmd((*stage).dns),
			"agent":      stageCmd((*stage).agent),
			"signal":     stageCmd((*stage).signal),
			"ended":      stageCmd((*stage).ended),
			"exits":      stageCmd((*stage).exits),
			"eventually": stageCmd((*stage).eventually),
			"port":       stageCmd((*stage).port),
			"template":   stageCmd((*stage).template),
			"notified":   stageCmd((*stage).notified),
		},
	}
}

// A stage is what one script plays with.
type stage struct {
	tb      testing.TB
	ts      *testscript.TestScript
	proxies map[string]*haproxytest.Process
	catalog *consultest.Server
	names   *dnstest.Server
	agents  map[string]*exec.Cmd
	origins map[string]chan struct{} // closed when they answer
	systemd *net.UnixConn
}

type stageKey struct{}

func setupStage(env *testscript.Env) error {
	tb := env.T().(testing.TB)
	// Paths of unix sockets are short, and $WORK is not.
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		return err
	}
	env.Defer(func() { _ = os.RemoveAll(dir) })
	env.Setenv("SS", dir)
	env.Setenv("SLOTSYNC_HTTP_SOCKET", dir+"/api.sock")
	env.Setenv("SLOTSYNC_HTTP_LISTEN", "")
	env.Setenv("SLOTSYNC_STATE_DIR", dir+"/state")
	env.Setenv("SLOTSYNC_AGENT", "unix://"+dir+"/api.sock")
	env.Values[stageKey{}] = &stage{tb: tb, proxies: map[string]*haproxytest.Process{}, agents: map[string]*exec.Cmd{}, origins: map[string]chan struct{}{}}
	return nil
}

func stageCmd(f func(*stage, bool, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s := ts.Value(stageKey{}).(*stage)
		s.ts = ts
		f(s, neg, args)
	}
}

func (s *stage) usage(ok bool, text string) {
	if !ok {
		s.ts.Fatalf("usage: %s", text)
	}
}

// fetch URL prints what is there.
func fetch() {
	resp, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

// notified REGEXP waits until the agent has told so to systemd, which this
// stands in for from its first call on; the first has no argument.
func (s *stage) notified(_ bool, args []string) {
	if s.systemd == nil {
		path := s.ts.Getenv("SS") + "/notify"
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		s.ts.Check(err)
		s.ts.Defer(func() { _ = conn.Close() })
		s.ts.Setenv("NOTIFY_SOCKET", path)
		s.systemd = conn
		return
	}
	want := regexp.MustCompile("(?m)" + args[0])
	s.ts.Check(s.systemd.SetReadDeadline(time.Now().Add(scriptPatience)))
	buf := make([]byte, 4096)
	for {
		n, err := s.systemd.Read(buf)
		if err != nil {
			s.ts.Fatalf("systemd is not told %s: %v", args[0], err)
		}
		if want.Match(buf[:n]) {
			return
		}
	}
}

// template FILE... replaces $variables in files.
func (s *stage) template(_ bool, args []string) {
	for _, name := range args {
		text := os.Expand(s.ts.ReadFile(name), s.ts.Getenv)
		s.ts.Check(os.WriteFile(s.ts.MkAbs(name), []byte(text), 0o600))
	}
}

// port NAME sets a variable to a free port.
func (s *stage) port(_ bool, args []string) {
	s.usage(len(args) == 1, "port NAME")
	s.ts.Setenv(args[0], strconv.Itoa(haproxytest.FreePort(s.tb)))
}

// agent NAME ARG... runs slotsync in the background, with its output in
// NAME.log and NAME_PID set.
func (s *stage) agent(_ bool, args []string) {
	s.usage(len(args) >= 2, "agent NAME ARG...")
	log, err := os.Create(s.ts.MkAbs(args[0] + ".log"))
	s.ts.Check(err)
	defer log.Close()
	cmd := exec.Command(s.binary(), args[1:]...)
	cmd.Args[0] = "slotsync"
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.ts.MkAbs("."), log, log
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "SLOTSYNC_HTTP_SOCKET", "SLOTSYNC_HTTP_LISTEN", "SLOTSYNC_STATE_DIR",
		"SLOTSYNC_LOG_LEVEL", "CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_USEC", "RUNTIME_DIRECTORY", "SLOTSYNC_DEPS"} {
		if value := s.ts.Getenv(name); value != "" || name == "SLOTSYNC_HTTP_LISTEN" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	s.ts.Check(cmd.Start())
	s.agents[args[0]] = cmd
	s.ts.Setenv(args[0]+"_pid", strconv.Itoa(cmd.Process.Pid))
	s.ts.Defer(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// binary is the slotsync in the script's path.
func (s *stage) binary() string {
	for _, dir := range filepath.SplitList(s.ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "slotsync"); exists(path) {
			return path
		}
	}
	s.ts.Fatalf("there is no slotsync in the path")
	return ""
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// signal NAME HUP|TERM|INT|KILL sends a signal to an agent.
func (s *stage) signal(_ bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	s.usage(len(args) == 2 && signals[args[1]] != 0, "signal NAME HUP|TERM|INT|KILL")
	s.ts.Check(s.agents[args[0]].Process.Signal(signals[args[1]]))
}

// ended NAME CODE WITHIN waits for an agent to exit.
func (s *stage) ended(_ bool, args []string) {
	s.usage(len(args) == 3, "ended NAME CODE WITHIN")
	within, err := time.ParseDuration(args[2])
	s.ts.Check(err)
	cmd := s.agents[args[0]]
	ctx, cancel := context.WithTimeout(s.tb.Context(), within)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // the state says it
	if !stop() {
		s.ts.Fatalf("%s does not end within %s\n%s", args[0], within, s.log(args[0]))
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[1] {
		s.ts.Fatalf("%s exits %s, not %s\n%s", args[0], got, args[1], s.log(args[0]))
	}
}

func (s *stage) log(name string) string {
	text, _ := os.ReadFile(s.ts.MkAbs(name + ".log"))
	return string(text)
}

// exits CODE[|CODE] COMMAND ARG... runs a command that ends with one of these codes.
func (s *stage) exits(_ bool, args []string) {
	s.usage(len(args) >= 2, "exits CODE[|CODE] COMMAND ARG...")
	err := s.ts.Exec(args[1], args[2:]...)
	if got := strconv.Itoa(codeOf(err)); !slices.Contains(strings.Split(args[0], "|"), got) {
		s.ts.Fatalf("exit %s, not %s", got, args[0])
	}
}

func codeOf(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	return -1
}

// eventually CODE REGEXP COMMAND ARG... runs a command until it ends with this
// code and its output matches.
func (s *stage) eventually(neg bool, args []string) {
	s.usage(len(args) >= 3, "eventually CODE REGEXP COMMAND ARG...")
	want := regexp.MustCompile("(?m)" + args[1])
	var seen bytes.Buffer
	var code int
	s.wait(func() bool {
		code = codeOf(s.ts.Exec(args[2], args[3:]...))
		seen.Reset()
		seen.WriteString(s.ts.ReadFile("stdout") + s.ts.ReadFile("stderr"))
		return strconv.Itoa(code) == args[0] && want.Match(seen.Bytes()) != neg
	}, func() string {
		return fmt.Sprintf("exit %d, and not %s %s:\n%s", code, args[0], args[1], seen.String())
	})
}

// wait polls until ok says yes.
func (s *stage) wait(ok func() bool, why func() string) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(scriptPatience)
	for !ok() {
		select {
		case <-deadline:
			text := why()
			for name := range s.agents {
				text += "\n" + name + ".log:\n" + s.log(name)
			}
			s.ts.Fatalf("%s", text)
		case <-ticker.C:
		}
	}
}
