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
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineSecrets(&tt.cfg), tt.want) })
	}
}
