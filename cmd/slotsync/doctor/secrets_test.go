package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
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
	sources := func(path string) map[string]config.Source {
		return map[string]config.Source{"c": {TokenFile: path}, "n": {TokenFile: path}, "none": {}}
	}
	for _, tt := range []struct {
		name string
		cfg  config.Config
		want []string
	}{
		{"none", config.Config{Sources: sources("")}, nil},
		{"closed", config.Config{HTTP: config.HTTP{TokenFile: closed, WebConfigFile: closed}, Sources: sources(closed)}, nil},
		{"not there", config.Config{HTTP: config.HTTP{TokenFile: closed + "no"}}, nil},
		{"open", config.Config{HTTP: config.HTTP{TokenFile: open, WebConfigFile: open}, Sources: sources(open)},
			[]string{"warn http.token_file: " + open, "warn http.web_config_file: ", "warn token_file of c: ", "warn token_file of n: "}},
		{"open, in a task's own folder", config.Config{PrivateFolder: filepath.Dir(open), Sources: sources(open)}, nil},
		{"open, beside a task's own folder", config.Config{PrivateFolder: filepath.Dir(open)[:3], HTTP: config.HTTP{TokenFile: open}}, []string{"warn http.token_file: "}},
		{"open, reading token", config.Config{HTTP: config.HTTP{ReadTokenFile: open}}, []string{"warn http.read_token_file: " + open}},
		{"everybody here may read", config.Config{HTTP: config.HTTP{Listen: "127.0.0.1:9750", Loopback: "read"}}, nil},
		{"everybody here may operate", config.Config{HTTP: config.HTTP{Listen: "127.0.0.1:9750", Loopback: "operate"}}, []string{"warn http.loopback: operate lets every user"}},
		{"nobody without the token", config.Config{HTTP: config.HTTP{Listen: "[::1]:9750", Loopback: "operate", TokenFile: closed}}, nil},
		{"in clear", config.Config{HTTP: config.HTTP{Listen: "0.0.0.0:9750", TokenFile: closed}}, []string{"warn http.listen 0.0.0.0:9750: tokens and passwords come over the network in clear"}},
		{"in clear, to read", config.Config{HTTP: config.HTTP{Listen: "10.0.0.1:9750", ReadTokenFile: closed}}, []string{"warn http.listen 10.0.0.1:9750: tokens"}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, examineSecrets(&tt.cfg), tt.want) })
	}
}
