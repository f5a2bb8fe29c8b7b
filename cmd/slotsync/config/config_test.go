package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/guard"
)

// parse reads text as slotsync.yaml.
func parse(text string, env Environment) (*Config, error) {
	doc, faults := parseYAML([]byte(text))
	cfg, _, err := validate("slotsync.yaml", doc, faults, env)
	return cfg, err
}

const minimal = "haproxy: {instances: [{name: edge, socket: /run/a.sock}]}\nbackends: [{name: web, endpoints: ['10.0.0.1:80']}]\n"

func TestReferenceHasEveryKey(t *testing.T) {
	cfg, err := Load("../testdata/reference.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Backends) != 8 || len(cfg.Sources) != 4 || len(cfg.Instances) != 2 {
		t.Errorf("%d backends, %d sources, %d instances", len(cfg.Backends), len(cfg.Sources), len(cfg.Instances))
	}
	text, err := os.ReadFile("../testdata/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := parseYAML(text)
	seen := map[string]bool{}
	for path := range doc.places {
		seen[anyKey(path)] = true
	}
	for _, path := range keys(File(), "") {
		if !seen[anyKey(path)] {
			t.Errorf("the reference lacks %s", path)
		}
	}
}

// anyKey is a path without what differs between places of the same kind: a
// reload is one mapping, wherever it stands, and defaults have keys of backends.
func anyKey(path string) string {
	if key, ok := strings.CutPrefix(path, "defaults."); ok {
		return "backends[]." + key
	}
	return strings.Replace(anyIndex(path), "haproxy.instances[].reload.", "reload.", 1)
}

// The values that the reference marks as defaults are the defaults.
func TestReferenceSaysTheDefaults(t *testing.T) {
	bare, err := parse(minimal, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := Load("../testdata/reference.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	ref.HTTP.SocketIsDefault, ref.HTTP.Hosts = true, nil
	if diff := cmp.Diff(bare.HTTP, ref.HTTP, cmp.AllowUnexported(HTTP{})); diff != "" {
		t.Error(diff)
	}
	if bare.Timeout != ref.Timeout || bare.Poll != ref.Poll || bare.Resync != ref.Resync || bare.LockWait != ref.LockWait || bare.StateDir != ref.StateDir {
		t.Error("haproxy or state_dir differ")
	}
	if bare.Backends[0].Guard != ref.Backends[0].Guard || bare.Backends[0].Drain != ref.Backends[0].Drain {
		t.Error("guard or drain differ")
	}
	if bare.Backends[0].MaxSlots != ref.Backends[0].MaxSlots {
		t.Error("max_slots differs")
	}
	if bare, err = parse(minimal+"reload: {master: /run/haproxy-master.sock}\n", nil); err != nil {
		t.Fatal(err)
	}
	was, is := bare.Reloads[0], ref.Reloads[0]
	if was.Keep != is.Keep || was.MaxPerHour != is.MaxPerHour || was.MinInterval != is.MinInterval || was.Jitter != is.Jitter || was.Timeout != is.Timeout {
		t.Errorf("reload differs: %+v, %+v", was, is)
	}
}

// keys are all paths of the schema, [] for any index.
func keys(t reflect.Type, prefix string) []string {
	var list []string
	for key, f := range members(t) {
		ft, path := f.Type, join(prefix, key)
		list = append(list, path)
		if ft.Kind() == reflect.Slice {
			ft, path = ft.Elem(), path+"[]"
		}
		if IsMapping(ft) {
			list = append(list, keys(ft, path)...)
		}
	}
	return list
}

func TestJSON(t *testing.T) {
	yaml, err := parse(minimal, nil)
	if err != nil {
		t.Fatal(err)
	}
	json, err := parse("{\n\t\"haproxy\": {\"instances\": [{\"name\": \"edge\", \"socket\": \"\\/run/a.sock\"}]},\n\t\"backends\": [{\"name\": \"web\", \"endpoints\": [\"10.0.0.1:80\"]}]\n}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(yaml, json) {
		t.Errorf("%+v\n%+v", yaml, json)
	}
}

func TestEnvironment(t *testing.T) {
	cfg, err := parse(minimal+"http: {listen: '127.0.0.1:1'}\n", Environment{
		"SLOTSYNC_HTTP_LISTEN": "", "SLOTSYNC_HAPROXY_TIMEOUT": "2s", "SLOTSYNC_GUARD_EMPTY_HOLD": "never",
		"STATE_DIRECTORY": "/var/lib/x", "SLOTSYNC_HTTP_SOCKET": "/run/y.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTP.Listen != "" || cfg.Timeout != 2*time.Second || cfg.Backends[0].Guard.EmptyHold != guard.Never ||
		cfg.StateDir != "/var/lib/x" || cfg.HTTP.Socket != "/run/y.sock" || cfg.HTTP.SocketIsDefault {
		t.Errorf("%+v", cfg)
	}
	_, err = parse(minimal, Environment{"SLOTSYNC_LOG_LEVEL": "loud", "SLOTSYNC_HTTP_LISTEN": "nowhere"})
	want := "SLOTSYNC_HTTP_LISTEN: \"nowhere\" is not host:port\nSLOTSYNC_LOG_LEVEL: \"loud\" is none of info, debug, warn, error"
	if err == nil || !strings.Contains(err.Error(), strings.Split(want, "\n")[0]) || !strings.Contains(err.Error(), strings.Split(want, "\n")[1]) {
		t.Errorf("got %v", err)
	}
}

func TestEveryScalarOutsideListsHasAVariable(t *testing.T) {
	var names []string
	for _, s := range scalars(File(), "") {
		names = append(names, variable(s.path))
	}
	want := []string{"SLOTSYNC_HAPROXY_TIMEOUT", "SLOTSYNC_HAPROXY_POLL", "SLOTSYNC_HAPROXY_RESYNC", "SLOTSYNC_HAPROXY_LOCK_WAIT",
		"SLOTSYNC_RELOAD_MASTER", "SLOTSYNC_RELOAD_TEMPLATE", "SLOTSYNC_RELOAD_FILE", "SLOTSYNC_RELOAD_KEEP", "SLOTSYNC_RELOAD_MIN_INTERVAL",
		"SLOTSYNC_RELOAD_MAX_PER_HOUR", "SLOTSYNC_RELOAD_JITTER", "SLOTSYNC_RELOAD_TIMEOUT", "SLOTSYNC_DEFAULTS_SLOTS", "SLOTSYNC_DEFAULTS_SOURCE",
		"SLOTSYNC_DEFAULTS_FILTER", "SLOTSYNC_DEFAULTS_ADDRESS_TAG", "SLOTSYNC_DEFAULTS_PORT_NAME", "SLOTSYNC_DEFAULTS_DEFAULT_PORT", "SLOTSYNC_DEFAULTS_DATACENTER",
		"SLOTSYNC_DEFAULTS_HEALTH", "SLOTSYNC_DEFAULTS_IGNORE_NODE_HEALTH", "SLOTSYNC_DEFAULTS_FAMILY", "SLOTSYNC_DEFAULTS_ON_ALL_UNHEALTHY",
		"SLOTSYNC_DEFAULTS_DYNAMIC", "SLOTSYNC_DEFAULTS_DYNAMIC_OPTIONS", "SLOTSYNC_DEFAULTS_MAX_SLOTS", "SLOTSYNC_DEFAULTS_LEAVE", "SLOTSYNC_DEFAULTS_DRAIN",
		"SLOTSYNC_DEFAULTS_DRAIN_SHUTDOWN", "SLOTSYNC_DEFAULTS_GUARD_EMPTY_HOLD", "SLOTSYNC_DEFAULTS_GUARD_REMOVAL_HOLD", "SLOTSYNC_DEFAULTS_GUARD_MAX_REMOVAL",
		"SLOTSYNC_DEFAULTS_GUARD_WINDOW", "SLOTSYNC_DEFAULTS_GUARD_TURNOVER_WAIT", "SLOTSYNC_DEFAULTS_GUARD_MIN_ENDPOINTS", "SLOTSYNC_DEFAULTS_EXTERNAL",
		"SLOTSYNC_GUARD_EMPTY_HOLD", "SLOTSYNC_GUARD_REMOVAL_HOLD", "SLOTSYNC_GUARD_MAX_REMOVAL", "SLOTSYNC_GUARD_WINDOW", "SLOTSYNC_GUARD_TURNOVER_WAIT", "SLOTSYNC_GUARD_MIN_ENDPOINTS", "SLOTSYNC_HTTP_LISTEN", "SLOTSYNC_HTTP_SOCKET",
		"SLOTSYNC_HTTP_SOCKET_MODE", "SLOTSYNC_HTTP_SOCKET_GROUP", "SLOTSYNC_HTTP_TOKEN_FILE", "SLOTSYNC_HTTP_READ_TOKEN_FILE", "SLOTSYNC_HTTP_LOOPBACK",
		"SLOTSYNC_HTTP_MAX_FOR", "SLOTSYNC_HTTP_WEB_CONFIG_FILE", "SLOTSYNC_HTTP_AUDIT", "SLOTSYNC_LOG_LEVEL", "SLOTSYNC_LOG_FORMAT",
		"SLOTSYNC_STATE_DIR", "SLOTSYNC_SLOT_MAP"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestStateDirDefault(t *testing.T) {
	for want, env := range map[string]Environment{
		"/var/lib/slotsync":   nil,
		"/x":                  {"STATE_DIRECTORY": "/x", "NOMAD_ALLOC_DIR": "/n"},
		"/n/data/slotsync":    {"NOMAD_ALLOC_DIR": "/n", "STATE_DIRECTORY": ""},
		"/y":                  {"STATE_DIRECTORY": "/y:/y/servers", "NOMAD_ALLOC_DIR": "/n"},
		"":                    {"SLOTSYNC_STATE_DIR": "none", "STATE_DIRECTORY": "/x"},
		"/from/the/variables": {"SLOTSYNC_STATE_DIR": "/from/the/variables", "STATE_DIRECTORY": "/x"},
	} {
		cfg, err := parse(minimal, env)
		if err != nil || cfg.StateDir != want {
			t.Errorf("%v: %v, %v", env, cfg, err)
		}
	}
}

// Where nothing is to be kept, no versions of HAProxy's configuration are either.
func TestNoStateDir(t *testing.T) {
	cfg, err := parse(minimal+"state_dir: none\nreload: {master: /m, file: /f}\n", nil)
	if err != nil || cfg.StateDir != "" || cfg.Reloads[0].VersionsDir(cfg.StateDir) != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
	wantFault(t, strings.Replace(minimal, "name: web", "name: web, slots: web", 1)+"state_dir: none\nreload: {master: /m, file: /f, template: /t}\n",
		`3:12: state_dir: none does not go with the template of reload "haproxy"`)
}

// A watch or a worker goes on over a reload exactly if nothing of it changed.
func TestKeys(t *testing.T) {
	base := "haproxy: {timeout: 5s, instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: c, type: consul}]\nbackends: [{name: w, source: c, service: w}]\n"
	keysOf := func(text string) [2]string {
		cfg, err := parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{cfg.Instances[0].Key, cfg.Backends[0].Feeds[0].Key}
	}
	was := keysOf(base)
	for _, tt := range []struct {
		old, new         string
		instance, source bool // changes
	}{
		{"timeout: 5s", "timeout: 4s", true, false},
		{"socket: /run/a.sock", "socket: /run/b.sock", true, false},
		{"socket: /run/a.sock", "socket: /run/a.sock, state_file: /s", true, false},
		{"service: w", "service: v", false, true},
		{"service: w", "service: w, tags: [a]", false, true},
		{"service: w", "service: w, leave: drain", false, false},
		{"service: w", "service: w, guard: {window: 1m}", false, false},
		{"type: consul", "type: consul, wait: 30s", false, true},
		{"type: consul", "type: consul, token_file: /t", false, true},
	} {
		now := keysOf(strings.Replace(base, tt.old, tt.new, 1))
		if (now[0] != was[0]) != tt.instance || (now[1] != was[1]) != tt.source {
			t.Errorf("%s: instance %t, source %t", tt.new, now[0] != was[0], now[1] != was[1])
		}
	}
}

func TestDirect(t *testing.T) {
	tests := []struct {
		name  string
		d     Inline
		fault string
	}{
		{"consul", Inline{Sockets: []string{"/run/a.sock"}, Backend: "web", Consul: "web"}, ""},
		{"two", Inline{Sockets: []string{"/run/a.sock", "tcp://h:1"}, StateFiles: []string{"/a", "/b"}, Backend: "web", DNS: "_w._tcp.x"}, ""},
		{"address", Inline{Sockets: []string{"/run/a.sock"}, Backend: "web", DNS: "w.x:80", DNSServers: []string{"127.0.0.1:53"}}, ""},
		{"no port", Inline{Sockets: []string{"/run/a.sock"}, Backend: "web", DNS: "w.x"}, "--dns: address records have no port: write it behind the name, as in w.x:80"},
		{"bad server", Inline{Sockets: []string{"/run/a.sock"}, Backend: "web", DNS: "w.x:80", DNSServers: []string{"x"}}, `--dns-server: "x" is not ip:port`},
		{"bad socket", Inline{Sockets: []string{"a.sock"}, Backend: "web", Consul: "web"}, `--socket: "a.sock" is not an absolute path`},
		{"bad backend", Inline{Sockets: []string{"/a"}, Backend: "w b", Consul: "web"}, `--backend: "w b" is not a name`},
		{"no socket", Inline{Backend: "web", Consul: "web"}, "--socket is missing"},
		{"both", Inline{Sockets: []string{"/a"}, Backend: "web", Consul: "web", DNS: "x"}, "one of --consul"},
		{"state files", Inline{Sockets: []string{"/a", "/b"}, Backend: "web", Consul: "web", StateFiles: []string{"/x"}}, "one for each"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.d.Load(nil)
			if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
				t.Errorf("got %v, want %q", err, tt.fault)
			}
		})
	}
}

// --consul asks where Consul's own variables say, unless a flag says otherwise.
func TestDirectObeysTheVariablesOfConsul(t *testing.T) {
	env := Environment{"CONSUL_HTTP_ADDR": "consul.example.org:8500", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_TOKEN": "t", "CONSUL_CACERT": "/ca.pem", "CONSUL_NAMESPACE": "n"}
	for flag, want := range map[string]string{"": "https://consul.example.org:8500", "http://c:1": "http://c:1"} {
		cfg, err := (&Inline{Sockets: []string{"/run/a.sock"}, Backend: "web", Consul: "web", ConsulAddress: flag}).Load(env)
		if err != nil {
			t.Fatal(err)
		}
		got := cfg.Sources["consul"]
		if got.Consul.Address != want || got.Token != "t" || got.Consul.TLS.CAFile != "/ca.pem" || got.Consul.Namespace != "n" {
			t.Errorf("%q: %+v", flag, got)
		}
	}
	if cfg, err := (&Inline{Sockets: []string{"/run/a.sock"}, Backend: "web", Consul: "web"}).Load(nil); err != nil || cfg.Sources["consul"].Consul.Address != "http://127.0.0.1:8500" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none"): "there is no such file", dir: "is a folder"} {
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whatever the bytes, loading ends with a configuration or with faults that
// have a place and fit on a line.
func FuzzConfig(f *testing.F) {
	reference, err := os.ReadFile("../testdata/reference.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	for _, text := range []string{"", minimal, "a: &a [*a]", "? [x]\n: y", "--- !!map {}\n...\n---", "{\"haproxy\": null}", "backends: [{guard: {window: ~}}]",
		"<<: {haproxy: 1}", "haproxy: !<x> 5", "backends: [[[[[[{}]]]]]]", "http: {hosts: [~, 1, {}]}", "\xff\xfe", "log: {level: \"\\u001b[2J\"}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parse(string(data), nil)
		if err == nil {
			if len(cfg.Instances) == 0 || len(cfg.Backends) == 0 {
				t.Error("nothing to do, and no fault")
			}
			_, s := settingsOf(t, string(data), nil)
			again, _ := settingsOf(t, s.YAML(true), nil)
			if diff := sameConfig(cfg, again); diff != "" {
				t.Error(diff)
			}
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		for i, fault := range e.faults {
			if line := e.Lines()[i]; fault.line < 1 || fault.col < 1 || strings.ContainsAny(line, "\n\x1b") {
				t.Errorf("%q at %d:%d", line, fault.line, fault.col)
			}
		}
	})
}

// anyIndex returns path with every [7] as [].
func anyIndex(path string) string {
	parts := strings.Split(path, "[")
	for i, part := range parts[1:] {
		_, rest, _ := strings.Cut(part, "]")
		parts[i+1] = "]" + rest
	}
	return strings.Join(parts, "[")
}
