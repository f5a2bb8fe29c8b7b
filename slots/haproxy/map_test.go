package haproxy_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestSyncMap: a map has what it is to have, whatever it had, over several lines of commands; and nothing is sent that would be a
// command of its own.
func TestSyncMap(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "slots.map")
			if err := os.WriteFile(file, []byte("web/web1 old\nweb/web2 gone\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("global\n  stats socket {socket} mode 600 level admin\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"+
				"frontend f\n  bind unix@{dir}/f.sock\n  http-request set-header x %%[str(a),map(%[1]s,-)]\n  http-request set-header y %%[str(a),map_beg(%[1]s,-)]\n", file)
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Text: text})
			c, err := haproxy.New(haproxy.Options{Socket: p.Socket})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"web/web1": "new", "api/s1": "[fd00::1]:80"}
			for i := range 1000 {
				want[fmt.Sprintf("web/n%d", i)] = fmt.Sprintf("web-%d", i)
			}
			for range 2 {
				if err := c.SyncMap(t.Context(), file, want); err != nil {
					t.Fatal(err)
				}
				if got := shownMap(t, p, file); !maps.Equal(got, want) {
					t.Fatalf("the map has %d entries, want %d: %.500v", len(got), len(want), got)
				}
				delete(want, "web/n7")
			}
			if err := c.SyncMap(t.Context(), file+"x", want); !errors.Is(err, haproxy.ErrNoMap) {
				t.Errorf("of a file that is no map is said %v", err)
			}
			for key, value := range map[string]string{"web/a b": "x", "web": "x", "web/a": "x;show info", "web/b": "", "web/c\n": "x"} {
				if c.SyncMap(t.Context(), file, map[string]string{key: value}) == nil {
					t.Errorf("%q %q is taken", key, value)
				}
			}
		})
	}
}

func shownMap(t *testing.T, p *haproxytest.Process, file string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(haproxytest.Ask(t, p.Socket, "show map "+file)) {
		if words := strings.Fields(line); len(words) == 3 {
			out[words[1]] = words[2]
		}
	}
	return out
}
