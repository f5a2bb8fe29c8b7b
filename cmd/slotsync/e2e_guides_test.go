package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestGuides runs the commands of the guides on the files of the examples that they name.
func TestGuides(t *testing.T) {
	for _, guide := range []struct {
		page, example string
		edges         int
		world         func(*testing.T) map[string]string // starts what is asked, and says what stands where in slotsync.yaml
		want          string                             // what the first slot of web or api has
	}{
		{"consul", "consul", 1, func(t *testing.T) map[string]string {
			c := consultest.Start(t)
			c.Register("web", "web-1", "127.9.0.1", 8080, consultest.Tags("prod"))
			c.Register("api", "api-1", "127.9.0.2", 8080, consultest.Meta(map[string]string{"version": "2"}))
			return map[string]string{"http://127.0.0.1:8500": c.URL()}
		}, "web1 127.9.0.1:8080"},
		{"dns", "dns", 1, func(t *testing.T) map[string]string {
			s := dnstest.NewServer(t)
			s.SetSRV("_api._tcp.example.org", time.Second, dnstest.Target{Name: "a.example.org", Port: 8080, Weight: 1})
			s.SetA("a.example.org", time.Second, netip.MustParseAddr("127.9.0.1"))
			s.SetA("static.example.org", time.Second, netip.MustParseAddr("127.9.0.2"))
			return map[string]string{`"10.0.0.53:53", "10.0.1.53:53"`: `"` + s.Addr() + `"`, "min_refresh: 5s": "min_refresh: 1s"}
		}, "api1 127.9.0.1:8080"},
		{"two-haproxies", "two-instances", 2, func(t *testing.T) map[string]string {
			c := consultest.Start(t)
			c.Register("web", "web-1", "127.9.0.1", 8080)
			return map[string]string{"type: consul\n": "type: consul\n    address: " + c.URL() + "\n", "10.0.0.1": "127.9.0.1", "fd00::1": "::1"}
		}, "web1 127.9.0.1:8080"},
	} {
		t.Run(guide.page, func(t *testing.T) {
			t.Parallel()
			g := newGuide(t, guide.example, guide.edges, guide.world(t))
			g.run(shellLines(t, "../../docs/guides/"+guide.page+".md", 5))
			for _, edge := range g.edges {
				servers := haproxytest.Ask(t, edge.Socket, "show servers state")
				name, address, _ := strings.Cut(guide.want, " ")
				host, _, _ := strings.Cut(address, ":")
				if !strings.Contains(servers, " "+name+" "+host+" ") {
					t.Errorf("%s is not in\n%s", guide.want, servers)
				}
			}
		})
	}
}

// A guideRig is HAProxy and slotsync as an example has them.
type guideRig struct {
	t     *testing.T
	edges []*haproxytest.Process
	dir   string // has slotsync.yaml, and is where commands run
}

func newGuide(t *testing.T, example string, edges int, replace map[string]string) *guideRig {
	t.Helper()
	g := &guideRig{t: t}
	folder := filepath.Join("../../examples", example)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var err error
	if g.dir, err = os.MkdirTemp("", "ss"); err != nil { // paths of unix sockets are short
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(g.dir) })
	config := read("slotsync.yaml")
	sockets := regexp.MustCompile(`socket: (/\S+)\n      state_file: (\S+)/\{backend\}`).FindAllStringSubmatch(config, -1)
	if len(sockets) != edges {
		t.Fatalf("%s has %d instances", example, len(sockets))
	}
	for _, s := range sockets {
		text := regexp.MustCompile(`(?m)^\t(user|group|chroot) .*\n`).ReplaceAllString(read("haproxy.cfg"), "")
		text = regexp.MustCompile(`(?m)^\tstats socket .*$`).ReplaceAllString(text, "\tstats socket {socket} level admin expose-fd listeners")
		text = regexp.MustCompile(`(?m)^\tserver-state-base .*$`).ReplaceAllString(text, "\tserver-state-base {dir}/state")
		text = regexp.MustCompile(`(?m)^\tbind .*$`).ReplaceAllString(text, fmt.Sprintf("\tbind 127.0.0.1:%d", haproxytest.FreePort(t)))
		edge := haproxytest.Start(t, haproxytest.Config{Version: "3.0", Master: true, Text: text})
		g.edges = append(g.edges, edge)
		config = strings.ReplaceAll(strings.ReplaceAll(config, s[1]+"\n", edge.Socket+"\n"), s[2]+"/", edge.StateDir()+"/")
	}
	for old, now := range replace {
		if !strings.Contains(config, old) {
			t.Fatalf("%s does not say %s", example, old)
		}
		config = strings.ReplaceAll(config, old, now)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "slotsync.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// run types the commands one after the other. The agent goes on in the background, and its
// status is asked for until it is ready.
func (g *guideRig) run(lines []string) {
	for _, line := range lines {
		line, comment, _ := strings.Cut(line, " #")
		want := []int{0}
		if code := regexp.MustCompile(`exit (\d)`).FindStringSubmatch(comment); code != nil {
			n, _ := strconv.Atoi(code[1])
			want = []int{n}
		}
		args := strings.Fields(strings.ReplaceAll(line, "10.0.0.", "127.9.0."))
		switch {
		case slices.Equal(args[:2], []string{"slotsync", "run"}):
			g.agent(args)
		case slices.Equal(args, []string{"slotsync", "status"}):
			eventually(g.t, 30*time.Second, func() string {
				if out, err := g.command(args).CombinedOutput(); err != nil || !strings.Contains(string(out), "in sync") {
					return string(out)
				}
				return ""
			})
		default:
			if out, err := g.command(args).CombinedOutput(); !slices.Contains(want, codeOf(err)) {
				g.t.Errorf("%s: exit %d, want %v\n%s", line, codeOf(err), want, out)
			}
		}
	}
}

func (g *guideRig) command(args []string) *exec.Cmd {
	cmd := exec.CommandContext(g.t.Context(), args[0], args[1:]...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "SLOTSYNC_HTTP_LISTEN=", "SLOTSYNC_HTTP_SOCKET="+g.dir+"/api.sock", "SLOTSYNC_AGENT=unix://"+g.dir+"/api.sock", "SLOTSYNC_STATE_DIR="+g.dir+"/state")
	return cmd
}

func (g *guideRig) agent(args []string) {
	g.t.Helper()
	cmd := g.command(args)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if g.t.Failed() {
			g.t.Log(said.String())
		}
	})
}
