package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent"
)

// parse reads text as slotsync.yaml.
func parse(text string, env environment) (*config, error) {
	doc, faults := parseYAML([]byte(text))
	return newConfig("slotsync.yaml", doc, faults, env)
}

const minimal = "haproxy: {instances: [{name: edge, socket: /run/a.sock}]}\nbackends: [{name: web, endpoints: ['10.0.0.1:80']}]\n"

func TestReferenceHasEveryKey(t *testing.T) {
	cfg, err := loadConfig("testdata/reference.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.backends) != 8 || len(cfg.sources) != 4 || len(cfg.instances) != 2 {
		t.Errorf("%d backends, %d sources, %d instances", len(cfg.backends), len(cfg.sources), len(cfg.instances))
	}
	text, err := os.ReadFile("testdata/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := parseYAML(text)
	seen := map[string]bool{}
	for path := range doc.places {
		seen[anyKey(path)] = true
	}
	for _, path := range keys(reflect.TypeFor[rawConfig](), "") {
		if !seen[anyKey(path)] {
			t.Errorf("the reference lacks %s", path)
		}
	}
}

// anyKey is a path without what differs between places of the same kind: a
// reload is one mapping, wherever it stands.
func anyKey(path string) string {
	return strings.Replace(anyIndex(path), "haproxy.instances[].reload.", "reload.", 1)
}

// The values that the reference marks as defaults are the defaults.
func TestReferenceSaysTheDefaults(t *testing.T) {
	bare, err := parse(minimal, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := loadConfig("testdata/reference.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	ref.http.socketIsDefault, ref.http.hosts = true, nil
	if diff := cmp.Diff(bare.http, ref.http, cmp.AllowUnexported(httpConfig{})); diff != "" {
		t.Error(diff)
	}
	if bare.timeout != ref.timeout || bare.poll != ref.poll || bare.resync != ref.resync || bare.stateDir != ref.stateDir {
		t.Error("haproxy or state_dir differ")
	}
	if bare.backends[0].guard != ref.backends[0].guard || bare.backends[0].drain != ref.backends[0].drain {
		t.Error("guard or drain differ")
	}
	if bare.backends[0].maxSlots != ref.backends[0].maxSlots {
		t.Error("max_slots differs")
	}
	if bare, err = parse(minimal+"reload: {master: /run/haproxy-master.sock}\n", nil); err != nil {
		t.Fatal(err)
	}
	was, is := bare.reloads[0], ref.reloads[0]
	if was.keep != is.keep || was.maxPerHour != is.maxPerHour || was.minInterval != is.minInterval || was.jitter != is.jitter || was.timeout != is.timeout {
		t.Errorf("reload differs: %+v, %+v", was, is)
	}
}

// keys are all paths of the schema, [] for any index.
func keys(t reflect.Type, prefix string) []string {
	var list []string
	for key, ft := range fields(t) {
		path := join(prefix, key)
		list = append(list, path)
		if ft.Kind() == reflect.Slice {
			ft, path = ft.Elem(), path+"[]"
		}
		if ft.Kind() == reflect.Struct {
			list = append(list, keys(ft, path)...)
		}
	}
	return list
}

func TestFaults(t *testing.T) {
	const head = "haproxy: {instances: [{name: edge, socket: /run/a.sock}]}\n"
	const fixed = "backends: [{name: web, endpoints: ['10.0.0.1:80']}]\n"
	consul := head + "sources: [{name: c, type: consul}]\n"
	dns := head + "sources: [{name: d, type: dns}]\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", `1:1: backends: there is no backend: name at least one and its source
1:1: haproxy.instances: there is no instance: name at least one HAProxy and its socket`},
		{"not YAML", "a: [", "not YAML or JSON"},
		{"a tab", "haproxy:\n\ttimeout: 5s", "2:1: not YAML or JSON"},
		{"scalar", "slotsync", "1:1: wants keys and values, not the string"},
		{"two documents", head + fixed + "---\n{}\n", "3:1: a second document starts here"},
		{"duplicate key", head + fixed + "haproxy: {}\n", `3:1: key "haproxy" is there twice, first in line 1`},
		{"alias", head + "backends: &b [{name: web, endpoints: ['10.0.0.1:80']}]\nguard: *b\n", "2:11: backends: anchors and aliases"},
		{"tag", head + fixed + "state_dir: !!binary aGk=\n", "3:12: state_dir: tags such as !!binary"},
		{"number for string", head + fixed + "http: {socket_mode: 0660}\n", `3:21: http.socket_mode: wants a string, not the number 0660: write "0660"`},
		{"string for number", dns + "backends: [{name: w, source: d, record: a.b, port: '80'}]\n", `3:52: backends[0].port: wants a whole number, not the string "80"`},
		{"string for bool", consul + "backends: [{name: w, source: c, service: w, ignore_node_health: yes}]\n", `3:65: backends[0].ignore_node_health: wants true or false, not the string "yes"`},
		{"map for list", "haproxy: {instances: {name: edge}}\n" + fixed, "1:22: haproxy.instances: wants a list, not keys and values"},
		{"null in list", head + "backends: [{name: web, endpoints: ['10.0.0.1:80']}, ]\nsources: [~]\n", "3:11: sources[0]: an entry of the list is empty"},
		{"unknown key", head + fixed + "htp: {}\n", `3:1: unknown key "htp"; did you mean "http"?`},
		{"unknown key, far", head + fixed + "zzzzzzzz: {}\n", `3:1: unknown key "zzzzzzzz"`},
		{"later key", head + fixed + "http: {web_config_file: x}\n", `3:8: http: key "web_config_file" is not supported by this version of slotsync: leave it out`},
		{"later key in list", head + "backends: [{name: web, drain_shutdown: true, endpoints: ['10.0.0.1:80']}]\n", `2:24: backends[0]: key "drain_shutdown" is not supported`},
		{"bad type", head + "sources: [{name: f, type: cnsul}]\n" + fixed, `did you mean "consul"?`},
		{"bad duration", head + fixed + "guard: {window: 5}\n", `3:17: guard.window: wants a string, not the number 5`},
		{"bad duration text", head + fixed + "guard: {window: 5 m}\n", `3:17: guard.window: "5 m" is not a duration`},
		{"long duration", "haproxy: {timeout: 2h, instances: [{name: edge, socket: /run/a.sock}]}\n" + fixed, "1:20: haproxy.timeout: 2h is not within 50ms and 1m"},
		{"bad hold", head + fixed + "guard: {empty_hold: always}\n", `"always" is not a hold`},
		{"negative hold", head + fixed + "guard: {empty_hold: -5s}\n", `-5s is not within`},
		{"bad percent", head + fixed + "guard: {max_removal: 101%}\n", `"101%" is not a share`},
		{"zero percent", head + fixed + "guard: {max_removal: 0%}\n", `"0%" is not a share`},
		{"bad name", "haproxy: {instances: [{name: 'a b', socket: /run/a.sock}]}\n" + fixed, `1:30: haproxy.instances[0].name: "a b" is not a name`},
		{"two commands in a name", head + "backends: [{name: \"web;shutdown\", endpoints: ['10.0.0.1:80']}]\n", `"web;shutdown" is not a name`},
		{"same instance", "haproxy: {instances: [{name: e, socket: /run/a.sock}, {name: e, socket: /run/b.sock}]}\n" + fixed, "has the name \"e\" already"},
		{"same socket", "haproxy: {instances: [{name: e, socket: /run/a.sock}, {name: f, socket: unix:///run/./a.sock}]}\n" + fixed, `instance "e" has this socket already`},
		{"same state file", "haproxy: {instances: [{name: e, socket: /run/a.sock, state_file: /s}, {name: f, socket: /run/b.sock, state_file: /s}]}\n" + fixed, `instance "e" writes this file already`},
		{"long socket", "haproxy: {instances: [{name: e, socket: /" + strings.Repeat("x", 107) + "}]}\n" + fixed, "the path is 108 bytes long"},
		{"bad tcp", "haproxy: {instances: [{name: e, socket: 'tcp://127.0.0.1:70000'}]}\n" + fixed, `port "70000" is not within 1 and 65535`},
		{"unknown source", consul + "backends: [{name: w, source: x, service: w}]\n", `there is no source named "x"`},
		{"unknown instance", head + "backends: [{name: w, instances: [egde], endpoints: ['10.0.0.1:80']}]\n", `there is no instance named "egde"; did you mean "edge"?`},
		{"record for consul", consul + "backends: [{name: w, source: c, service: w, record: x}]\n", "record: does not go with a source of type consul"},
		{"service for dns", dns + "backends: [{name: w, source: d, record: _x._tcp.y, service: w}]\n", "service: does not go with a source of type dns"},
		{"no port", dns + "backends: [{name: w, source: d, record: a.b}]\n", "port: is missing: address records have none"},
		{"port of SRV", dns + "backends: [{name: w, source: d, record: _a._tcp.b, port: 80}]\n", "does not go with SRV records"},
		{"port", dns + "backends: [{name: w, source: d, record: a.b, port: 70000}]\n", "70000 is not within 1 and 65535"},
		{"endpoint and source", consul + "backends: [{name: w, source: c, service: w, endpoints: ['10.0.0.1:80']}]\n", "endpoints: does not go with a backend with source"},
		{"neither", head + "backends: [{name: w}]\n", `backend "w" has neither source, from nor endpoints`},
		{"bad endpoint", head + "backends: [{name: w, endpoints: ['10.0.0.1']}]\n", `"10.0.0.1" is not an address and port`},
		{"refused endpoint", head + "backends: [{name: w, endpoints: ['169.254.169.254:80']}]\n", "must not be an endpoint (link local)"},
		{"same backend", head + "backends: [{name: w, endpoints: ['10.0.0.1:80']}, {name: v, backend: w, endpoints: ['10.0.0.1:80']}]\n", "is filled by backends[0] already"},
		{"dns key for consul", head + "sources: [{name: c, type: consul, tcp: auto}]\n" + fixed, "tcp: is for sources of type dns"},
		{"token in address", head + "sources: [{name: c, type: consul, address: 'http://a:b@h:1'}]\n" + fixed, "tokens belong into token_file"},
		{"half a certificate", head + "sources: [{name: c, type: consul, tls: {cert_file: /a}}]\n" + fixed, "cert_file and key_file belong together"},
		{"open listener", head + fixed + "http: {listen: '0.0.0.0:9750'}\n", "3:16: http.listen: 0.0.0.0:9750 can be reached from other machines"},
		{"all interfaces", head + fixed + "http: {listen: ':9750'}\n", "can be reached from other machines"},
		{"relative state", head + fixed + "state_dir: state\n", `"state" is not an absolute path`},
		{"too large", strings.Repeat("#", maxConfig+1), "larger than 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.text, nil)
			if err == nil {
				t.Fatal("no fault")
			}
			if got := strings.ReplaceAll(err.Error(), "slotsync.yaml:", ""); !strings.Contains(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestFaultsAreSortedAndOnce(t *testing.T) {
	_, err := parse("haproxy: {timeout: 5, poll: x, instances: [{name: 1}]}\nbackends: 5\n", nil)
	e, ok := errors.AsType[*configError](err)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		`slotsync.yaml:1:20: haproxy.timeout: wants a string, not the number 5: write "5"`,
		`slotsync.yaml:1:29: haproxy.poll: "x" is not a duration, as in 500ms, 30s or 5m`,
		`slotsync.yaml:1:44: haproxy.instances[0].socket: is missing: a path, unix:///path or tcp://host:port`,
		`slotsync.yaml:1:51: haproxy.instances[0].name: wants a string, not the number 1: write "1"`,
		`slotsync.yaml:2:11: backends: wants a list, not the number 5`,
	}
	if diff := cmp.Diff(want, e.lines()); diff != "" {
		t.Error(diff)
	}
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
	cfg, err := parse(minimal+"http: {listen: '127.0.0.1:1'}\n", environment{
		"SLOTSYNC_HTTP_LISTEN": "", "SLOTSYNC_HAPROXY_TIMEOUT": "2s", "SLOTSYNC_GUARD_EMPTY_HOLD": "never",
		"STATE_DIRECTORY": "/var/lib/x", "SLOTSYNC_HTTP_SOCKET": "/run/y.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.http.listen != "" || cfg.timeout != 2*time.Second || cfg.backends[0].guard.EmptyHold != agent.Never ||
		cfg.stateDir != "/var/lib/x" || cfg.http.socket != "/run/y.sock" || cfg.http.socketIsDefault {
		t.Errorf("%+v", cfg)
	}
	_, err = parse(minimal, environment{"SLOTSYNC_LOG_LEVEL": "loud", "SLOTSYNC_HTTP_LISTEN": "nowhere"})
	want := "SLOTSYNC_HTTP_LISTEN: \"nowhere\" is not host:port\nSLOTSYNC_LOG_LEVEL: \"loud\" is none of info, debug, warn, error"
	if err == nil || !strings.Contains(err.Error(), strings.Split(want, "\n")[0]) || !strings.Contains(err.Error(), strings.Split(want, "\n")[1]) {
		t.Errorf("got %v", err)
	}
}

func TestEveryScalarOutsideListsHasAVariable(t *testing.T) {
	var names []string
	for path := range scalars(reflect.TypeFor[rawConfig](), "") {
		names = append(names, variable(path))
	}
	want := []string{"SLOTSYNC_HAPROXY_TIMEOUT", "SLOTSYNC_HAPROXY_POLL", "SLOTSYNC_HAPROXY_RESYNC",
		"SLOTSYNC_RELOAD_MASTER", "SLOTSYNC_RELOAD_TEMPLATE", "SLOTSYNC_RELOAD_FILE", "SLOTSYNC_RELOAD_KEEP", "SLOTSYNC_RELOAD_MIN_INTERVAL",
		"SLOTSYNC_RELOAD_MAX_PER_HOUR", "SLOTSYNC_RELOAD_JITTER", "SLOTSYNC_RELOAD_TIMEOUT", "SLOTSYNC_GUARD_EMPTY_HOLD",
		"SLOTSYNC_GUARD_REMOVAL_HOLD", "SLOTSYNC_GUARD_MAX_REMOVAL", "SLOTSYNC_GUARD_WINDOW", "SLOTSYNC_GUARD_TURNOVER_WAIT", "SLOTSYNC_GUARD_MIN_ENDPOINTS", "SLOTSYNC_HTTP_LISTEN", "SLOTSYNC_HTTP_SOCKET",
		"SLOTSYNC_HTTP_SOCKET_MODE", "SLOTSYNC_HTTP_SOCKET_GROUP", "SLOTSYNC_HTTP_TOKEN_FILE", "SLOTSYNC_LOG_LEVEL", "SLOTSYNC_LOG_FORMAT",
		"SLOTSYNC_STATE_DIR"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestStateDirDefault(t *testing.T) {
	for want, env := range map[string]environment{
		"/var/lib/slotsync":   nil,
		"/x":                  {"STATE_DIRECTORY": "/x", "NOMAD_ALLOC_DIR": "/n"},
		"/n/data/slotsync":    {"NOMAD_ALLOC_DIR": "/n"},
		"/from/the/variables": {"SLOTSYNC_STATE_DIR": "/from/the/variables", "STATE_DIRECTORY": "/x"},
	} {
		cfg, err := parse(minimal, env)
		if err != nil || cfg.stateDir != want {
			t.Errorf("%v: %v, %v", env, cfg, err)
		}
	}
}

// A watch or a worker goes on over a reload exactly if nothing of it changed.
func TestKeys(t *testing.T) {
	base := "haproxy: {timeout: 5s, instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: c, type: consul}]\nbackends: [{name: w, source: c, service: w}]\n"
	keysOf := func(text string) [2]string {
		cfg, err := parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{cfg.instances[0].key, cfg.backends[0].feeds[0].key}
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

func TestNeedRestart(t *testing.T) {
	old, err := parse(minimal, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{
		"state_dir": "state_dir: /x", "http.listen": "http: {listen: ''}", "http.socket": "http: {socket: ''}",
		"http.hosts": "http: {hosts: [x]}", "http.socket_mode": "http: {socket_mode: '0600'}", "http.socket_group": "http: {socket_group: x}",
		"log.format": "log: {format: json}", "": "log: {level: debug}",
	} {
		next, err := parse(minimal+text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(needRestart(old, next), " "); got != key {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestDirect(t *testing.T) {
	tests := []struct {
		name  string
		d     direct
		fault string
	}{
		{"consul", direct{sockets: []string{"/run/a.sock"}, backend: "web", consul: "web"}, ""},
		{"two", direct{sockets: []string{"/run/a.sock", "tcp://h:1"}, stateFiles: []string{"/a", "/b"}, backend: "web", dns: "_w._tcp.x"}, ""},
		{"address", direct{sockets: []string{"/run/a.sock"}, backend: "web", dns: "w.x:80", dnsServers: []string{"127.0.0.1:53"}}, ""},
		{"no port", direct{sockets: []string{"/run/a.sock"}, backend: "web", dns: "w.x"}, "--dns: 0 is not within 1 and 65535"},
		{"bad server", direct{sockets: []string{"/run/a.sock"}, backend: "web", dns: "w.x:80", dnsServers: []string{"x"}}, `--dns-server: "x" is not ip:port`},
		{"bad socket", direct{sockets: []string{"a.sock"}, backend: "web", consul: "web"}, `--socket: "a.sock" is not an absolute path`},
		{"bad backend", direct{sockets: []string{"/a"}, backend: "w b", consul: "web"}, `--backend: "w b" is not a name`},
		{"no socket", direct{backend: "web", consul: "web"}, "--socket is missing"},
		{"both", direct{sockets: []string{"/a"}, backend: "web", consul: "web", dns: "x"}, "one of --consul"},
		{"state files", direct{sockets: []string{"/a", "/b"}, backend: "web", consul: "web", stateFiles: []string{"/x"}}, "one for each"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := tt.d.document()
			if err == nil {
				_, err = newConfig("", doc, nil, nil)
			}
			if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
				t.Errorf("got %v, want %q", err, tt.fault)
			}
		})
	}
}

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none"): "there is no such file", dir: "is a folder"} {
		if _, err := loadConfig(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whatever the bytes, loading ends with a configuration or with faults that
// have a place and fit on a line.
func FuzzConfig(f *testing.F) {
	reference, err := os.ReadFile("testdata/reference.yaml")
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
			if len(cfg.instances) == 0 || len(cfg.backends) == 0 {
				t.Error("nothing to do, and no fault")
			}
			return
		}
		e, ok := errors.AsType[*configError](err)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		for i, fault := range e.faults {
			if line := e.lines()[i]; fault.line < 1 || fault.col < 1 || strings.ContainsAny(line, "\n\x1b") {
				t.Errorf("%q at %d:%d", line, fault.line, fault.col)
			}
		}
	})
}
