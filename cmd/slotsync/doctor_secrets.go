package main

import (
	"maps"
	"os"
	"slices"
)

// othersRead is the permission of everybody to read a file.
const othersRead = 0o004

// examineSecrets warns of tokens that everybody on the machine can read.
func examineSecrets(cfg *config) []finding {
	f := findings{subject: "secrets"}
	f.private("http.token_file", cfg.http.tokenFile)
	f.private("http.web_config_file", cfg.http.webConfigFile)
	for _, name := range slices.Sorted(maps.Keys(cfg.sources)) {
		switch s := cfg.sources[name]; {
		case s.consul != nil:
			f.private("token_file of "+name, s.consul.tokenFile)
		case s.nomad != nil:
			f.private("token_file of "+name, s.nomad.tokenFile)
		}
	}
	return f.list
}

// private adds a finding if others can read a file. Whether it can be read at all is said
// elsewhere.
func (f *findings) private(key, path string) {
	if path == "" {
		return
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&othersRead != 0 {
		f.add(verdictWarn, "%s: %s can be read by everybody on this machine: chmod o= it", key, path)
	}
}
