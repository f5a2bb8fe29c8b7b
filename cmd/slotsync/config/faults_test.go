package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
		{"web config, relative", head + fixed + "http: {web_config_file: x}\n", `3:25: http.web_config_file: "x" is not an absolute path`},
		{"web config that is not there", head + fixed + "http: {web_config_file: /nowhere/web.yml}\n", "http.web_config_file: /nowhere/web.yml: no such file or directory"},
		{"web config for nothing", head + fixed + "http: {listen: '', web_config_file: /nowhere/web.yml}\n", "http.web_config_file: has no effect without http.listen"},
		{"bad type", head + "sources: [{name: f, type: cnsul}]\n" + fixed, `did you mean "consul"?`},
		{"bad duration", head + fixed + "guard: {window: 5}\n", `3:17: guard.window: 5 has no unit: write "5s"`},
		{"bad duration text", head + fixed + "guard: {window: 5 m}\n", `3:17: guard.window: "5 m" is not a duration`},
		{"long duration", "haproxy: {timeout: 2h, instances: [{name: edge, socket: /run/a.sock}]}\n" + fixed, "1:20: haproxy.timeout: 2h is not within 50ms and 1m"},
		{"bad hold", head + fixed + "guard: {empty_hold: always}\n", `"always" is not a hold`},
		{"negative hold", head + fixed + "guard: {empty_hold: -5s}\n", `-5s is not within`},
		{"bad percent", head + fixed + "guard: {max_removal: 101%}\n", `"101%" is not a share`},
		{"empty number", head + "backends: [{name: w, max_slots: , endpoints: ['10.0.0.1:80']}]\n", "backends[0].max_slots: missing value: wants a whole number"},
		{"empty flag", head + "backends: [{name: w, dynamic: , endpoints: ['10.0.0.1:80']}]\n", "backends[0].dynamic: missing value: wants true or false"},
		{"percent without a sign", head + fixed + "guard: {max_removal: 30}\n", `3:22: guard.max_removal: 30 has no unit: write "30%"`},
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
		{"same backend, two names for a slot", "slot_map: /s/m\nhaproxy: {instances: [{name: a, socket: /run/a}, {name: b, socket: /run/b}]}\nbackends: [{name: w, instances: [a], endpoints: ['10.0.0.1:80']}, {name: v, backend: w, instances: [b], endpoints: ['10.0.0.1:80']}]\n",
			"slot_map has one name for a slot"},
		{"dns key for consul", head + "sources: [{name: c, type: consul, tcp: auto}]\n" + fixed, "tcp: is for sources of type dns"},
		{"token in address", head + "sources: [{name: c, type: consul, address: 'http://a:b@h:1'}]\n" + fixed, "tokens belong into token_file"},
		{"half a certificate", head + "sources: [{name: c, type: consul, tls: {cert_file: /a}}]\n" + fixed, "cert_file and key_file belong together"},
		{"open listener", head + fixed + "http: {listen: '0.0.0.0:9750'}\n", "3:16: http.listen: 0.0.0.0:9750 can be reached from other machines"},
		{"all interfaces", head + fixed + "http: {listen: ':9750'}\n", "can be reached from other machines"},
		{"relative state", head + fixed + "state_dir: state\n", `"state" is neither an absolute path nor none`},
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
			wantSchemaToSee(t, tt.text, tt.want)
		})
	}
}

func TestFaultsAreSortedAndOnce(t *testing.T) {
	_, err := parse("haproxy: {timeout: 5, poll: x, instances: [{name: 1}]}\nbackends: 5\n", nil)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		`slotsync.yaml:1:20: haproxy.timeout: 5 has no unit: write "5s"`,
		`slotsync.yaml:1:29: haproxy.poll: "x" is not a duration, as in 500ms, 30s or 5m`,
		`slotsync.yaml:1:44: haproxy.instances[0].socket: is missing: a path, unix:///path or tcp://host:port`,
		`slotsync.yaml:1:51: haproxy.instances[0].name: wants a string, not the number 1: write "1"`,
		`slotsync.yaml:2:11: backends: wants a list, not the number 5`,
	}
	if diff := cmp.Diff(want, e.Lines()); diff != "" {
		t.Error(diff)
	}
}

// What an unknown key hides is only itself, also where it comes first.
func TestFaultsBehindAnUnknownKey(t *testing.T) {
	_, err := parse("zzzzzzzz: 1\nsources:\n  - zzzz: 1\n    type: consul\n  - ? [a]\n    : 1\n", nil)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		"slotsync.yaml:1:1: backends: there is no backend: name at least one and its source",
		"slotsync.yaml:1:1: haproxy.instances: there is no instance: name at least one HAProxy and its socket",
		`slotsync.yaml:1:1: unknown key "zzzzzzzz"`,
		"slotsync.yaml:3:5: sources[0].name: is missing",
		`slotsync.yaml:3:5: sources[0]: unknown key "zzzz"`,
		"slotsync.yaml:5:5: sources[1].name: is missing",
		"slotsync.yaml:5:5: sources[1].type: is missing: one of consul, dns, file, nomad",
		"slotsync.yaml:5:7: sources[1]: a key must be a word",
	}
	if diff := cmp.Diff(want, e.Lines()); diff != "" {
		t.Error(diff)
	}
}

// Days are durations, and the advice about a number without a unit is taken.
func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"1d": 24 * time.Hour, "'0.5d'": 12 * time.Hour, "90s": 90 * time.Second} {
		cfg, err := parse(minimal+"guard: {window: "+text+"}\n", nil)
		if err != nil || cfg.Backends[0].Guard.Window != want {
			t.Errorf("%s: %v, %v", text, cfg, err)
		}
	}
	for _, key := range []string{"haproxy: {timeout: %, instances: [{name: edge, socket: /run/a.sock}]}\nbackends: [{name: web, endpoints: ['10.0.0.1:80']}]\n",
		minimal + "guard: {empty_hold: %}\n", minimal + "guard: {turnover_wait: %}\n", minimal + "guard: {max_removal: %}\n",
		minimal + "reload: {master: /m, timeout: %}\n", minimal + "reload: {master: /m, jitter: %}\n"} {
		for _, number := range []string{"5", "1.5", "'5'", "100", "5000", "0", "-1", "100000000000"} {
			_, err := parse(strings.Replace(key, "%", number, 1), nil)
			if err == nil {
				continue
			}
			_, advice, ok := strings.Cut(err.Error(), "write ")
			if !ok {
				continue
			}
			if _, err := parse(strings.Replace(key, "%", advice, 1), nil); err != nil {
				t.Errorf("%s: the advice for %s is refused: %v", key, number, err)
			}
		}
	}
	for _, number := range []string{"5", "100", "5000"} {
		wantFault(t, "haproxy: {timeout: "+number+", instances: [{name: edge, socket: /run/a.sock}]}\nbackends: [{name: web, endpoints: ['10.0.0.1:80']}]\n",
			map[string]string{"5": `5 has no unit: write "5s"`, "100": `100 has no unit: write "100ms"`, "5000": `5000 has no unit: write "5000ms"`}[number])
	}
}
