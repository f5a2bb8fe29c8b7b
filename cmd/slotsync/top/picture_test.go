package top

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// fleetScene is two HAProxies with n backends of 6 servers, of which the second instance does
// not answer and one backend in the middle is held.
func fleetScene(n int) snapshot {
	s := topScene()
	s.status.Backends, s.status.Sources, s.status.Overrides = nil, nil, nil
	var dump slots.Dump
	for i := range n {
		b := api.BackendStatus{Name: fmt.Sprintf("service-%d", i+1), Backend: fmt.Sprintf("be_service-%d", i+1), Phase: "live", Serving: 6}
		if i == n/2 {
			b.Hold = &api.Hold{ID: "h1a2b3", Kind: "empty", Since: s.status.At.Add(-26 * time.Hour), WouldRemove: []string{"10.0.0.1:80"}}
		}
		for k := range 6 {
			name := fmt.Sprintf("srv%d", k+1)
			b.Slots = append(b.Slots, api.SlotStatus{Name: name, Endpoint: fmt.Sprintf("10.0.%d.%d:8080", i, k), State: "ready", Title: fmt.Sprintf("node-%d-%d", i, k)})
			dump.Add("pxname", b.Backend, "svname", name, "status", "UP", "weight", "100", "scur", fmt.Sprint(i%7), "smax", "9", "bin", "1234567", "lastchg", "3700", "check_status", "L4OK")
		}
		s.status.Backends = append(s.status.Backends, b)
		s.status.Sources = append(s.status.Sources, api.SourceStatus{Name: "consul", Backend: b.Name, State: "ok", InUse: true, Endpoints: 6, Asks: "consul service " + b.Name})
	}
	s.stats = []slots.Dump{dump, {}}
	return s
}

// TestTopAtBothSizes: with few backends and with many a screen is full and no wider or higher than
// the terminal, and the sources lead with what is held. With SLOTSYNC_SHOTS the screens are
// written into that folder as pictures.
func TestTopAtBothSizes(t *testing.T) {
	const width, height = 140, 32
	for _, n := range []int{3, 200} {
		m := startTop(t, &fakeTop{seen: fleetScene(n)})
		next, _ := m.Update(tea.WindowSizeMsg{Width: width, Height: height})
		m = next.(model)
		for view, name := range viewNames() {
			m = press(t, m, fmt.Sprint(view+1))
			lines := m.screen()
			if len(lines) != height {
				t.Errorf("%d backends, %s: %d lines of %d", n, name, len(lines), height)
			}
			if !strings.Contains(lines[0], fmt.Sprintf("%d backends  1 held", n)) {
				t.Errorf("%d backends, %s: the first line is %q", n, name, lines[0])
			}
			if held := strings.Contains(strings.Join(lines[:6], "\n"), "held (empty)"); held != (viewKind(view) == viewSources) {
				t.Errorf("%d backends, %s: what is held is among the first lines: %t", n, name, held)
			}
			if folder := os.Getenv("SLOTSYNC_SHOTS"); folder != "" {
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("top-%d-%s.svg", n, strings.ReplaceAll(name, " ", "-"))), svg(lines, width), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// svg is a screen as a picture, in the columns and rows of the demo's.
func svg(lines []string, width int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" xml:space="preserve"><style>text{font:13px "DejaVu Sans Mono",monospace;fill:#d1d7e0;white-space:pre}</style><rect width="100%%" height="100%%" fill="#0d1117"/>`+"\n",
		width*8+16, len(lines)*18+8)
	for i, line := range lines {
		fmt.Fprintf(&b, "<text x=\"8\" y=\"%d\">%s</text>\n", i*18+18, html.EscapeString(line))
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}
