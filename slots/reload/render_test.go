package reload

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample has servers of every kind.
func sample() Data {
	server := func(name, slot, addr string, weight int, state string) Server {
		s := Server{Name: name, Slot: slot, Weight: weight, State: state}
		if addr != "" {
			s.Addr = netip.MustParseAddrPort(addr)
		}
		return s
	}
	return Data{Backends: []Backend{
		{Name: "shop", Proxy: "web", Prefix: "websrv", Slots: 8, Servers: []Server{
			server("web a;\nquit", "websrv1", "10.0.0.1:80", 0, "ready"),
			server("b", "websrv3", "[2001:db8::1]:8080", 20, "ready"),
			server("c", "websrv4", "[::ffff:10.0.0.4]:80", 20, "drain"),
			server("d", "websrv5", "10.0.0.5:80", 0, "maint"),
			server("", "websrv7", "", 0, "maint"),
			server("waits", "", "10.0.0.8:80", 256, "ready"),
			server("waits too", "", "10.0.0.9:80", 1, "ready"),
		}},
		{Name: "api", Proxy: "api", Prefix: "api", Slots: 3},
	}}
}

func renderer(t *testing.T, text string) *Transaction {
	t.Helper()
	s := newSite(t)
	s.put(t, s.template(), text)
	return s.open(t)
}

func TestGoldenTemplates(t *testing.T) {
	templates, err := filepath.Glob("testdata/*.tmpl")
	if err != nil || len(templates) == 0 {
		t.Fatalf("got %v, %v", templates, err)
	}
	for _, name := range templates {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := renderer(t, string(text)).render(sample())
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(name, ".tmpl")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(got) != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s\n%v", got, want, err)
			}
		})
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"syntax", "a\nb {{range}}\n", ":2: missing value for range"},
		{"unknown backend", "\n{{serverTemplate `wbe`}}", `:2:2: executing "`},
		{"says which there are", "{{slots `wbe`}}", `no backend "wbe"; there are: shop, api`},
		{"unknown function", "{{env `HOME`}}", `:1: function "env" not defined`},
		{"unknown field", "{{range .Backends}}{{.Token}}{{end}}", "can't evaluate field Token"},
		{"two lines of keywords", "{{serverLines `web` `check\nquit`}}", "more than one line"},
		{"endless", "{{range 1000000}}{{printf `%100000d` 1}}{{end}}", "bytes are rendered"},
		{"NUL", "a{{printf `%c` 0}}b", "NUL"},
		{"nothing", " \n", "renders nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := renderer(t, c.text)
			got, err := tr.render(sample())
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, %v, want %q", shorten(string(got)), err, c.says)
			}
			if strings.HasPrefix(c.says, ":") && !strings.HasPrefix(err.Error(), tr.o.Template+":") {
				t.Errorf("%v does not begin with the file", err)
			}
		})
	}
}

func TestDataIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Backend, *Server){
		"name":            func(b *Backend, _ *Server) { b.Name = "web;quit" },
		"no name":         func(b *Backend, _ *Server) { b.Name = "" },
		"proxy":           func(b *Backend, _ *Server) { b.Proxy = "web\nglobal" },
		"prefix":          func(b *Backend, _ *Server) { b.Prefix = "web srv" },
		"long":            func(b *Backend, _ *Server) { b.Name = strings.Repeat("a", 256) },
		"many slots":      func(b *Backend, _ *Server) { b.Slots = maxSlots + 1 },
		"negative slots":  func(b *Backend, _ *Server) { b.Slots = -1 },
		"twice":           func(b *Backend, s *Server) { b.Servers = []Server{*s, *s} },
		"other prefix":    func(_ *Backend, s *Server) { s.Slot = "api1" },
		"no number":       func(_ *Backend, s *Server) { s.Slot = "websrv" },
		"leading zero":    func(_ *Backend, s *Server) { s.Slot = "websrv01" },
		"sign":            func(_ *Backend, s *Server) { s.Slot = "websrv+1" },
		"beyond":          func(_ *Backend, s *Server) { s.Slot = "websrv11" },
		"zero":            func(_ *Backend, s *Server) { s.Slot = "websrv0" },
		"weight":          func(_ *Backend, s *Server) { s.Weight = 257 },
		"negative weight": func(_ *Backend, s *Server) { s.Weight = -1 },
		"state":           func(_ *Backend, s *Server) { s.State = "up" },
		"port":            func(_ *Backend, s *Server) { s.Addr = netip.MustParseAddrPort("10.0.0.1:0") },
		"unspecified":     func(_ *Backend, s *Server) { s.Addr = netip.MustParseAddrPort("0.0.0.0:80") },
		"multicast":       func(_ *Backend, s *Server) { s.Addr = netip.MustParseAddrPort("224.0.0.1:80") },
		"zone":            func(_ *Backend, s *Server) { s.Addr = netip.MustParseAddrPort("[fe80::1%eth0]:80") },
		"port alone":      func(_ *Backend, s *Server) { s.Addr = netip.AddrPortFrom(netip.Addr{}, 80) },
	} {
		t.Run(name, func(t *testing.T) {
			d := web(10)
			spoil(&d.Backends[0], &d.Backends[0].Servers[0])
			if _, err := d.checked(); err == nil {
				t.Errorf("%+v is taken", d)
			}
		})
	}
	d := web(10)
	d.Backends = append(d.Backends, d.Backends[0])
	if _, err := d.checked(); err == nil {
		t.Error("a backend is there twice")
	}
}

// TestDataIsNotChanged: what the caller has stays what it was.
func TestDataIsNotChanged(t *testing.T) {
	d := sample()
	if _, err := d.checked(); err != nil {
		t.Fatal(err)
	}
	if got := d.Backends[0].Servers[0].Name; got != "web a;\nquit" {
		t.Errorf("got %q", got)
	}
}

// FuzzData proves that nothing from outside makes a line of its own.
func FuzzData(f *testing.F) {
	f.Add("web", "web", "websrv", "a", "websrv1", "ready", uint8(10), 100)
	f.Add("web\n", "web;quit", "web srv", "a\nglobal\n  lua-load x", "websrv1\n", "ready", uint8(10), 1)
	f.Add("{{env}}", "${HOME}", `"'`, "#\\", "\x00", "maint", uint8(1), -1)
	dir := f.TempDir()
	s := site{dir: dir}
	const text = "{{range .Backends}}# {{.Name}}\nbackend {{.Proxy}}\n{{serverTemplate .Name}}\n{{serverLines .Name `check`}}\n" +
		"{{range servers .Name}}# {{.Name}} {{.Slot}} {{.State}}\n{{end}}{{range endpoints .Name}}# {{.Addr}}\n{{end}}{{end}}"
	if err := os.WriteFile(s.template(), []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
	tr, err := New(s.options())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, proxy, prefix, server, slot, state string, slots uint8, weight int) {
		addr := netip.MustParseAddrPort("10.0.0.1:80")
		got, err := tr.render(Data{Backends: []Backend{{
			Name: name, Proxy: proxy, Prefix: prefix, Slots: int(slots),
			Servers: []Server{{Name: server, Slot: slot, Addr: addr, Weight: weight, State: state}},
		}}})
		if err != nil {
			return
		}
		if lines := strings.Count(string(got), "\n"); lines != 5+int(slots) {
			t.Errorf("%d lines for %d slots:\n%q", lines, slots, got)
		}
		if strings.ContainsAny(string(got), "\x00\r;\"'\\${}") {
			t.Errorf("got %q", got)
		}
	})
}
