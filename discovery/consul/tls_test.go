package consul

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A vault is an agent in memory that speaks TLS, whose certificates are exchanged.
type vault struct {
	t      *testing.T
	client *Client

	mu      sync.Mutex // guards following
	issuer  *consultest.Authority
	clients *x509.CertPool // who may connect; nil: everybody
}

// newVault returns one whose certificates issuer issues, and a client for it.
func newVault(t *testing.T, issuer *consultest.Authority, o longpoll.TLS) *vault {
	t.Helper()
	v := &vault{t: t, issuer: issuer}
	f := consultest.NewFake(t)
	f.Set("web", consultest.Instances(3)...)
	config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return v.config() }}
	server := &http.Server{Handler: f, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	conns := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener{conns}, "", "") // it ends with the listener
	}()
	c, err := NewClient(Options{Address: "https://localhost:8501", TLS: o})
	if err != nil {
		t.Fatal(err)
	}
	c.http.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		conns <- newEager(far)
		return newEager(near), nil
	}
	v.client = c
	t.Cleanup(func() {
		c.Close()
		close(conns)
		<-done
		_ = server.Close() // nothing else is waited for
	})
	return v
}

// An eager connection does not wait for the other side to read, as those of a
// network do not: both sides may write at the same time.
type eager struct {
	net.Conn
	mu     sync.Mutex // guards closed, and sending to out
	closed bool
	out    chan []byte
}

func newEager(c net.Conn) *eager {
	e := &eager{Conn: c, out: make(chan []byte, 1000)}
	go func() {
		defer c.Close()
		for p := range e.out {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	return e
}

// Write implements [net.Conn].
func (e *eager) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, net.ErrClosed
	}
	e.out <- bytes.Clone(p)
	return len(p), nil
}

// Close implements [net.Conn].
func (e *eager) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.out)
	}
	return nil
}

func (v *vault) config() (*tls.Config, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	cert, err := tls.X509KeyPair(v.issuer.Issue(v.t))
	c := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	if v.clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, v.clients
	}
	return c, err
}

func (v *vault) change(issuer *consultest.Authority, clients *consultest.Authority) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.issuer = issuer; clients != nil {
		v.clients = x509.NewCertPool()
		v.clients.AppendCertsFromPEM(clients.PEM())
	}
}

// asks says whether a question over a new connection is answered, after a time in
// which files are looked at.
func (v *vault) asks(step string, answered bool) {
	v.t.Helper()
	v.client.Close()
	time.Sleep(6 * time.Second)
	r, err := source(v.t, v.client, Query{}).Next(v.t.Context())
	if (err == nil) != answered || err == nil && len(r.Endpoints()) != 3 || err != nil && discovery.ClassOf(err) != discovery.Transport {
		v.t.Errorf("%s: %d endpoints, %v", step, len(r.Endpoints()), err)
	}
}

func (v *vault) remarks(want string) {
	v.t.Helper()
	got := strings.Join(source(v.t, v.client, Query{}).Activity().Remarks, "\n")
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		v.t.Errorf("remarks %q, want %q", got, want)
	}
}

func write(t *testing.T, path string, parts ...[]byte) {
	t.Helper()
	var content []byte
	for _, p := range parts {
		content = append(content, p...)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAuthoritiesAreRenewed(t *testing.T) {
	old, next := consultest.NewAuthority(t), consultest.NewAuthority(t)
	for _, directory := range []bool{false, true} {
		dir := t.TempDir()
		file := filepath.Join(dir, "ca.pem")
		o := longpoll.TLS{CAFile: file}
		if directory {
			o = longpoll.TLS{CAPath: dir}
			if err := os.Mkdir(filepath.Join(dir, "..data"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		write(t, file, old.PEM())
		synctest.Test(t, func(t *testing.T) {
			v := newVault(t, old, o)
			v.asks("at first", true)
			write(t, file, []byte("-----BEGIN CERTIFICATE-----\nbroken"))
			v.asks("with a broken file", true)
			v.remarks("earlier TLS files are used: tls.ca_")
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			v.asks("without a file", true)
			v.change(next, nil)
			v.asks("with the old authority", false)
			if directory {
				write(t, file, old.PEM())
				write(t, filepath.Join(dir, "next.pem"), next.PEM())
			} else {
				write(t, file, old.PEM(), next.PEM())
			}
			v.asks("with both authorities", true)
			v.remarks("")
			v.change(old, nil)
			v.asks("with both, and the old certificate", true)
		})
	}
}

func TestClientCertificateIsRenewed(t *testing.T) {
	a, other := consultest.NewAuthority(t), consultest.NewAuthority(t)
	dir := t.TempDir()
	o := longpoll.TLS{CAFile: filepath.Join(dir, "ca"), CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"), ServerName: "localhost"}
	cert, key := a.Issue(t)
	write(t, o.CAFile, a.PEM())
	write(t, o.CertFile, cert)
	write(t, o.KeyFile, key)
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, a, o)
		v.change(a, a)
		v.asks("at first", true)
		cert, key := other.Issue(t)
		write(t, o.CertFile, cert)
		v.asks("half of a new one", true)
		v.remarks("tls.cert_file and tls.key_file")
		write(t, o.KeyFile, key)
		v.asks("another authority's", false)
		v.change(a, other)
		v.asks("the new one", true)
		v.remarks("")
	})
}

func TestAuthoritiesThatAreNone(t *testing.T) {
	empty, pipe := t.TempDir(), filepath.Join(t.TempDir(), "pipe")
	bad := t.TempDir()
	write(t, filepath.Join(bad, "readme"), []byte("nothing here"))
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]longpoll.TLS{
		"holds no file":              {CAPath: empty},
		"holds no certificate":       {CAPath: bad},
		"tls.ca_path: open /nowhere": {CAPath: "/nowhere"},
		"not a file of certificates": {CAFile: pipe},
	} {
		if _, err := NewClient(Options{Address: "https://localhost:8501", TLS: o}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
