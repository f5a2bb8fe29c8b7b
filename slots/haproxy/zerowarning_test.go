package haproxy_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// zeroWarning is a configuration that 3.4 has no warning about when it is started as root.
const zeroWarning = `global
  zero-warning
  stats socket {socket} mode 600 level admin
  server-state-base {dir}/state
  chroot /
  user root
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
  server-state-file-name use-backend-name
  load-server-state-from-file local
backend web
  server-template web 1-5 slot.invalid:1 init-addr last,127.0.0.1 %s weight 100
`

// TestZeroWarning: with "zero-warning" HAProxy takes no state file in which a slot that
// is "disabled" in the configuration is filled, however that is written: making it ready
// is a warning. Without "disabled" it takes what the agent writes; 2.6 takes no draining
// slots.
func TestZeroWarning(t *testing.T) {
	t.Parallel()
	for _, version := range haproxytest.Versions {
		for _, c := range []struct {
			disabled string
			class    slots.Class
			says     string
		}{
			{"disabled", slots.Maint, ""},
			{"disabled", slots.Ready, "is UP/READY (leaving forced maintenance)"},
			{"", slots.Maint, ""},
			{"", slots.Ready, ""},
			{"", slots.Drain, map[string]string{"2.6": "remains in forced drain mode"}[version]},
		} {
			t.Run(fmt.Sprintf("%s/%s %s", version, c.disabled, c.class), func(t *testing.T) {
				t.Parallel()
				strict := fmt.Sprintf(zeroWarning, c.disabled)
				// without the file 2.6 warns, too
				p := haproxytest.Start(t, haproxytest.Config{Version: version, Text: strings.Replace(strict, "  zero-warning\n", "", 1)})
				client := saver(t, p.Socket, filepath.Join(p.StateDir(), "{backend}"))
				v, err := client.View(t.Context(), nil, false)
				if err != nil {
					t.Fatal(err)
				}
				list := v.Servers["web"]
				list[0].Addr, list[0].Class = addr("10.0.0.1:80"), c.class
				list[1].Class = slots.Maint
				if err := client.Save("web", list); err != nil {
					t.Fatal(err)
				}
				p.Config.Text = strict
				p.Rewrite("")
				out, err := exec.CommandContext(t.Context(), haproxytest.Binary(t, version), "-c", "-f", p.File()).CombinedOutput()
				if (err == nil) != (c.says == "") || !strings.Contains(string(out), c.says) {
					t.Fatalf("got %v: %s", err, out)
				}
				if err != nil {
					return
				}
				p.Restart()
				if v, err = client.View(t.Context(), nil, false); err != nil {
					t.Fatal(err)
				}
				if s := find(t, v, "web", "web1"); s.Class != c.class || s.Addr != addr("10.0.0.1:80") {
					t.Errorf("got %+v", s)
				}
				if s := find(t, v, "web", "web2"); s.Class != slots.Maint {
					t.Errorf("got %+v", s)
				}
			})
		}
	}
}
