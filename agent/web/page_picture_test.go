package web_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// fleet is two HAProxies with n backends, in a few of which something is odd.
func fleet(n int) api.Status {
	until := pageTime.Add(time.Hour)
	s := api.Status{Version: "1.2.3", At: pageTime, Started: pageTime.Add(-time.Hour), Ready: true, Instances: []api.InstanceStatus{
		{Name: "edge-1", Socket: "/run/haproxy/admin.sock", Up: true, InSync: true, Version: "3.2.26", Pid: 4242, External: 1},
		{Name: "edge-2", Socket: "/run/haproxy/second.sock", Up: true, InSync: true, Version: "3.0.8", Pid: 1717},
	}}
	for i := range n {
		name := fmt.Sprintf("service-%d", i+1)
		b := filled(name, "node-"+name, 20, 6+i%9)
		b.Serving = 6 + i%9
		switch i {
		case 1:
			b.Hold = &api.Hold{ID: "h1a2b3", Kind: "empty", Since: pageTime.Add(-26 * time.Hour), ReleasesAt: until, WouldRemove: []string{"10.0.0.1:80", "10.0.0.2:80"}}
		case 2:
			b.Slots[0].Instances[0].State, b.Slots[0].Instances[0].HeldBy = slots.Maint, "external"
		case 40:
			b.Overflow = append(b.Overflow, endpoint(99, "late"))
		}
		s.Backends = append(s.Backends, b)
		s.Sources = append(s.Sources, api.SourceStatus{Name: "consul", Backend: name, Asks: "consul service " + name, State: "ok", InUse: true, Endpoints: b.Serving, AgeSeconds: 3})
	}
	return s
}

// TestPageAtBothSizes: the page names every backend, says how many are to be looked at, and stays
// small. With SLOTSYNC_SHOTS it is written into that folder, for a browser to draw.
func TestPageAtBothSizes(t *testing.T) {
	for _, n := range []int{3, 200} {
		s := fleet(n)
		body := page(t, s, "/")
		for _, b := range s.Backends {
			if !strings.Contains(body, ">"+b.Name+"<") {
				t.Errorf("%d backends: %s is not named", n, b.Name)
			}
		}
		if odd := min(n-1, 3); !strings.Contains(body, fmt.Sprintf("only the %d to look at", odd)) {
			t.Errorf("%d backends: it does not lead to the %d that are odd", n, odd)
		}
		if most := 60_000 + 8_000*n; len(body) > most {
			t.Errorf("%d backends: the page has %d bytes, more than %d", n, len(body), most)
		}
		if folder := os.Getenv("SLOTSYNC_SHOTS"); folder != "" {
			css, err := os.ReadFile("page/page.css")
			if err != nil {
				t.Fatal(err)
			}
			body = strings.Replace(body, "</head>", "<style>"+string(css)+"</style></head>", 1)
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("page-%d.html", n)), []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
