package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/discovery"
)

const sourceHead = "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nbackends: [{name: w, source: s, service: w}]\n"

// sourceOf returns the source s of a configuration that has this one.
func sourceOf(t *testing.T, source string, env environment) (sourceConfig, *config) {
	t.Helper()
	cfg, err := parse(sourceHead+"sources: [{name: s, "+source+"}]\n", env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.sources["s"], cfg
}

// Every variable that Consul's tools know says what the configuration does not.
func TestConsulEnvironment(t *testing.T) {
	here, err := filepath.Abs("ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		env  environment
		got  func(*consulConfig) any
		want any
	}{
		{"nothing", nil, func(c *consulConfig) any { return c.options.Address + c.token + c.auth + c.tokenFile }, "http://127.0.0.1:8500"},
		{"host", environment{"CONSUL_HTTP_ADDR": "h:1"}, func(c *consulConfig) any { return c.options.Address }, "http://h:1"},
		{"URL", environment{"CONSUL_HTTP_ADDR": "https://h:1"}, func(c *consulConfig) any { return c.options.Address }, "https://h:1"},
		{"socket", environment{"CONSUL_HTTP_ADDR": "unix:///run/c.sock"}, func(c *consulConfig) any { return c.options.Address }, "unix:///run/c.sock"},
		{"SSL", environment{"CONSUL_HTTP_SSL": "true"}, func(c *consulConfig) any { return c.options.Address }, "https://127.0.0.1:8500"},
		{"SSL of http", environment{"CONSUL_HTTP_ADDR": "http://h:1", "CONSUL_HTTP_SSL": "1"}, func(c *consulConfig) any { return c.options.Address }, "https://h:1"},
		{"no SSL of https", environment{"CONSUL_HTTP_ADDR": "https://h:1", "CONSUL_HTTP_SSL": "0"}, func(c *consulConfig) any { return c.options.Address }, "https://h:1"},
		{"token", environment{"CONSUL_HTTP_TOKEN": "t\n"}, func(c *consulConfig) any { return c.token }, "t"},
		{"token file", environment{"CONSUL_HTTP_TOKEN_FILE": "/t"}, func(c *consulConfig) any { return c.tokenFile }, "/t"},
		{"token file before token", environment{"CONSUL_HTTP_TOKEN_FILE": "/t", "CONSUL_HTTP_TOKEN": "t"}, func(c *consulConfig) any { return c.tokenFile + c.token }, "/t"},
		{"auth", environment{"CONSUL_HTTP_AUTH": "u:p:q"}, func(c *consulConfig) any { return c.auth }, "u:p:q"},
		{"verify", environment{"CONSUL_HTTP_SSL_VERIFY": "false"}, func(c *consulConfig) any { return c.options.TLS.InsecureSkipVerify }, true},
		{"verify after all", environment{"CONSUL_HTTP_SSL_VERIFY": "true"}, func(c *consulConfig) any { return c.options.TLS.InsecureSkipVerify }, false},
		{"authorities", environment{"CONSUL_CACERT": "/a", "CONSUL_CAPATH": "/b"}, func(c *consulConfig) any { return c.options.TLS }, discovery.TLS{CAFile: "/a", CAPath: "/b"}},
		{"relative", environment{"CONSUL_CACERT": "ca.pem"}, func(c *consulConfig) any { return c.options.TLS.CAFile }, here},
		{"certificate", environment{"CONSUL_CLIENT_CERT": "/a", "CONSUL_CLIENT_KEY": "/b"}, func(c *consulConfig) any { return c.options.TLS },
			discovery.TLS{CertFile: "/a", KeyFile: "/b"}},
		{"server name", environment{"CONSUL_TLS_SERVER_NAME": "n"}, func(c *consulConfig) any { return c.options.TLS.ServerName }, "n"},
		{"namespace", environment{"CONSUL_NAMESPACE": "n"}, func(c *consulConfig) any { return c.options.Namespace }, "n"},
		{"partition", environment{"CONSUL_PARTITION": "p"}, func(c *consulConfig) any { return c.options.Partition }, "p"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, cfg := sourceOf(t, "type: consul", tt.env)
			if got := tt.got(s.consul); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if len(cfg.overruled) > 0 && tt.name != "token file before token" {
				t.Errorf("overruled: %v", cfg.overruled)
			}
		})
	}
}

// So does every one that Nomad's tools know.
func TestNomadEnvironment(t *testing.T) {
	s, cfg := sourceOf(t, "type: nomad", environment{
		"NOMAD_ADDR": "https://n:1", "NOMAD_TOKEN": "t", "NOMAD_NAMESPACE": "ns", "NOMAD_REGION": "r", "NOMAD_CACERT": "/a", "NOMAD_CAPATH": "/b",
		"NOMAD_CLIENT_CERT": "/c", "NOMAD_CLIENT_KEY": "/d", "NOMAD_TLS_SERVER_NAME": "n", "NOMAD_SKIP_VERIFY": "true",
	})
	o := s.nomad.options
	want := discovery.TLS{CAFile: "/a", CAPath: "/b", CertFile: "/c", KeyFile: "/d", ServerName: "n", InsecureSkipVerify: true}
	if o.Address != "https://n:1" || s.nomad.token != "t" || o.Namespace != "ns" || o.Region != "r" || o.TLS != want || len(cfg.overruled) > 0 {
		t.Errorf("%+v, %v", s.nomad, cfg.overruled)
	}
	s, _ = sourceOf(t, "type: nomad", nil)
	if o := s.nomad.options; o.Address != "http://127.0.0.1:4646" || o.Namespace != "default" || s.nomad.token != "" {
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
			with, cfg := sourceOf(t, "type: "+kind+", "+says, environment{variable: value})
			without, _ := sourceOf(t, "type: "+kind+", "+says, nil)
			if with.key != without.key {
				t.Errorf("%s changes what %s says", variable, says)
			}
			if !slices.ContainsFunc(cfg.overruled, func(o overruled) bool { return o.variable == variable }) {
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
		_, err := parse(sourceHead+"sources: [{name: s, type: "+tt.kind+"}]\n", environment{tt.variable: tt.value})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %s", tt.variable, err, tt.want)
		}
	}
}
