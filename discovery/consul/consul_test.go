package consul

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

func TestNewClientRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"only http, https and unix":  {Address: "ftp://127.0.0.1"},
		"absolute path":              {Address: "unix://run/consul.sock"},
		"is not SCHEME://HOST:PORT":  {Address: "http://"},
		"xxxxx":                      {Address: "http://user:secret@127.0.0.1:8500"},
		"is not SCHEME://HOST:PORT ": {Address: "http://127.0.0.1:8500?token=x"},
		"address: parse":             {Address: "http://127.0.0.1:http:80"},
		"consistency":                {Consistency: "strong"},
		"max_stale":                  {MaxStale: -time.Second},
		"wait 1ms":                   {Wait: time.Millisecond},
		"wait 11m":                   {Wait: 11 * time.Minute},
		"tls.ca_file: open":          {TLS: longpoll.TLS{CAFile: "/nowhere"}},
		"holds no certificate":       {TLS: longpoll.TLS{CAFile: empty}},
		"tls.cert_file and":          {TLS: longpoll.TLS{CertFile: empty}},
	} {
		if _, err := NewClient(o); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestClientAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"": "http://127.0.0.1:8500", "127.0.0.1:8501": "http://127.0.0.1:8501", "https://consul:8501/": "https://consul:8501",
		"http://[::1]:8500/prefix/": "http://[::1]:8500/prefix", "unix:///run/consul.sock": "unix:///run/consul.sock",
	} {
		c, err := NewClient(Options{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		if c.http.At.String() != want {
			t.Errorf("%q became %q", address, c.http.At)
		}
	}
}

func TestEnvironmentDoesNotMatter(t *testing.T) {
	for name, value := range map[string]string{
		"CONSUL_HTTP_ADDR": "http://elsewhere.example.org:1", "CONSUL_HTTP_TOKEN": "leak", "CONSUL_HTTP_AUTH": "a:b", "CONSUL_NAMESPACE": "ns",
		"CONSUL_PARTITION": "p", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_SSL_VERIFY": "false", "CONSUL_CACERT": "/nowhere",
		"HTTP_PROXY": "http://elsewhere.example.org:1",
	} {
		t.Setenv(name, value)
	}
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(1)...)
		s := fakeSource(t, f, Options{Address: "http://consul.example.org:8500"}, Query{})
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := f.Requests()[0]
		if r.Host != "consul.example.org:8500" || r.URL.RawQuery != "" || len(r.Header["X-Consul-Token"])+len(r.Header["Authorization"]) != 0 {
			t.Errorf("asked %s %s %v", r.Host, r.URL, r.Header)
		}
	})
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := consultest.NewFake(t)
	f.Set("web", consultest.Instances(2)...)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: f}}
	server.Start()
	t.Cleanup(server.Close)
	c, err := NewClient(Options{Address: "unix://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if r, err := source(t, c, Query{}).Next(t.Context()); err != nil || len(r.Endpoints()) != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

// A tlsServer is the fake behind TLS, which counts its connections.
type tlsServer struct {
	*httptest.Server
	fake  *consultest.Fake
	conns atomic.Int64
	ca    string
}

func serveTLS(t *testing.T, http2 bool) *tlsServer {
	t.Helper()
	s := &tlsServer{fake: consultest.NewFake(t)}
	s.Server = httptest.NewUnstartedServer(s.fake)
	s.EnableHTTP2 = http2
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients go in the midst of handshakes
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *tlsServer) client(t *testing.T) *Client {
	t.Helper()
	c, err := NewClient(Options{Address: s.URL, TLS: longpoll.TLS{CAFile: s.ca, ServerName: "example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestC13ColdStart opens many watches at once.
func TestC13ColdStart(t *testing.T) {
	tests := []struct {
		name          string
		http2         bool
		watches, most int64
	}{
		{"HTTP/2 shares connections", true, 300, 10},
		{"HTTP/1 gives each watch its own", false, 30, 64}, // and some that were dialled while another became free
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := serveTLS(t, test.http2)
			server.fake.Set("web", consultest.Instances(3)...)
			c := server.client(t)
			var wg sync.WaitGroup
			var watches []*discoverytest.Watched
			for range test.watches {
				w := discoverytest.Watch(t, source(t, c, Query{}))
				watches = append(watches, w)
			}
			for _, w := range watches {
				wg.Go(func() { w.Until(t, 0, func(u discovery.Update) bool { return len(u.Reading.Endpoints()) == 3 }) })
			}
			wg.Wait()
			server.fake.Set("web", consultest.Instances(4)...)
			for _, w := range watches {
				wg.Go(func() { w.Until(t, 0, func(u discovery.Update) bool { return len(u.Reading.Endpoints()) == 4 }) })
			}
			wg.Wait()
			for _, w := range watches {
				if err := firstError(w.End()); err != nil {
					t.Errorf("an error: %v", err)
				}
			}
			if n := server.conns.Load(); n > test.most {
				t.Errorf("%d connections for %d watches", n, test.watches)
			}
		})
	}
}

func TestUnknownAuthority(t *testing.T) {
	server := serveTLS(t, true)
	server.fake.Set("web", consultest.Instances(3)...)
	c, err := NewClient(Options{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = source(t, c, Query{}).Next(t.Context())
	if discovery.ClassOf(err) != discovery.Transport || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	c, err = NewClient(Options{Address: server.URL, TLS: longpoll.TLS{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err = source(t, c, Query{}).Next(t.Context()); err != nil {
		t.Errorf("unverified: %v", err)
	}
}

// A hole is a connection that at a time stops to bring anything.
type hole struct {
	net.Conn
	open *atomic.Bool
}

func (h hole) Write(p []byte) (int, error) {
	if h.open.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func TestC14BlackHole(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	pair := cert.TLS.Certificates[0]
	cert.Close()
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.Set("web", consultest.Instances(3)...)
		server := &http.Server{Handler: f, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
		conns := make(chan net.Conn)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.ServeTLS(listener{conns}, "", "") // it ends with the listener
		}()
		c, err := NewClient(Options{Address: "https://consul.example.org", TLS: longpoll.TLS{InsecureSkipVerify: true}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		var black atomic.Bool
		var dialed atomic.Int64
		c.http.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			conns <- far
			if dialed.Add(1) > 1 {
				return near, nil
			}
			return hole{near, &black}, nil
		}
		w := discoverytest.Watch(t, source(t, c, Query{}))
		time.Sleep(time.Second)
		black.Store(true)
		begun := time.Now()
		time.Sleep(32 * time.Second)
		f.Set("web", consultest.Instances(4)...)
		time.Sleep(2 * time.Second)
		updates := w.End()
		counts, classes := sets(updates)
		if len(counts) != 2 || counts[1] != 4 || len(classes) != 1 || classes[0] != discovery.Transport {
			t.Errorf("sets of %v, errors %v within %s", counts, classes, time.Since(begun))
		}
		c.Close()
		close(conns)
		<-done
		_ = server.Close() // nothing else is waited for
	})
}

// A listener hands out the connections that are sent to it.
type listener struct{ conns chan net.Conn }

func (l listener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
