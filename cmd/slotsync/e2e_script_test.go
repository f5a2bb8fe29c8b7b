package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
		Setup:               setup,
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

// haproxy NAME VERSION [LEVEL] starts one with a backend web of ten slots, instead of
// a level with twice, tcp, both, few, checked or master: see staged. It sets $NAME, $NAME_file
// and $NAME_pid. haproxy NAME kill ends it.
func (s *stage) haproxy(_ bool, args []string) {
	s.usage(len(args) == 2 || len(args) == 3, "haproxy NAME VERSION [LEVEL] | haproxy NAME kill|restart")
	name := args[0]
	switch args[1] {
	case "kill":
		s.proxies[name].Kill()
		return
	case "restart":
		s.proxies[name].Restart()
		return
	}
	c := haproxytest.Config{Version: args[1], StateFile: true, Backends: []haproxytest.Backend{{Name: "web"}}}
	if len(args) == 3 {
		s.staged(&c, name, args[2])
	}
	p := haproxytest.Start(s.tb, c)
	s.proxies[name] = p
	s.ts.Setenv(name, p.Socket)
	s.ts.Setenv(name+"_state", p.StateDir())
	s.ts.Setenv(name+"_master", p.Master)
	s.ts.Setenv(name+"_file", p.File())
	s.ts.Setenv(name+"_pid", strconv.Itoa(p.Pid()))
	s.ts.Setenv(name+"_binary", haproxytest.Binary(s.tb, args[1]))
}

// staged makes one thing about a HAProxy otherwise: twice gives it the socket
// $SS/second.sock too, tcp one at the address $NAME_tcp, both a backend api besides web,
// few two slots only, open leads from the port $NAME_port to the servers, fixed a backend be_legacy whose servers are written by hand, checked health checks; with master it runs as master and worker, with the socket
// $NAME_master. All else is the level of its socket.
func (s *stage) staged(c *haproxytest.Config, name, how string) {
	switch how {
	case "twice":
		c.Extra = "global\n  stats socket " + s.ts.Getenv("SS") + "/second.sock level admin\n"
	case "tcp":
		address := "127.0.0.1:" + strconv.Itoa(haproxytest.FreePort(s.tb))
		c.Extra = "global\n  stats socket ipv4@" + address + " level admin\n"
		s.ts.Setenv(name+"_tcp", address)
	case "both":
		c.Backends = append(c.Backends, haproxytest.Backend{Name: "api", Prefix: "web"})
	case "few":
		c.Backends[0].Slots = 2
	case "fixed":
		c.Extra = "backend be_legacy\n  server old1 127.9.0.1:80 check\n  server old2 127.9.0.2:80 check\n"
	case "checked":
		c.Backends[0].Check = "check inter 200ms fall 1"
	case "open":
		c.Backends[0].Frontend = haproxytest.FreePort(s.tb)
		c.Backends[0].Options = []string{"timeout server 10m"} // a session lasts as long as its script
		s.ts.Setenv(name+"_port", strconv.Itoa(c.Backends[0].Frontend))
	case "master":
		c.Master = true
	default:
		c.Level = how
	}
}

// linger NAME keeps the worker of a HAProxy alive beyond reloads, until the end of
// the script.
func (s *stage) linger(_ bool, args []string) {
	s.usage(len(args) == 1, "linger NAME")
	s.proxies[args[0]].Linger()
}

// origin NAME starts a server at the port $NAME of 127.0.0.1 that answers "at last" after
// origin NAME release.
func (s *stage) origin(_ bool, args []string) {
	s.usage(len(args) > 0, "origin NAME [release]")
	if len(args) == 2 {
		close(s.origins[args[0]])
		return
	}
	released := make(chan struct{})
	s.origins[args[0]] = released
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
			fmt.Fprintln(w, "at last")
		case <-r.Context().Done():
		}
	}))
	s.ts.Defer(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	s.ts.Check(err)
	s.ts.Setenv(args[0], port)
}

// versions VAR sets VAR1, VAR2 and so on to the versions that the command
// before has listed.
func (s *stage) versions(_ bool, args []string) {
	s.usage(len(args) == 1, "versions VAR")
	for i, id := range regexp.MustCompile(`(?m)^[0-9]{8}T\S+`).FindAllString(s.ts.ReadFile("stdout"), -1) {
		s.ts.Setenv(args[0]+strconv.Itoa(i+1), id)
	}
}

// freeze NAME stops a HAProxy from answering, until the end of the script.
func (s *stage) freeze(_ bool, args []string) {
	s.usage(len(args) == 1, "freeze NAME")
	s.ts.Defer(s.proxies[args[0]].Stop())
}

// tell NAME COMMAND has a HAProxy do something behind the agent's back.
func (s *stage) tell(_ bool, args []string) {
	s.usage(len(args) == 2, "tell NAME COMMAND")
	haproxytest.Ask(s.tb, s.proxies[args[0]].Socket, args[1])
}

// servers NAME REGEXP waits until the servers of web match, each as
// "web1 10.0.0.1:80 admin-state".
func (s *stage) servers(neg bool, args []string) {
	s.usage(len(args) == 2, "servers NAME REGEXP")
	want := regexp.MustCompile("(?m)" + args[1])
	var seen string
	s.wait(func() bool {
		seen = ""
		for line := range strings.Lines(haproxytest.Ask(s.tb, s.proxies[args[0]].Socket, "show servers state web")) {
			if f := strings.Fields(line); len(f) > 18 && f[0] != "#" {
				seen += fmt.Sprintf("%s %s:%s %s\n", f[3], f[4], f[18], f[6])
			}
		}
		return want.MatchString(seen) != neg
	}, func() string { return fmt.Sprintf("servers of %s do not match %s:\n%s", args[0], args[1], seen) })
}

// consul start [acl] | register ID ADDR PORT [SERVICE] | deregister ID | token FILE RULES.
func (s *stage) consul(_ bool, args []string) {
	s.usage(len(args) > 0, "consul start [acl] | register ID ADDR PORT [SERVICE] | deregister ID | token FILE RULES")
	switch args[0] {
	case "start":
		if s.catalog = nil; len(args) == 2 {
			s.catalog = consultest.StartACL(s.tb)
		} else {
			s.catalog = consultest.Start(s.tb)
		}
		s.ts.Setenv("CONSUL", s.catalog.URL())
	case "register":
		port, err := strconv.Atoi(args[3])
		s.ts.Check(err)
		service := "web"
		if len(args) > 4 {
			service = args[4]
		}
		s.catalog.Register(service, args[1], args[2], port)
	case "deregister":
		s.catalog.Deregister(args[1])
	case "token":
		token := s.catalog.NewToken(args[2])
		s.ts.Setenv("TOKEN", token)
		s.ts.Check(os.WriteFile(s.ts.MkAbs(args[1]), []byte(token+"\n"), 0o600))
	default:
		s.ts.Fatalf("consul: what is %s?", args[0])
	}
}

// dns start | a NAME ADDR...
func (s *stage) dns(_ bool, args []string) {
	s.usage(len(args) > 0, "dns start | a NAME ADDR...")
	if args[0] == "start" {
		s.names = dnstest.NewServer(s.tb)
		s.ts.Setenv("DNS", s.names.Addr())
		return
	}
	var addrs []netip.Addr
	for _, text := range args[2:] {
		addr, err := netip.ParseAddr(text)
		s.ts.Check(err)
		addrs = append(addrs, addr)
	}
	s.names.SetA(args[1], time.Second, addrs...)
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
		"SLOTSYNC_LOG_LEVEL", "CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_USEC", "SLOTSYNC_DEPS"} {
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
