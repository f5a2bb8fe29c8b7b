package reload

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	stdslices "slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestRenderKeepsTheRange: templates whose numbers do not start at 1 are grown upwards.
func TestRenderKeepsTheRange(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:80")
	for _, c := range []struct {
		prefix        string
		offset, slots int
		slot          string
		want          string
	}{
		{"web", 4, 20, "web24", "20 slots 5 to 24: server-template web 5-24 "},
		{"web", 100, 20, "web101", "20 slots 101 to 120: server-template web 101-120 "},
		{"web", -1, 10, "web0", "10 slots 0 to 9: server-template web 0-9 "},
		{"web1", 0, 20, "web120", "20 slots 1 to 20: server-template web1 1-20 "},
	} {
		d := Data{Backends: []Backend{{Name: "w", Proxy: "web", Prefix: c.prefix, Offset: c.offset, Slots: c.slots,
			Servers: []Server{{Slot: c.slot, Addr: at, State: "ready"}}}}}
		tr := renderer(t, "{{slots `w`}} slots {{first `w`}} to {{last `w`}}: {{serverTemplate `w`}}\n{{serverLines `w`}}")
		got, err := tr.render(d)
		if err != nil || !strings.HasPrefix(string(got), c.want) || !strings.Contains(string(got), "server "+c.slot+" 10.0.0.1:80\n") ||
			strings.Count(string(got), "\nserver ") != c.slots {
			t.Errorf("got %v\n%s", err, got)
		}
		for _, outside := range []string{fmt.Sprintf("%s%d", c.prefix, c.offset), fmt.Sprintf("%s%d", c.prefix, c.offset+c.slots+1)} {
			d.Backends[0].Servers[0].Slot = outside
			if got, err := tr.render(d); err == nil {
				t.Errorf("%s is a slot: %s", outside, got)
			}
		}
	}
}

// ringTemplate is a backend whose keys go by the numbers of the servers.
const ringTemplate = `global
  stats socket %s mode 600 level admin expose-fd listeners
  server-state-base %s
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
  server-state-file-name use-backend-name
frontend in
  bind 127.0.0.1:%d
  default_backend web
backend web
  balance hdr(key)
  hash-type consistent
  load-server-state-from-file local
  server fixed %s
  {{serverTemplate "web"}}
`

// TestGrowthMovesNoKeys: templates of every range are grown; with a consistent hash,
// each key goes to the address from before, since names and numbers stay.
func TestGrowthMovesNoKeys(t *testing.T) {
	t.Parallel()
	for _, version := range haproxytest.Versions {
		for _, r := range []slots.Range{{Prefix: "web", First: 1, Last: 6}, {Prefix: "web", First: 5, Last: 14}, {Prefix: "web1", First: 1, Last: 10}, {Prefix: "web", First: 101, Last: 110}} {
			t.Run(fmt.Sprintf("%s/%s %d-%d", version, r.Prefix, r.First, r.Last), func(t *testing.T) {
				t.Parallel()
				growOnRing(t, version, r)
			})
		}
	}
}

func growOnRing(t *testing.T, version string, r slots.Range) {
	t.Helper()
	var at []netip.AddrPort
	for i := range 7 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) }))
		t.Cleanup(s.Close)
		at = append(at, netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://")))
	}
	port := haproxytest.FreePort(t)
	line := fmt.Sprintf("server-template %s %d-%d slot.invalid:1 init-addr last,127.0.0.1 disabled", r.Prefix, r.First, r.Last)
	fixed := at[6] // beside the template, above it
	at = at[:6]
	text := fmt.Sprintf(ringTemplate, "{socket}", "{dir}", port, fixed)
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Text: strings.Replace(text, `{{serverTemplate "web"}}`, line, 1)})
	dir := strings.TrimSuffix(p.File(), "/haproxy.cfg")
	c, err := haproxy.New(haproxy.Options{Socket: p.Socket, StateFile: dir + "/{backend}"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.View(t.Context(), []string{"web"}, true)
	if err != nil {
		t.Fatal(err)
	}
	found, err := slots.RangeOf(slots.Own(v.Servers["web"], r.Prefix), r.Prefix)
	if err != nil || found != r {
		t.Fatalf("got %+v, %v", found, err)
	}
	var fills []slots.Change
	d := Data{Backends: []Backend{{Name: "web", Proxy: "web", Prefix: r.Prefix, Offset: r.First - 1, Slots: 40}}}
	own := slots.Own(v.Servers["web"], r.Prefix)
	for i, a := range at {
		s := own[i]
		fills = append(fills, slots.Change{Backend: "web", Slot: s.Name, Kind: slots.Fill, Addr: a, Class: slots.Ready, SetClass: true, From: s})
		d.Backends[0].Servers = append(d.Backends[0].Servers, Server{Slot: s.Name, Addr: a, State: "ready"})
	}
	out, err := c.Apply(t.Context(), v.Process, fills)
	if err != nil || len(out.Refusals) > 0 {
		t.Fatalf("got %+v, %v", out.Refusals, err)
	}
	if err := c.Save("web", out.View.Servers["web"]); err != nil {
		t.Fatal(err)
	}
	before := ring(t, port)
	if !stdslices.Contains(before, "6") || !stdslices.Contains(before, "0") {
		t.Fatalf("not everybody has keys: %v", before)
	}
	tmpl := t.TempDir() + "/tmpl"
	full := strings.NewReplacer("{socket}", p.Socket, "{dir}", dir).Replace(text)
	if err := os.WriteFile(tmpl, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	grown, err := (&Transaction{o: Options{Template: tmpl}}).render(d)
	if err != nil {
		t.Fatal(err)
	}
	p.Config.Text = string(grown)
	p.Reload()
	v, err = c.View(t.Context(), []string{"web"}, true)
	if err != nil || len(v.Servers["web"]) != 41 {
		t.Fatalf("got %d servers, %v", len(v.Servers["web"]), err)
	}
	if diff := cmp.Diff(before, ring(t, port)); diff != "" {
		t.Errorf("keys have moved:\n%s", diff)
	}
}

// ring asks for a hundred keys and returns who answered each.
func ring(t *testing.T, port int) []string {
	t.Helper()
	who := make([]string, 100)
	for i := range who {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("key", fmt.Sprint("k", i))
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Fscan(res.Body, &n); err != nil {
			t.Fatalf("%s: %v", res.Status, err)
		}
		res.Body.Close()
		who[i] = fmt.Sprint(n)
	}
	return who
}
