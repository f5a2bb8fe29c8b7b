package dns

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
)

func TestParseResolvConf(t *testing.T) {
	cases := []struct {
		name, text string
		want       settings
	}{
		{"servers", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%1\n",
			settings{servers: []string{one, "[2001:db8::1]:53", "[fe80::1%1]:53"}, ndots: 1}},
		{"the first three", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
			settings{servers: []string{one, two, "192.0.2.3:53"}, ndots: 1}},
		{"nonsense", "\xff\x00\nnameserver\nnameserver ns.test\n# nameserver 192.0.2.9\n;nameserver 192.0.2.9\n\tnameserver\t192.0.2.1 # ours\noptions ndots:x timeout: rotate:\nsearch a..b -- .. c.test\n",
			settings{servers: []string{one}, search: []string{"--.", "c.test."}, ndots: 1, rotate: true}},
		{"all options", "options ndots:5 timeout:3 attempts:4 rotate use-vc edns0 no-aaaa trust-ad\n",
			settings{ndots: 5, timeout: 3 * time.Second, rounds: 4, rotate: true, tcp: true, noAAAA: true}},
		{"bounds", "options ndots:99 timeout:0 attempts:99\noptions timeout:1000\n",
			settings{ndots: 15, timeout: 30 * time.Second, rounds: 5}},
		{"less than nothing", "options ndots:-1 timeout:-1 attempts:-1", settings{timeout: time.Second, rounds: 1}},
		{"the last of search and domain", "search a.test B.Test\ndomain c.test d.test\n", settings{search: []string{"c.test."}, ndots: 1}},
		{"the root", "search .\n", settings{search: []string{"."}, ndots: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, parseResolvConf(c.text), cmp.AllowUnexported(settings{})); d != "" {
				t.Error(d)
			}
		})
	}
	if n := len(parseResolvConf("search" + strings.Repeat(" a.test", 100)).search); n != maxSearch {
		t.Errorf("%d suffixes", n)
	}
}

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nsearch a.test b.test\noptions ndots:2 timeout:1 attempts:3 rotate\n", "web.")
	f.Add("domain .\noptions ndots:99999999999999999999", "a.b.c.")
	f.Fuzz(func(t *testing.T, text, name string) {
		s := parseResolvConf(text)
		if len(s.servers) > maxNameservers || len(s.search) > maxSearch || s.ndots < 0 || s.ndots > 15 || s.rounds > 5 || s.timeout > 30*time.Second {
			t.Fatalf("%+v", s)
		}
		if name, err := absolute(name); err == nil {
			for _, c := range s.candidates(name) {
				if !wire.IsFqdn(c) || !strings.HasPrefix(c, name) {
					t.Fatalf("%q may stand for %q", name, c)
				}
			}
		}
	})
}

// writeResolvConf puts a new file in place of the one at path.
func writeResolvConf(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// fileSource is a source with the servers of a resolv.conf.
func fileSource(t *testing.T, path string, o Options, f script) *Source {
	o.ResolvConf = path
	s := newSource(t, o, Query{Record: "x.test", Type: TypeA, Port: 80})
	s.client.exchange = f.exchange
	return s
}

func TestD32ResolvConfIsFollowed(t *testing.T) {
	steps := []struct {
		name   string
		change func(t *testing.T, path string)
		want   []string
		remark string
	}{
		{"D32 another file", func(t *testing.T, p string) { writeResolvConf(t, p, "nameserver 192.0.2.2\n") }, []string{two}, ""},
		{"D32 an empty one", func(t *testing.T, p string) { writeResolvConf(t, p, "") }, []string{two}, "names no server now"},
		{"D32 none", func(t *testing.T, p string) { must(t, os.Remove(p)) }, []string{two}, "no such file"},
		{"D32 a folder", func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o700)) }, []string{two}, "is a directory"},
		{"D32 a good one again", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			writeResolvConf(t, p, "nameserver 192.0.2.1\n")
		}, []string{one}, ""},
	}
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
	synctest.Test(t, func(t *testing.T) {
		s := fileSource(t, path, Options{}, constant("x.test. 5 IN A 10.0.0.1"))
		if got := s.client.setup().servers; !slices.Equal(got, []string{one, two}) {
			t.Fatalf("at first %v", got)
		}
		for _, step := range steps {
			before := s.client.setup().servers
			step.change(t, path)
			time.Sleep(resolvEvery / 2)
			if got := s.client.setup().servers; !slices.Equal(got, before) {
				t.Errorf("%s: %v too soon", step.name, got)
			}
			time.Sleep(resolvEvery)
			if got := s.client.setup().servers; !slices.Equal(got, step.want) {
				t.Errorf("%s: servers %v, want %v", step.name, got, step.want)
			}
			if got := strings.Join(s.Activity().Remarks, "\n"); (got == "") != (step.remark == "") || !strings.Contains(got, step.remark) {
				t.Errorf("%s: remarks %q, want %q", step.name, got, step.remark)
			}
			wantStrong(t, next(t, s), "10.0.0.1:80")
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoServerIsTheLocalOne(t *testing.T) {
	local := []string{"127.0.0.1:53", "[::1]:53"}
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for name, text := range map[string]string{"no file": "", "no server": "search a.test\n", "no address": "nameserver ns.test\n"} {
		if text != "" {
			writeResolvConf(t, path, text)
		}
		c, err := NewClient(Options{ResolvConf: path})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := c.setup().servers; !slices.Equal(got, local) {
			t.Errorf("%s: %v", name, got)
		}
		_ = os.Remove(path)
	}
	if _, err := NewClient(Options{ResolvConf: t.TempDir()}); err == nil {
		t.Error("a folder was read")
	}
}

// TestOptionsOfTheFile is about who wins.
func TestOptionsOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, "nameserver 192.0.2.1\nsearch a.test\noptions timeout:1 attempts:3 use-vc rotate no-aaaa ndots:2\n")
	cases := []struct {
		name    string
		options Options
		want    settings
	}{
		{"the file's", Options{}, settings{servers: []string{one}, search: []string{"a.test."}, ndots: 2, timeout: time.Second, rounds: 3, rotate: true, tcp: true, noAAAA: true}},
		{"our own timeout and TCP", Options{Timeout: time.Minute, TCP: Never},
			settings{servers: []string{one}, search: []string{"a.test."}, ndots: 2, timeout: time.Minute, rounds: 3, rotate: true, noAAAA: true}},
		{"our own servers", Options{Servers: []string{two}}, settings{servers: []string{two}, timeout: 2 * time.Second, rounds: 2}},
		{"our own servers, its search list", Options{Servers: []string{two}, Search: true},
			settings{servers: []string{two}, search: []string{"a.test."}, ndots: 2, timeout: 2 * time.Second, rounds: 2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.options.ResolvConf = path
			client, err := NewClient(c.options)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, client.setup(), cmp.AllowUnexported(settings{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate use-vc\n")
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		s := fileSource(t, path, Options{}, func(network, server string, q *wire.Msg) *wire.Msg {
			asked = append(asked, network+" "+server)
			return answer(q, "x.test. 5 IN A 10.0.0.1")
		})
		for range 4 {
			next(t, s)
		}
		if want := []string{"tcp " + one, "tcp " + two, "tcp " + one, "tcp " + two}; !slices.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
	})
}
