package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/discovery/longpoll"
)

const sourceHead = "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nbackends: [{name: w, source: s, service: w}]\n"

// sourceOf returns the source s of a configuration that has this one.
func sourceOf(t *testing.T, source string, env Environment) (Source, *Config) {
	t.Helper()
	cfg, err := parse(sourceHead+"sources: [{name: s, "+source+"}]\n", env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Sources["s"], cfg
}

// Every variable that Consul's tools know says what the configuration does not.
func TestConsulEnvironment(t *testing.T) {
	here, err := filepath.Abs("ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		env  Environment
		got  func(Source) any
		want any
	}{
		{"nothing", nil, func(s Source) any { return s.Consul.Address + s.Token + s.Auth + s.TokenFile }, "http://127.0.0.1:8500"},
		{"host", Environment{"CONSUL_HTTP_ADDR": "h:1"}, func(s Source) any { return s.Consul.Address }, "http://h:1"},
		{"URL", Environment{"CONSUL_HTTP_ADDR": "https://h:1"}, func(s Source) any { return s.Consul.Address }, "https://h:1"},
		{"socket", Environment{"CONSUL_HTTP_ADDR": "unix:///run/c.sock"}, func(s Source) any { return s.Consul.Address }, "unix:///run/c.sock"},
		{"SSL", Environment{"CONSUL_HTTP_SSL": "true"}, func(s Source) any { return s.Consul.Address }, "https://127.0.0.1:8500"},
		{"SSL of http", Environment{"CONSUL_HTTP_ADDR": "http://h:1", "CONSUL_HTTP_SSL": "1"}, func(s Source) any { return s.Consul.Address }, "https://h:1"},
		{"no SSL of https", Environment{"CONSUL_HTTP_ADDR": "https://h:1", "CONSUL_HTTP_SSL": "0"}, func(s Source) any { return s.Consul.Address }, "https://h:1"},
		{"token", Environment{"CONSUL_HTTP_TOKEN": "t\n"}, func(s Source) any { return s.Token }, "t"},
		{"token file", Environment{"CONSUL_HTTP_TOKEN_FILE": "/t"}, func(s Source) any { return s.TokenFile }, "/t"},
		{"token file before token", Environment{"CONSUL_HTTP_TOKEN_FILE": "/t", "CONSUL_HTTP_TOKEN": "t"}, func(s Source) any { return s.TokenFile + s.Token }, "/t"},
		{"auth", Environment{"CONSUL_HTTP_AUTH": "u:p:q"}, func(s Source) any { return s.Auth }, "u:p:q"},
		{"verify", Environment{"CONSUL_HTTP_SSL_VERIFY": "false"}, func(s Source) any { return s.Consul.TLS.InsecureSkipVerify }, true},
		{"verify after all", Environment{"CONSUL_HTTP_SSL_VERIFY": "true"}, func(s Source) any { return s.Consul.TLS.InsecureSkipVerify }, false},
		{"authorities", Environment{"CONSUL_CACERT": "/a", "CONSUL_CAPATH": "/b"}, func(s Source) any { return s.Consul.TLS }, longpoll.TLS{CAFile: "/a", CAPath: "/b"}},
		{"relative", Environment{"CONSUL_CACERT": "ca.pem"}, func(s Source) any { return s.Consul.TLS.CAFile }, here},
		{"certificate", Environment{"CONSUL_CLIENT_CERT": "/a", "CONSUL_CLIENT_KEY": "/b"}, func(s Source) any { return s.Consul.TLS },
			longpoll.TLS{CertFile: "/a", KeyFile: "/b"}},
		{"server name", Environment{"CONSUL_TLS_SERVER_NAME": "n"}, func(s Source) any { return s.Consul.TLS.ServerName }, "n"},
		{"namespace", Environment{"CONSUL_NAMESPACE": "n"}, func(s Source) any { return s.Consul.Namespace }, "n"},
		{"partition", Environment{"CONSUL_PARTITION": "p"}, func(s Source) any { return s.Consul.Partition }, "p"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, cfg := sourceOf(t, "type: consul", tt.env)
			if got := tt.got(s); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if len(cfg.Overruled) > 0 && tt.name != "token file before token" {
				t.Errorf("overruled: %v", cfg.Overruled)
			}
		})
	}
}

// So does every one that Nomad's tools know.
func TestNomadEnvironment(t *testing.T) {
	s, cfg := sourceOf(t, "type: nomad", Environment{
		"NOMAD_ADDR": "https://n:1", "NOMAD_TOKEN": "t", "NOMAD_NAMESPACE": "ns", "NOMAD_REGION": "r", "NOMAD_CACERT": "/a", "NOMAD_CAPATH": "/b",
		"NOMAD_CLIENT_CERT": "/c", "NOMAD_CLIENT_KEY": "/d", "NOMAD_TLS_SERVER_NAME": "n", "NOMAD_SKIP_VERIFY": "true",
	})
	o := s.Nomad
	want := longpoll.TLS{CAFile: "/a", CAPath: "/b", CertFile: "/c", KeyFile: "/d", ServerName: "n", InsecureSkipVerify: true}
	if o.Address != "https://n:1" || s.Token != "t" || o.Namespace != "ns" || o.Region != "r" || o.TLS != want || len(cfg.Overruled) > 0 {
		t.Errorf("%+v, %v", s.Nomad, cfg.Overruled)
	}
	s, _ = sourceOf(t, "type: nomad", nil)
	if o := s.Nomad; o.Address != "http://127.0.0.1:4646" || o.Namespace != "default" || s.Token != "" {
		t.Errorf("%+v", o)
	}
}

// What the configuration says stands, and the variable is named that is of no use.
func TestTheConfigurationOverrulesTheEnvironment(t *testing.T) {
	consul := map[string]string{
		"CONSUL_HTTP_ADDR": "address: 'http://c:1'", "CONSUL_HTTP_SSL": "address: 'http://c:1'", "CONSUL_HTTP_TOKEN": "token_file: /t",
		"CONSUL_HTTP_TOKEN_FILE": "token_file: /t", "CONSUL_HTTP_SSL_VERIFY": "tls: {insecure_skip_verify: false}", "CONSUL_CACERT": "tls: {ca_file: /x}",
		"CONSUL_CAPATH": "tls: {ca_file: /x}", "CONSUL_CLIENT_CERT": "tls: {cert_file: /x, key_file: /y}",
		"CONSUL_CLIENT_KEY": "tls: {cert_file: /x, key_file: /y}", "CONSUL_TLS_SERVER_NAME": "tls: {server_name: n}",
		"CONSUL_NAMESPACE": "namespace: n", "CONSUL_PARTITION": "partition: p",
	}
	nomad := map[string]string{
		"NOMAD_ADDR": "address: 'http://c:1'", "NOMAD_TOKEN": "token_file: /t", "NOMAD_NAMESPACE": "namespace: n", "NOMAD_REGION": "region: r",
		"NOMAD_CACERT": "tls: {ca_path: /x}", "NOMAD_CAPATH": "tls: {ca_path: /x}", "NOMAD_CLIENT_CERT": "tls: {cert_file: /x, key_file: /y}",
		"NOMAD_CLIENT_KEY": "tls: {cert_file: /x, key_file: /y}", "NOMAD_TLS_SERVER_NAME": "tls: {server_name: n}",
		"NOMAD_SKIP_VERIFY": "tls: {insecure_skip_verify: false}",
	}
	for kind, table := range map[string]map[string]string{"consul": consul, "nomad": nomad} {
		for variable, says := range table {
			value := "/z"
			if strings.HasSuffix(variable, "_VERIFY") || variable == "CONSUL_HTTP_SSL" {
				value = "1"
			}
			with, cfg := sourceOf(t, "type: "+kind+", "+says, Environment{variable: value})
			without, _ := sourceOf(t, "type: "+kind+", "+says, nil)
			if with.Key != without.Key {
				t.Errorf("%s changes what %s says", variable, says)
			}
			if !slices.ContainsFunc(cfg.Overruled, func(o Overruled) bool { return o.Variable == variable }) {
				t.Errorf("nobody says that %s is of no use", variable)
			}
		}
	}
}

// A faulty variable is named, and what it holds is not shown where it may be a
// secret.
func TestFaultsOfTheEnvironment(t *testing.T) {
	for _, tt := range []struct{ kind, variable, value, want string }{
		{"consul", "CONSUL_HTTP_ADDR", "ftp://u:canary@h", `CONSUL_HTTP_ADDR: "ftp://…@h" is not http://host:port, https://host:port or unix:///path`},
		{"consul", "CONSUL_HTTP_ADDR", "http://u:canary@h", "CONSUL_HTTP_ADDR: has more than scheme, host and port"},
		{"consul", "CONSUL_HTTP_ADDR", "unix://c.sock", "CONSUL_HTTP_ADDR: "},
		{"consul", "CONSUL_HTTP_SSL", "yes", `CONSUL_HTTP_SSL: wants true or false, not "yes"`},
		{"consul", "CONSUL_HTTP_SSL_VERIFY", "no", `CONSUL_HTTP_SSL_VERIFY: wants true or false, not "no"`},
		{"consul", "CONSUL_HTTP_TOKEN", "canary\x01", "CONSUL_HTTP_TOKEN: holds characters that no token has"},
		{"consul", "CONSUL_CLIENT_KEY", "/k", "CONSUL_CLIENT_KEY: cert_file and key_file belong together"},
		{"consul", "CONSUL_NAMESPACE", "a b", `CONSUL_NAMESPACE: "a b" is not a name`},
		{"nomad", "NOMAD_ADDR", "n:1", `NOMAD_ADDR: "n:1" is not http://host:port`},
		{"nomad", "NOMAD_SKIP_VERIFY", "x", "NOMAD_SKIP_VERIFY: wants true or false"},
		{"nomad", "NOMAD_TOKEN", "canary\n\x1b", "NOMAD_TOKEN: holds characters that no token has"},
	} {
		_, err := parse(sourceHead+"sources: [{name: s, type: "+tt.kind+"}]\n", Environment{tt.variable: tt.value})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %s", tt.variable, err, tt.want)
		}
	}
}
