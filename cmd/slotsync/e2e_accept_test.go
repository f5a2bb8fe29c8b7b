package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// TestAcceptInATerminal: without an id it shows what would go, and does what is answered.
func TestAcceptInATerminal(t *testing.T) {
	r := newPageRig(t, 3)
	serving := func(n int) {
		t.Helper()
		eventually(t, 20*time.Second, func() string {
			if got := ready(t, r.edges[0].Socket, "web"); len(got) != n {
				return strings.Join(got, " ") + " are ready"
			}
			return ""
		})
	}
	serving(18)
	if err := os.WriteFile(filepath.Join(r.folder, "web.yaml"), []byte("[]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() string {
		var out, errs bytes.Buffer
		run(t.Context(), []string{"status", "--agent", r.url, "--token-file", r.token}, &out, &errs, config.Environment{}) // it is not ready: a source of another backend does not answer
		if strings.Contains(out.String(), "held (empty)") {
			return ""
		}
		return out.String() + errs.String()
	})
	in := inTerminal(t, 120, 30, "slotsync", "accept", "web", "--agent", r.url, "--token-file", r.token)
	in.waits("empty for ", "127.0.0.9:8000 would go", "127.0.0.9:8017 would go", "Let them go? [y/N] ")
	in.press("\r")
	if err := in.program.Wait(); err == nil {
		t.Error("nothing was answered, and it says that it is done")
	}
	in.waits("nothing is accepted")
	serving(18)
	in = inTerminal(t, 120, 30, "slotsync", "accept", "web", "--agent", r.url, "--token-file", r.token)
	in.waits("Let them go? [y/N] ")
	in.press("y\r")
	if err := in.program.Wait(); err != nil {
		t.Error(err)
	}
	in.waits("web: accepted: 127.0.0.9:8000, 127.0.0.9:8001, ")
	serving(0)
}
