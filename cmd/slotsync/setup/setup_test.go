package setup

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
)

func addrs(list ...string) (out []netip.AddrPort) {
	for _, a := range list {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func TestPropose(t *testing.T) {
	for _, tt := range []struct {
		name     string
		backend  Backend
		services []Service
		want     string
	}{
		{"nothing", Backend{Proxy: "web"}, nil, ""},
		{"by name", Backend{Proxy: "web"}, []Service{{Name: "api"}, {Name: "web"}}, "web"},
		{"nearly by name", Backend{Proxy: "be_web"}, []Service{{Name: "web-http"}, {Name: "api"}}, "web-http"},
		{"the name itself before nearly", Backend{Proxy: "web"}, []Service{{Name: "web-http"}, {Name: "web"}}, "web"},
		{"two are as likely", Backend{Proxy: "be_web"}, []Service{{Name: "web-http"}, {Name: "web-tcp"}}, ""},
		{"who takes traffic before the name", Backend{Proxy: "web", Live: addrs("127.0.0.1:1", "127.0.0.2:1")},
			[]Service{{Name: "web"}, {Name: "shop", Addresses: addrs("127.0.0.2:1")}}, "shop"},
		{"most of those who do", Backend{Proxy: "web", Live: addrs("127.0.0.1:1", "127.0.0.2:1")},
			[]Service{{Name: "a", Addresses: addrs("127.0.0.2:1")}, {Name: "b", Addresses: addrs("127.0.0.1:1", "127.0.0.2:1")}}, "b"},
		{"a name of nothing but fillers is like no other", Backend{Proxy: "backend"}, []Service{{Name: "http"}}, ""},
	} {
		if got := proposeAll([]Backend{tt.backend}, tt.services)[0]; got.Service != tt.want || got.Proxy != tt.backend.Proxy {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.want)
		}
	}
}

func TestBackendsOf(t *testing.T) {
	slot := func(name, addr string) slots.Server {
		return slots.Server{Name: name, Addr: netip.MustParseAddrPort(addr), FQDN: "slot.invalid", Disabled: true, Initial: 100, Class: slots.Maint}
	}
	filled, bad := slot("web1", "127.0.0.9:80"), slot("web1", "127.0.0.1:1")
	filled.Class, bad.FQDN = slots.Ready, ""
	fixed := slots.Server{Name: "web", Addr: netip.MustParseAddrPort("127.0.0.7:80"), Class: slots.Ready}
	view := slots.View{Servers: map[string][]slots.Server{
		"web": {filled, slot("web2", "127.0.0.1:1")}, "bad": {bad, slot("web2", "127.0.0.1:1")}, "hand": {fixed}, "none": nil,
	}}
	list := backendsOf(view, func(proxy string) bool { return proxy != "hand" })
	if len(list) != 3 {
		t.Fatalf("%+v", list)
	}
	b, h, w := list[0], list[1], list[2]
	if w.Proxy != "web" || w.Prefix != "web" || w.Slots != 2 || w.First != "web1" || w.Last != "web2" || w.Fixed != 0 || w.Advice != "" || len(w.Live) != 1 {
		t.Errorf("recommended: %+v", w)
	}
	if want := "server-template web 1-2 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100"; b.Advice != want {
		t.Errorf("numeric: %q", b.Advice)
	}
	if h.Fixed != 1 || h.Slots != 0 || h.Advice != "server-template hand 1-10 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100 check inter 2s" {
		t.Errorf("by hand: %+v", h)
	}
	if got := freePrefix("web", []slots.Server{fixed}); got != "web-slot" {
		t.Errorf("beside a server web: %q", got)
	}
}

func TestMerge(t *testing.T) {
	got := mergeInstances([]Instance{
		{Name: "a", Backends: []Backend{{Proxy: "web", Fixed: 1, Live: addrs("127.0.0.2:1")}, {Proxy: "shop", Slots: 2, Prefix: "shop"}}},
		{Name: "b", Backends: []Backend{{Proxy: "api", Slots: 1}, {Proxy: "web", Slots: 5, Live: addrs("127.0.0.1:1", "127.0.0.2:1")}, {Proxy: "shop", Slots: 3, Prefix: "srv"}}},
	})
	if len(got) != 3 || got[0].Proxy != "web" || got[0].Slots != 5 || len(got[0].Live) != 2 || got[2].Proxy != "api" {
		t.Errorf("%+v", got)
	}
	for i, want := range []string{"b", "a b", "b"} {
		if names := strings.Join(got[i].instances(), " "); names != want {
			t.Errorf("%s is at %s, want %s", got[i].Proxy, names, want)
		}
	}
	if words := got[1].prefixes(); words != "shop at a, srv at b" || got[0].prefixes() != "" {
		t.Errorf("%q", words)
	}
}

func TestPattern(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"":             {"web": "/s/web", "api": "/t/api"},
		"/s/{backend}": {"web": "/s/web", "api": "/s/api", "no": ""},
		"/s/all":       {"web": "/s/all", "api": "/s/all"},
	} {
		if got := pattern(files); got != want {
			t.Errorf("%v: %q, want %q", files, got, want)
		}
	}
}

// TestFileIsWhatWasMeant: whatever a service is called, the file says just that.
func TestFileIsWhatWasMeant(t *testing.T) {
	instances := []Instance{{Name: "haproxy", Socket: "/run/a b\"c.sock", Version: "3.0\nhttp: {listen: 0.0.0.0:1}", Level: "admin"}}
	for _, name := range []string{"web", "true", "No", "12", "1e3", "a: b", "- x", "#", "'\"\\", "{backend}", "ünï", "a\nhttp:\n  listen: x", "\u2028x", "~", "0x1f", "a#b"} {
		text := File(instances, Source{Type: "consul"}, []Proposal{{Backend: Backend{Proxy: "web", Prefix: "web", Slots: 3, At: []Slots{{"haproxy", "web"}}}, Service: name, Why: "x\ny: z"}, {Backend: Backend{Proxy: "none"}}})
		path := filepath.Join(t.TempDir(), "slotsync.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, config.Environment{})
		if err == nil {
			if len(cfg.Backends) != 1 || cfg.Backends[0].Feeds[0].Consul.Service != name || cfg.Instances[0].Socket != instances[0].Socket {
				t.Errorf("%q: %+v\n%s", name, cfg.Backends, text)
			}
			continue
		}
		// What the configuration refuses, it refuses for what it is.
		e, ok := errors.AsType[*config.Error](err)
		if !ok || len(e.Lines()) != 1 || !strings.Contains(e.Lines()[0], "service") {
			t.Errorf("%q: %v\n%s", name, err, text)
		}
	}
}

func TestWriteLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "slotsync.yaml")
	if err := Write(path, []byte("a: 1\n")); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("a: 2\n")); err == nil || !strings.Contains(err.Error(), "left as it is") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a: 1\n" {
		t.Errorf("%q, %v", text, err)
	}
}
