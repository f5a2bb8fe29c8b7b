package haproxy_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

var web = haproxytest.Backend{Name: "web", Slots: 40}

func made(t *testing.T, version string) (*haproxytest.Fake, *target) {
	t.Helper()
	f := haproxytest.NewFake(t, version, web)
	return f, newTarget(t, version, f.Socket, fake{f})
}

func TestNewRefusesSockets(t *testing.T) {
	long := "/" + strings.Repeat("x", 107)
	for _, c := range []struct{ name, socket, want string }{
		{"empty", "", "empty"},
		{"empty path", "unix://", "empty"},
		{"too long", long, "107"},
		{"abstract", "@haproxy", "want a path"},
		{"another scheme", "http://127.0.0.1:80", "want a path"},
		{"no port", "tcp://127.0.0.1", "missing port"},
		{"port 0", "tcp://127.0.0.1:0", "want tcp://host:port"},
		{"port too large", "tcp://127.0.0.1:65536", "want tcp://host:port"},
		{"no host", "tcp://:9999", "want tcp://host:port"},
		{"a NUL", "/run/\x00", "want a path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := haproxy.New(haproxy.Options{Socket: c.socket}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want %q in it", err, c.want)
			}
		})
	}
	for _, good := range []string{long[:107], "unix:///run/haproxy/admin.sock", "admin.sock", "tcp://[::1]:9999", "tcp://edge:9999"} {
		if c, err := haproxy.New(haproxy.Options{Socket: good}); err != nil || c.String() != good {
			t.Errorf("%s: %v, %v", good, c, err)
		}
	}
	if _, err := haproxy.New(haproxy.Options{Socket: "/x", Timeout: -1}); err == nil {
		t.Error("a negative timeout is taken")
	}
}

func TestAbsent(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{filepath.Join(dir, "none.sock"), filepath.Join(file, "below"), file,
		fmt.Sprintf("tcp://127.0.0.1:%d", haproxytest.FreePort(t))} {
		_, err := client(t, socket).View(t.Context(), nil, false)
		wantFault(t, err, slots.Absent, false)
		if err != nil && !strings.Contains(err.Error(), strings.TrimPrefix(socket, "tcp://")) {
			t.Errorf("the socket is not named: %v", err)
		}
	}
}

func TestTCP(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			port := haproxytest.FreePort(t)
			haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{web},
				Extra: fmt.Sprintf("global\n  stats socket ipv4@127.0.0.1:%d level admin\n", port)})
			c := client(t, fmt.Sprintf("tcp://127.0.0.1:%d", port))
			v, err := c.View(t.Context(), []string{"web"}, false)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := c.Apply(t.Context(), v.Process, fills(v, "web", 40)); err != nil || len(out.Refusals) != 0 {
				t.Errorf("got %v, %v", out.Refusals, err)
			}
		})
	}
}

// What answers is no HAProxy, or not all of one.
func TestGarbled(t *testing.T) {
	for _, c := range []struct{ name, answer string }{
		{"nothing", ""},
		{"html", "HTTP/1.1 400 Bad Request\r\n\r\n"},
		{"half", "Name: HAProxy\nVersion: 3.0"},
		{"no pid", "Name: HAProxy\nVersion: 3.0\n\n"},
		{"too much", "Name: HAProxy\n" + strings.Repeat("x", 2<<20) + "\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := client(t, serve(t, c.answer)).Info(t.Context())
			wantFault(t, err, slots.Garbled, false)
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// serve answers each connection the same and returns the socket.
func serve(t *testing.T, answer string) string {
	t.Helper()
	return haproxytest.Answer(t, "unix", func(c net.Conn) {
		c.Read(make([]byte, 1<<16))
		c.Write([]byte(answer))
	}).String()
}

func TestDenied(t *testing.T) {
	for _, version := range haproxytest.Versions {
		for _, level := range []string{"user", "operator"} {
			t.Run(version+"-"+level, func(t *testing.T) {
				f, made := made(t, version)
				f.SetLevel(level)
				p := haproxytest.Start(t, haproxytest.Config{Version: version, Level: level, Backends: []haproxytest.Backend{web}})
				for _, on := range []*target{made, newTarget(t, version, p.Socket, real{p})} {
					v := on.view(t, "web")
					out, err := on.client.Apply(t.Context(), v.Process, fills(v, "web", 2))
					wantFault(t, err, slots.Denied, false)
					if d := cmp.Diff([]string{"web1 level", "web2 level"}, causes(out)); d != "" {
						t.Error(d)
					}
					if err == nil || !strings.Contains(err.Error(), "level admin") {
						t.Errorf("no advice in %v", err)
					}
					if got, err := on.client.Level(t.Context()); got != level || err != nil {
						t.Errorf("got %q, %v", got, err)
					}
				}
			})
		}
	}
}

func TestAddressesThatComeLate(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond} {
		t.Run(d.String(), func(t *testing.T) {
			f, on := made(t, "3.2")
			f.SetDelay(d)
			v := on.view(t, "web")
			out := on.apply(t, v.Process, fills(v, "web", 40)...)
			if len(out.Refusals) != 0 || len(served(out.View.Servers["web"])) != 40 {
				t.Errorf("got %v", causes(out))
			}
			if n := strings.Count(strings.Join(f.Transcript(), "\n"), " addr "); n != 40 {
				t.Errorf("%d addresses were sent for 40", n)
			}
		})
	}
}

func TestAddressesThatAreLost(t *testing.T) {
	for _, c := range []struct{ lost, sent, unproved int }{{3, 43, 0}, {43, 80, 3}} {
		t.Run(fmt.Sprint(c.lost), func(t *testing.T) {
			f, on := made(t, "3.0")
			f.LoseAddrs(c.lost)
			v := on.view(t, "web")
			out := on.apply(t, v.Process, fills(v, "web", 40)...)
			if n := strings.Count(strings.Join(f.Transcript(), "\n"), " addr "); n != c.sent {
				t.Errorf("%d addresses were sent; want %d", n, c.sent)
			}
			if len(out.Refusals) != c.unproved || len(served(out.View.Servers["web"])) != 40-c.unproved {
				t.Fatalf("got %v", causes(out))
			}
			for _, r := range out.Refusals {
				if s := find(t, out.View, "web", r.Change.Slot); r.Cause != slots.Unproved || s.Class != slots.Maint {
					t.Errorf("got %v, %+v", r, s)
				}
			}
		})
	}
}
