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

// TestGuides runs the commands of the guides, and those of slotsync's own of the examples' READMEs
// and of docs/set-up.md, on the files that they name. What they have copied to where a machine has
// it is where HAProxy and slotsync look here.
func TestGuides(t *testing.T) {
	for _, guide := range []struct {
		page, of string // the commands, and the files: of an example, or of the page itself
		edges    int
		world    func(*testing.T) map[string]string // starts what is asked, and says what stands where in slotsync.yaml
		want     string                             // what the first slot of web or api has; "" where nothing is written
	}{
		{"docs/guides/consul.md", "examples/consul", 1, catalogOfWeb, "web1 127.9.0.1:8080"},
		{"docs/guides/dns.md", "examples/dns", 1, func(t *testing.T) map[string]string {
			s := dnstest.NewServer(t)
			s.SetSRV("_api._tcp.example.org", time.Second, dnstest.Target{Name: "a.example.org", Port: 8080, Weight: 1})
			s.SetA("a.example.org", time.Second, netip.MustParseAddr("127.9.0.1"))
			s.SetA("static.example.org", time.Second, netip.MustParseAddr("127.9.0.2"))
			return map[string]string{`"10.0.0.53:53", "10.0.1.53:53"`: `"` + s.Addr() + `"`, "min_refresh: 5s": "min_refresh: 1s"}
		}, "api1 127.9.0.1:8080"},
		{"docs/guides/two-haproxies.md", "examples/two-instances", 2, func(t *testing.T) map[string]string {
			c := consultest.Start(t)
			c.Register("web", "web-1", "127.9.0.1", 8080)
			return map[string]string{"type: consul\n": "type: consul\n    address: " + c.URL() + "\n", "10.0.0.1": "127.9.0.1", "fd00::1": "::1"}
		}, "web1 127.9.0.1:8080"},
		{"examples/consul/README.md", "examples/consul", 1, catalogOfWeb, ""},
		{"docs/set-up.md", "docs/set-up.md", 1, catalogOfWeb, "web1 127.9.0.1:8080"},
		{"examples/files/README.md", "examples/files", 1, func(t *testing.T) map[string]string {
			folder := t.TempDir()
			for _, name := range []string{"web.yaml", "others.yaml"} {
				text := strings.ReplaceAll(readText(t, "../../examples/files/endpoints/"+name), "10.0.", "127.9.")
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return map[string]string{"/etc/slotsync/endpoints": folder, "10.0.0.0/8": "127.0.0.0/8"}
		}, ""},
	} {
		t.Run(guide.page, func(t *testing.T) {
			t.Parallel()
			g := newGuide(t, guide.of, guide.edges, guide.world(t))
			g.run(guideLines(t, "../../"+guide.page))
			for _, edge := range g.edges {
				if guide.want == "" {
					break
				}
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

// catalogOfWeb is a Consul that has the service web, and api.
func catalogOfWeb(t *testing.T) map[string]string {
	c := consultest.Start(t)
	c.Register("web", "web-1", "127.9.0.1", 8080, consultest.Tags("prod"))
	c.Register("api", "api-1", "127.9.0.2", 8080, consultest.Meta(map[string]string{"version": "2"}))
	return map[string]string{"http://127.0.0.1:8500": c.URL()}
}

// guideLines are the commands of a page: of a guide all, of others those of slotsync.
func guideLines(t *testing.T, page string) (lines []string) {
	t.Helper()
	if strings.Contains(page, "/guides/") {
		return shellLines(t, page, 5)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:sudo )?slotsync .*$`).FindAllString(readText(t, page), -1) {
		for line := range strings.SplitSeq(m, " && ") {
			lines = append(lines, strings.TrimPrefix(line, "sudo "))
		}
	}
	if len(lines) < 2 {
		t.Fatalf("%s shows %d commands", page, len(lines))
	}
	return lines
}

// guideFiles are the configurations of HAProxy and slotsync: the files of an example, or the first
// blocks of their kinds on a page.
func guideFiles(t *testing.T, of string) (proxy, own string) {
	t.Helper()
	if !strings.HasSuffix(of, ".md") {
		return readText(t, "../../"+of+"/haproxy.cfg"), readText(t, "../../"+of+"/slotsync.yaml")
	}
	text := readText(t, "../../"+of)
	for block, to := range map[string]*string{"(?s)```\n(global\n.*?)```": &proxy, "(?s)```yaml\n(haproxy:\n.*?)```": &own} {
		found := regexp.MustCompile(block).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no block %s", of, block)
		}
		*to = found[1]
	}
	return proxy, own
}

func newGuide(t *testing.T, of string, edges int, replace map[string]string) *guideRig {
	t.Helper()
	g := &guideRig{t: t}
	proxy, config := guideFiles(t, of)
	var err error
	if g.dir, err = os.MkdirTemp("", "ss"); err != nil { // paths of unix sockets are short
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(g.dir) })
	sockets := regexp.MustCompile(`socket: (/\S+)\n      state_file: (\S+)/\{backend\}`).FindAllStringSubmatch(config, -1)
	if len(sockets) != edges {
		t.Fatalf("%s has %d instances", of, len(sockets))
	}
	for _, s := range sockets {
		text := regexp.MustCompile(`(?m)^\t(user|group|chroot) .*\n`).ReplaceAllString(proxy, "")
		text = regexp.MustCompile(`(?m)^\tstats socket .*$`).ReplaceAllString(text, "\tstats socket {socket} level admin expose-fd listeners")
		text = regexp.MustCompile(`(?m)^\tserver-state-base .*$`).ReplaceAllString(text, "\tserver-state-base {dir}/state")
		text = regexp.MustCompile(`(?m)^\tbind .*$`).ReplaceAllString(text, fmt.Sprintf("\tbind 127.0.0.1:%d", haproxytest.FreePort(t)))
		edge := haproxytest.Start(t, haproxytest.Config{Version: "3.0", Master: true, Text: text})
		g.edges = append(g.edges, edge)
		config = strings.ReplaceAll(strings.ReplaceAll(config, s[1]+"\n", edge.Socket+"\n"), s[2]+"/", edge.StateDir()+"/")
	}
	for old, now := range replace {
		if !strings.Contains(config, old) {
			t.Fatalf("%s does not say %s", of, old)
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
		if strings.HasPrefix(line, "slotsync plan") {
			want = []int{0, 3} // the pages besides the guides do not say that there is something to do
		}
		if code := regexp.MustCompile(`exit (\d)`).FindStringSubmatch(comment); code != nil {
			n, _ := strconv.Atoi(code[1])
			want = []int{n}
		}
		args := strings.Fields(strings.ReplaceAll(strings.TrimSpace(line), "10.0.0.", "127.9.0."))
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
