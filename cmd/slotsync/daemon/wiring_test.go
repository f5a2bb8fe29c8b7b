package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// Sources of one system that differ in nothing share its client, also over a
// reload; those that differ do not.
func TestSystemsAreShared(t *testing.T) {
	text := "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: s, type: consul}, {name: d, type: dns, servers: ['127.0.0.1:1']}]\n" +
		"backends: [{name: w, source: s, service: w}, {name: v, source: s, service: v}, {name: u, source: d, record: u.x, port: 1}]\n"
	first := wired(t, text, nil)
	if len(first.Systems) != 2 {
		t.Errorf("%d systems for 2 sources", len(first.Systems))
	}
	second := wired(t, strings.Replace(text, "service: v", "service: t", 1), first.Systems)
	for key, s := range first.Systems {
		if second.Systems[key] != s {
			t.Errorf("%s is opened again", key)
		}
	}
	third := wired(t, strings.Replace(text, "type: consul", "type: consul, wait: 30s", 1), first.Systems)
	var kept int
	for key, s := range first.Systems {
		if third.Systems[key] == s {
			kept++
		}
	}
	if kept != 1 || len(third.Systems) != 2 {
		t.Errorf("%d of %d systems are kept, want 1 of 2", kept, len(third.Systems))
	}
}

func wired(t *testing.T, text string, open systems) Wiring {
	t.Helper()
	w, err := Wire(configOf(t, text), open)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What a configuration that is not used has opened is closed; what the one before
// has is not.
func TestWhatIsNotUsedIsClosed(t *testing.T) {
	closed := map[string]bool{}
	fake := func(name string) *system { return &system{close: func() { closed[name] = true }} }
	before := systems{"a": fake("a"), "b": fake("b")}
	next := systems{"a": before["a"], "c": fake("c")}
	before.closeBut(next)
	if fmt.Sprint(closed) != "map[b:true]" {
		t.Errorf("closed: %v", closed)
	}
	next.closeBut(before)
	if fmt.Sprint(closed) != "map[b:true c:true]" {
		t.Errorf("closed: %v", closed)
	}
}

// Files that are named are read when the configuration is put in force, and a
// fault in them names the source.
func TestFilesOfSources(t *testing.T) {
	dir := t.TempDir()
	empty := dir + "/empty"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"type: consul, token_file: " + empty, "type: nomad, token_file: " + empty, "type: consul, tls: {ca_file: " + empty + "}"} {
		cfg := configOf(t, consulHead+"sources: [{name: s, "+source+"}]\n")
		if _, err := Wire(cfg, nil); err == nil || !strings.Contains(err.Error(), "source s: ") || !isUsage(err) {
			t.Errorf("%s: %v", source, err)
		}
	}
}

const consulHead = "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nbackends: [{name: w, source: s, service: w}]\n"

// configOf reads text as slotsync.yaml.
func configOf(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slotsync.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Where nothing is to be kept, what reloads HAProxy is made all the same.
func TestWiringWithoutStateDir(t *testing.T) {
	cfg := configOf(t, "haproxy: {instances: [{name: edge, socket: /run/a.sock}]}\nbackends: [{name: web, endpoints: ['10.0.0.1:80']}]\n"+
		"state_dir: none\nreload: {master: /m, file: /f}\n")
	if _, err := Wire(cfg, nil); err != nil {
		t.Error(err)
	}
}

// TestFeedsOfTheAgent: every feed of a backend reaches the agent, under its name.
func TestFeedsOfTheAgent(t *testing.T) {
	cfg := configOf(t, `
haproxy: {instances: [{name: e, socket: /run/a.sock}]}
sources: [{name: c, type: consul}, {name: d, type: dns}, {name: f, type: file, path: /e/*.yaml}, {name: n, type: nomad}]
backends:
  - name: w
    from:
      - {source: c, service: w, datacenter: dc1}
      - {source: c, name: far, service: w, datacenter: dc2}
      - {source: f}
      - {source: n, service: w, tags: [a]}
      - {source: d, record: w.x, port: 80}
    on_all_unhealthy: drop
`)
	w, err := Wire(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := agentBackend(cfg.Backends[0], w.Sources[0])
	if len(o.Feeds) != 5 || o.Feeds[1].Name != "far" || o.OnAllUnhealthy != agent.DropUnhealthy {
		t.Errorf("%+v", o)
	}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[*config.UsageError](err)
	return ok
}
