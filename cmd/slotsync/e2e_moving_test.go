package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestMoving makes every move of docs/moving.md, with the files that it shows, under load: no
// request fails, and afterwards the slots follow Consul.
func TestMoving(t *testing.T) {
	page, err := os.ReadFile("../../docs/moving.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)<!-- ([a-z-]+: [a-z.-]+) -->\n```[a-z]*\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks[m[1]] = m[2]
	}
	versions := []string{"3.0"}
	if long() {
		versions = haproxytest.Versions[:]
	}
	for _, from := range []struct{ name, config, after string }{
		{"consul-template", "consul-template", "consul-template"}, {"resolvers", "resolvers", "resolvers"}, {"dataplane", "consul-template", "consul-template"},
	} {
		for _, version := range versions {
			t.Run(from.name+" "+version, func(t *testing.T) {
				t.Parallel()
				m := newMove(t, blocks, version)
				m.run([]string{from.name + ": before", from.name + ": beside", from.after + ": after"}, from.config+": slotsync.yaml")
			})
		}
	}
}

// A move is one HAProxy with a service in Consul, and the blocks of the page.
type move struct {
	t        *testing.T
	blocks   map[string]string
	consul   *consultest.Server
	servers  []*webServer
	frontend string
	version  string
	edge     *haproxytest.Process
}

func newMove(t *testing.T, blocks map[string]string, version string) *move {
	m := &move{t: t, blocks: blocks, consul: consultest.Start(t), frontend: fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t)), version: version}
	for range 2 {
		m.add()
	}
	return m
}

// add starts a server and registers it.
func (m *move) add() {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	id := fmt.Sprintf("web-%d", len(m.servers)+1)
	s := startWebServer(id, l)
	m.t.Cleanup(s.Close)
	m.servers = append(m.servers, s)
	m.consul.Register("web", id, "127.0.0.1", int(s.Addr.Port()))
}

// text returns HAProxy's whole configuration with a block, as its tool renders it.
func (m *move) text(block string) string {
	m.t.Helper()
	if m.blocks[block] == "" {
		m.t.Fatalf("docs/moving.md has no block %q", block)
	}
	type service struct {
		ID, Address string
		Port        int
	}
	parsed, err := template.New("").Funcs(template.FuncMap{
		"service": func(string) (list []service) {
			for i, s := range m.servers {
				list = append(list, service{fmt.Sprintf("web-%d", i+1), "127.0.0.1", int(s.Addr.Port())})
			}
			return list
		},
		"address": func(i int) string { return m.servers[i].Addr.String() },
	}).Parse(m.blocks[block])
	if err != nil {
		m.t.Fatal(err)
	}
	var rendered bytes.Buffer
	if err := parsed.Execute(&rendered, nil); err != nil {
		m.t.Fatal(err)
	}
	common := strings.Replace(m.blocks["haproxy: common"], "defaults\n", "defaults\n\tmode http\n\ttimeout connect 1s\n\ttimeout client 30s\n\ttimeout server 30s\n", 1)
	return strings.NewReplacer("/run/haproxy/admin.sock", "{socket}", "/var/lib/slotsync/servers", "{dir}/state", "127.0.0.1:8600", m.consul.DNSAddr()).
		Replace(common + "\nfrontend http\n\tbind " + m.frontend + "\n\tdefault_backend web\n\n" + rendered.String())
}

func (m *move) run(steps []string, config string) {
	m.edge = haproxytest.Start(m.t, haproxytest.Config{Version: m.version, Master: true, Text: m.text(steps[0])})
	target := traffic.Target{Name: "edge", Addr: m.frontend}
	m.answers(target)
	load, stop := startLoad(m.t, 4, 10*time.Millisecond, target)
	defer stop()

	if steps[1] == "resolvers: beside" { // as the page says
		if err := os.WriteFile(filepath.Join(m.edge.StateDir(), "web"), []byte(haproxytest.Ask(m.t, m.edge.Socket, "show servers state web")), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	m.edge.Config.Text = m.text(steps[1])
	m.edge.Reload()
	program := m.slotsync(config)
	m.filled(1, 2)

	m.edge.Config.Text = m.text(steps[2])
	m.edge.Reload()
	m.filled(1, 2)
	if all := haproxytest.Ask(m.t, m.edge.Socket, "show servers state web"); strings.Count(all, " web ") != 100 {
		m.t.Errorf("the backend has other servers than slots:\n%s", all)
	}

	m.add()
	m.filled(1, 2, 3)
	m.consul.Deregister("web-1")
	m.filled(2, 3)
	load.reaches(m.t, 100)
	stop()
	if a := load.Account(); a.Failed > 0 || a.Excused > 0 {
		m.t.Errorf("%d of %d requests failed: %s", a.Failed, a.Requests, strings.Join(a.Failures, "\n"))
	}
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Error(err)
	}
	if err := program.Wait(); err != nil {
		m.t.Errorf("slotsync: %v", err)
	}
}

// answers waits until every server has answered.
func (m *move) answers(target traffic.Target) {
	m.t.Helper()
	c := traffic.NewClient(traffic.Options{Timeout: loadTimeout}, target, false)
	defer c.Close()
	seen := map[string]bool{}
	eventually(m.t, 30*time.Second, func() string {
		if r := c.Ask(m.t.Context()); !r.Failed() {
			seen[r.Server] = true
		}
		if len(seen) < len(m.servers) {
			return fmt.Sprintf("only %v answer", seen)
		}
		return ""
	})
}

// filled waits until exactly these servers are ready and up in the slots.
func (m *move) filled(numbers ...int) {
	m.t.Helper()
	want := map[string]bool{}
	for _, n := range numbers {
		want[m.servers[n-1].Addr.String()] = true
	}
	eventually(m.t, 30*time.Second, func() string {
		got := map[string]bool{}
		all := haproxytest.Ask(m.t, m.edge.Socket, "show servers state web")
		for line := range strings.Lines(all) {
			f := strings.Fields(line)
			if len(f) > 18 && strings.HasPrefix(f[3], "slot") && f[5] == "2" && f[6] != "5" {
				got[f[4]+":"+f[18]] = true
			}
		}
		for a := range want {
			if !got[a] {
				return fmt.Sprintf("%s is in no slot that is up:\n%s", a, all)
			}
		}
		if len(got) != len(want) {
			return fmt.Sprintf("%v are in slots, want %v", got, want)
		}
		return ""
	})
}

// slotsync starts the program with a configuration of the page.
func (m *move) slotsync(block string) *exec.Cmd {
	m.t.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text := strings.NewReplacer("/run/haproxy/admin.sock", m.edge.Socket, "/var/lib/slotsync/servers", m.edge.StateDir(),
		"http://127.0.0.1:8500", m.consul.URL(), "127.0.0.1:8600", m.consul.DNSAddr()).Replace(m.blocks[block])
	path := filepath.Join(dir, "slotsync.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.CommandContext(m.t.Context(), "slotsync", "run", "--config", path)
	cmd.Env = append(os.Environ(), "SLOTSYNC_HTTP_LISTEN=", "SLOTSYNC_HTTP_SOCKET="+dir+"/api.sock", "SLOTSYNC_STATE_DIR="+dir+"/state")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test failed
		if m.t.Failed() {
			m.t.Log(said.String())
		}
	})
	return cmd
}
