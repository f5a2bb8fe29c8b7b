package config

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameConfig reports how two configurations differ, but for where they were read
// and what was overruled on the way.
func sameConfig(a, b *Config) string {
	return cmp.Diff(a, b, cmp.Exporter(func(t reflect.Type) bool { return true }),
		cmpopts.IgnoreFields(Config{}, "File", "LockWaitAssumed", "Overruled", "Warnings"),
		// Once the default socket is written down, somebody has asked for it.
		cmpopts.IgnoreFields(HTTP{}, "SocketIsDefault"),
		cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{}), cmpopts.EquateEmpty())
}

// settingsOf reads text, and returns what is in force as well.
func settingsOf(t testing.TB, text string, env Environment) (*Config, Settings) {
	t.Helper()
	doc, faults := parseYAML([]byte(text))
	cfg, s, err := validate("slotsync.yaml", doc, faults, env)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg, s
}

// What is printed is the same configuration when it is read, as YAML and as JSON.
func TestWhatIsInForceReadsTheSame(t *testing.T) {
	reference, err := os.ReadFile("../testdata/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	head := "haproxy: {instances: [{name: e, socket: /run/a.sock, reload: none}]}\n"
	texts := map[string]string{
		"reference": string(reference),
		"minimal":   minimal,
		"nothing said": head + "sources: [{name: c, type: consul}, {name: d, type: dns}, {name: n, type: nomad}]\n" +
			"backends: [{name: w, source: c, service: w}, {name: v, source: d, record: a.b, port: 1}, {name: u, source: n, service: u}]\n",
		"holds": minimal + "guard: {empty_hold: never, removal_hold: 0s, turnover_wait: 0s, max_removal: 7%, min_endpoints: 3}\n",
		"nulls": minimal + "guard: ~\nlog: {level: ~}\nhttp: {listen: ~, socket: '', hosts: []}\n",
		"strange texts": head + "sources: [{name: c, type: consul}]\nbackends: [{name: w, source: c, service: w, " +
			"tags: ['true', '0', '~', ' a', \"b\\\"c\", 'd: e', '#f', '[g]'], filter: \"a == \\\"1\\\"\\n# b\", node_meta: ['a:b c']}]\n",
		"own reload": strings.Replace(head, "none", "{command: [/bin/x, 'a b']}", 1) + "backends: [{name: w, endpoints: ['10.0.0.1:80']}]\n",
	}
	env := Environment{"CONSUL_HTTP_TOKEN": "canary", "NOMAD_TOKEN": "canary", "CONSUL_HTTP_AUTH": "u:canary", "CONSUL_HTTP_SSL": "1", "NOMAD_REGION": "r"}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			cfg, s := settingsOf(t, text, env)
			for _, printed := range []string{s.YAML(false), s.YAML(true), jsonOf(t, plain(s.list()))} {
				again, _ := settingsOf(t, printed, env)
				if err := againstSchema(t, printed); err != nil {
					t.Errorf("the schema refuses what is printed: %v\n%s", err, printed)
				}
				if n, m := len(cfg.Warnings.faults), len(again.Warnings.faults); n != m {
					t.Errorf("%d warnings, and %d of what is printed:\n%s", n, m, again.Warnings)
				}
				if diff := sameConfig(cfg, again); diff != "" {
					t.Errorf("%s\n%s", diff, printed)
				}
				if strings.Contains(printed, "canary") {
					t.Errorf("a secret is shown:\n%s", printed)
				}
			}
		})
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestOrigins(t *testing.T) {
	_, s := settingsOf(t, minimal+"sources: [{name: c, type: consul}]\nguard:\n  window: 1m\n", Environment{
		"STATE_DIRECTORY": "/var/lib/x", "SLOTSYNC_HAPROXY_POLL": "1s", "CONSUL_HTTP_ADDR": "h:1", "CONSUL_HTTP_TOKEN": "canary",
		"CONSUL_HTTP_SSL_VERIFY": "false", "SLOTSYNC_GUARD_EMPTY_HOLD": "1m",
	})
	origins := s.origins(s.list())
	for path, want := range map[string]string{
		"haproxy.timeout": "default", "haproxy.instances[0].name": "slotsync.yaml:1", "haproxy.poll": "environment SLOTSYNC_HAPROXY_POLL",
		"sources[0].address": "environment CONSUL_HTTP_ADDR", "sources[0].token": "environment CONSUL_HTTP_TOKEN",
		"sources[0].tls.insecure_skip_verify": "environment CONSUL_HTTP_SSL_VERIFY", "sources[0].wait": "default",
		"backends[0].backend": "default", "backends[0].guard.window": "slotsync.yaml:5", "backends[0].guard.empty_hold": "environment SLOTSYNC_GUARD_EMPTY_HOLD",
		"guard.window": "slotsync.yaml:5", "guard.max_removal": "default", "state_dir": "environment STATE_DIRECTORY",
	} {
		if origins[path] != want {
			t.Errorf("%s: %q, want %q", path, origins[path], want)
		}
	}
}

func TestYAMLText(t *testing.T) {
	for text, want := range map[string]string{
		"": `""`, "web": "web", "5m": "5m", "50%": "50%", "1": `"1"`, "1.5": `"1.5"`, "0x1": `"0x1"`, "true": `"true"`, "null": `"null"`, "~": `"~"`,
		"a b": `"a b"`, "a:b": `"a:b"`, "<>&": `"<>&"`, "a\nb": `"a\nb"`, "é": `"é"`, "2001-01-01": `"2001-01-01"`, "-": `"-"`, ".inf": `".inf"`, "1e3": `"1e3"`,
	} {
		if got := yamlText(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := yamlText([]string{"a", "b, c"}); got != `[a, "b, c"]` {
		t.Error(got)
	}
}
