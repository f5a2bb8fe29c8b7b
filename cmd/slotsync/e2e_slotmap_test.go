package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestSlotMap: a real HAProxy writes the name of the instance into its log, by the lines that docs/haproxy.md shows; also after a
// reload, and of an instance that came later. The series has the same names.
func TestSlotMap(t *testing.T) {
	t.Parallel()
	page := readText(t, "../../docs/haproxy.md")
	block := regexp.MustCompile("(?s)```haproxy-names\n(.*?)```").FindStringSubmatch(page)
	if block == nil {
		t.Fatal("docs/haproxy.md shows no lines for names in the log")
	}
	for _, version := range []string{"2.6", "3.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			mapped(t, version, block[1])
		})
	}
}

const namedEdge = `global
  stats socket {socket} mode 600 level admin expose-fd listeners
  log stdout format raw local0
defaults
  mode http
  log global
  timeout connect 1s
  timeout client 1m
  timeout server 1m
frontend in
  bind %s
  default_backend web
%s
backend web
  server-template web 1-10 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100
`

func mapped(t *testing.T, version, lines string) {
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	names := filepath.Join(dir, "slots.map")
	if err := os.WriteFile(names, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	frontend := fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t))
	lines = strings.ReplaceAll(lines, "/var/lib/slotsync/slots.map", names)
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Text: fmt.Sprintf(namedEdge, frontend, lines)})
	m := &monitored{t: t, dir: dir, config: filepath.Join(dir, "slotsync.yaml"), edges: []*haproxytest.Process{p}}
	m.connect()
	t.Cleanup(m.stop)
	if err := os.Mkdir(filepath.Join(dir, "endpoints"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.write("slotsync.yaml", fmt.Sprintf(alertConfig, fmt.Sprintf("    - {name: edge-1, socket: %s}", p.Socket), dir, noGuard, "slot_map: "+names))
	first, second := served(t), served(t)
	m.write("endpoints/web.yaml", named(first, "shop-7f9c;<script>"))
	m.start()
	logs := func(want string) {
		t.Helper()
		eventually(t, 20*time.Second, func() string {
			if answer, err := http.Get("http://" + frontend); err == nil {
				answer.Body.Close()
			}
			if said := p.Log(); !strings.Contains(said, want) {
				return said[max(0, len(said)-1000):]
			}
			return ""
		})
	}
	logs(" web/web1 shop-7f9c__script_")
	if m.scrape(); !strings.Contains(m.exposed, `slotsync_slot_info{address="`+first+`",name="shop-7f9c;<script>",proxy="web",server="web1"} 1`) {
		t.Errorf("the series do not name it:\n%s", m.exposed)
	}
	m.kill()
	before := strings.Count(p.Log(), "shop-7f9c__script_")
	p.Reload() // with nobody there but the file
	eventually(t, 20*time.Second, func() string {
		if shown := haproxytest.Ask(t, p.Socket, "show map "+names); !strings.Contains(shown, "web/web1 shop-7f9c__script_") {
			return "the file has not been loaded: " + shown
		}
		return ""
	})
	m.start()
	eventually(t, 20*time.Second, func() string {
		if answer, err := http.Get("http://" + frontend); err == nil {
			answer.Body.Close()
		}
		if n := strings.Count(p.Log(), "shop-7f9c__script_"); n <= before {
			return "no line has the name after the reload"
		}
		return ""
	})
	m.write("endpoints/web.yaml", named(second, "shop-new"))
	logs(" shop-new")
}

// named lists one endpoint with a name.
func named(address, name string) string {
	return fmt.Sprintf("- {targets: [%q], labels: {service: web, name: %q}}\n", address, name)
}

// served is where a server answers that lives as long as the test.
func served(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
