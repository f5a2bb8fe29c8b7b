package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestSamples runs doctor and one round on configurations of the kinds that people have.
func TestSamples(t *testing.T) {
	for _, version := range haproxytest.Versions {
		for _, sample := range haproxytest.Samples(t, version) {
			t.Run(version+"/"+sample.Name, func(t *testing.T) {
				p := haproxytest.Start(t, sample.Config(t, version))
				dir := t.TempDir()
				file := filepath.Join(dir, "slotsync.yaml")
				text := fmt.Sprintf("haproxy:\n  instances: [{name: edge, socket: %s, state_file: \"%s\"}]\nstate_dir: %s\nhttp: {listen: \"\", socket: \"\"}\n"+
					"backends:\n  - {name: web, endpoints: [\"127.9.0.1:80\", \"127.9.0.2:80\", \"127.9.0.3:80\"]}\n", p.Socket, filepath.Join(p.StateDir(), sample.StateFile), dir)
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				code, said := slotsyncSays(t, "doctor", "--config", file)
				if code != 0 || sample.Doctor == "" && strings.Contains(said, "backend web: ") && !strings.Contains(said, "the slots have the recommended form") ||
					!strings.Contains(said, sample.Doctor) {
					t.Errorf("doctor: exit %d\n%s", code, said)
				}
				if code, said := slotsyncSays(t, "run", "--once", "--config", file); code != 0 {
					t.Errorf("run --once: exit %d\n%s", code, said)
				}
				shown := haproxytest.Ask(t, p.Socket, "show servers state web")
				for n := range 3 {
					if want := fmt.Sprintf(" %s%d 127.9.0.%d ", sample.Prefix, sample.First+n, n+1); !strings.Contains(shown, want) {
						t.Errorf("no %q in\n%s", want, shown)
					}
				}
				if code, said := slotsyncSays(t, "plan", "--config", file); code != 0 {
					t.Errorf("plan: exit %d\n%s", code, said)
				}
			})
		}
	}
}

// slotsyncSays runs a command in this process.
func slotsyncSays(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), args, &out, &out, config.NewEnvironment(nil))
	return code, out.String()
}
