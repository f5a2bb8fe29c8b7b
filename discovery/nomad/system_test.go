package nomad

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/discovery/nomad/nomadtest"
)

// More services than places: some are polled, and every one is up to date within
// the interval.
func TestManyServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		c := fakeClient(t, f, Options{})
		const services = 120
		var watches []*discoverytest.Watched
		for i := range services {
			name := fmt.Sprintf("web-%d", i)
			f.Set(name, nomadtest.Instances(1)...)
			watches = append(watches, discoverytest.Watch(t, source(t, c, Query{Service: name})))
		}
		time.Sleep(time.Minute)
		before := len(f.Requests())
		time.Sleep(10 * time.Minute)
		if n := len(f.Requests()) - before; n > services*60*12/10+queries*15 {
			t.Errorf("%d requests within 10 minutes", n)
		}
		for i := range services {
			f.Set(fmt.Sprintf("web-%d", i), nomadtest.Instances(2)...)
		}
		time.Sleep(13 * time.Second)
		for i, w := range watches {
			updates, _ := w.Seen()
			if got := discoverytest.History(updates); len(got) != 2 || got[1] != "1 2" {
				t.Errorf("service %d: %q", i, got)
			}
		}
		if n := f.Blocking(); n != queries {
			t.Errorf("%d blocking queries at a time", n)
		}
	})
}

func TestPollingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(1)...)
		c := fakeClient(t, f, Options{PollInterval: 5 * time.Second})
		polled := 0
		var sources []*Source
		for range queries + 10 {
			s := source(t, c, Query{})
			discoverytest.Watch(t, s).Is(t, "1")
			sources = append(sources, s)
		}
		time.Sleep(30 * time.Second)
		for _, s := range sources {
			if a := s.Activity(); strings.Contains(strings.Join(a.Remarks, "\n"), "polled every 5s") {
				polled++
			}
		}
		if polled != 10 {
			t.Errorf("%d say that they are polled", polled)
		}
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		c := fakeClient(t, f, Options{})
		var watches []*discoverytest.Watched
		for i := range 60 {
			name := fmt.Sprintf("web-%d", i)
			f.Set(name, nomadtest.Instances(3)...)
			watches = append(watches, discoverytest.Watch(t, source(t, c, Query{Service: name})))
		}
		time.Sleep(time.Minute)
		f.Refuse(true)
		time.Sleep(time.Hour)
		for _, w := range watches {
			w.Is(t, "transport")
		}
		f.SetIndex(5000)
		f.Refuse(false)
		begin := time.Now()
		for _, w := range watches {
			w.Is(t, "1 2 3")
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("all are back after %s", took)
		}
		time.Sleep(time.Minute)
		for _, w := range watches {
			if got := strings.Join(discoverytest.History(w.End()), ", "); got != "1 2 3, transport, 1 2 3" {
				t.Errorf("it said %s", got)
			}
		}
	})
}

// An agent that is too busy is left alone for longer and longer.
func TestTooManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(3)...)
		w := discoverytest.Watch(t, fakeSource(t, f, Options{}))
		w.Is(t, "1 2 3")
		f.Always(discoverytest.Reply(429, "Your IP is issuing too many concurrent connections"))
		before := len(f.Requests())
		time.Sleep(10 * time.Minute)
		if n := len(f.Requests()) - before; n < 5 || n > 60 {
			t.Errorf("%d requests within 10 minutes", n)
		}
		f.Always(nil)
		time.Sleep(time.Minute)
		w.Is(t, "1 2 3")
	})
}

// A read that finds no place is one that was not answered in time.
func TestReadsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Always(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := fakeClient(t, f, Options{})
		var watches []*discoverytest.Watched
		for range 4 * reads {
			watches = append(watches, discoverytest.Watch(t, source(t, c, Query{})))
		}
		time.Sleep(5 * time.Minute)
		for _, w := range watches {
			w.Is(t, "transport")
		}
		if n := len(f.Requests()); n > 5*60/15*(reads+1)+reads {
			t.Errorf("%d requests", n)
		}
	})
}

func TestTLS(t *testing.T) {
	f := nomadtest.NewFake(t)
	f.Set("web", nomadtest.Instances(2)...)
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		tls  longpoll.TLS
		want string
	}{
		"a known authority": {longpoll.TLS{CAFile: ca}, "1 2"}, "an unknown one": {longpoll.TLS{}, "transport"},
		"another name": {longpoll.TLS{CAFile: ca, ServerName: "other.test"}, "transport"}, "any": {longpoll.TLS{InsecureSkipVerify: true}, "1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := NewClient(Options{Address: server.URL, TLS: test.tls})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			w := discoverytest.Watch(t, source(t, c, Query{}))
			w.Is(t, test.want)
			if test.want != "transport" {
				f.Set("web", nomadtest.Instances(3)...)
				w.Is(t, "1 2 3")
			}
			w.End()
			f.Set("web", nomadtest.Instances(2)...)
		})
	}
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	f := nomadtest.NewFake(t)
	f.Set("web", nomadtest.Instances(2)...)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	c, err := NewClient(Options{Address: "unix://" + dir + "/api.sock"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := source(t, c, Query{})
	if r, err := s.Confirm(t.Context()); err != nil || discoverytest.Describe(r) != "1 2" {
		t.Errorf("%q %v", discoverytest.Describe(r), err)
	}
}

// Nothing is taken from the environment, where Nomad's own client looks.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"NOMAD_ADDR", "NOMAD_TOKEN", "NOMAD_NAMESPACE", "NOMAD_REGION", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "http://198.51.100.1:1")
	}
	synctest.Test(t, func(t *testing.T) {
		f := nomadtest.NewFake(t)
		f.Set("web", nomadtest.Instances(2)...)
		if r, err := fakeSource(t, f, Options{}).Next(t.Context()); err != nil || discoverytest.Describe(r) != "1 2" {
			t.Errorf("%q %v", discoverytest.Describe(r), err)
		}
		if r := f.Requests()[0]; r.Host != "127.0.0.1:4646" || r.Header.Get("X-Nomad-Token") != "" || r.URL.RawQuery != "" {
			t.Errorf("asked %s %s", r.Host, r.URL)
		}
	})
}
