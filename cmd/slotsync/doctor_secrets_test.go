package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestExamineSecrets(t *testing.T) {
	secret := func(name string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open, closed := secret("open", 0o644), secret("closed", 0o640)
	sources := func(path string) map[string]sourceConfig {
		return map[string]sourceConfig{"c": {consul: &consulConfig{tokenFile: path}}, "n": {nomad: &nomadConfig{tokenFile: path}}, "none": {}}
	}
	for _, tt := range []struct {
		name string
		cfg  config
		want []string
	}{
		{"none", config{sources: sources("")}, nil},
		{"closed", config{http: httpConfig{tokenFile: closed, webConfigFile: closed}, sources: sources(closed)}, nil},
		{"not there", config{http: httpConfig{tokenFile: closed + "no"}}, nil},
		{"open", config{http: httpConfig{tokenFile: open, webConfigFile: open}, sources: sources(open)},
			[]string{"warn http.token_file: " + open, "warn http.web_config_file: ", "warn token_file of c: ", "warn token_file of n: "}},
		{"open, reading token", config{http: httpConfig{readTokenFile: open}}, []string{"warn http.read_token_file: " + open}},
		{"everybody here may read", config{http: httpConfig{listen: "127.0.0.1:9750", loopback: "read"}}, nil},
		{"everybody here may operate", config{http: httpConfig{listen: "127.0.0.1:9750", loopback: "operate"}}, []string{"warn http.loopback: operate lets every user"}},
		{"nobody without the token", config{http: httpConfig{listen: "[::1]:9750", loopback: "operate", tokenFile: closed}}, nil},
		{"in clear", config{http: httpConfig{listen: "0.0.0.0:9750", tokenFile: closed}}, []string{"warn http.listen 0.0.0.0:9750: tokens and passwords come over the network in clear"}},
		{"in clear, to read", config{http: httpConfig{listen: "10.0.0.1:9750", readTokenFile: closed}}, []string{"warn http.listen 10.0.0.1:9750: tokens"}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineSecrets(&tt.cfg), tt.want) })
	}
}
