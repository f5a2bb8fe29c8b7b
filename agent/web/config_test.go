package web_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// users is the part of a file that knows ann, whose password is "secret".
const users = "basic_auth_users:\n  ann: $2a$04$vVIlOwkFjWszYGthrT9IDeTNIDo7/r1pA5RmjNoTJrzeUpermVmgK\n"

// An authority signs certificates, and writes them to files.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert = a.sign(name, nil)
	return a
}

// sign makes a key and a certificate, in files of that name. The first is the
// authority's own.
func (a *authority) sign(name string, usage []x509.ExtKeyUsage) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: usage, BasicConstraintsValid: true, IsCA: a.cert == nil,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	a.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})))
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, signed
}

// write makes a file and returns its path.
func (a *authority) write(name, text string) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// serverTLS is the part of a file that has the listener speak TLS.
func (a *authority) serverTLS(more string) string {
	a.sign("server", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	return "tls_server_config: {cert_file: server.crt, key_file: server.key" + more + "}\n"
}

// client returns one that trusts a, and shows the certificate of that name if there
// is one.
func (a *authority) client(by *authority, name string) *http.Client {
	a.t.Helper()
	conf := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	conf.RootCAs.AddCert(a.cert)
	if name != "" {
		by.sign(name, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
		pair, err := tls.LoadX509KeyPair(filepath.Join(by.dir, name+".crt"), filepath.Join(by.dir, name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		// shown also where the server names other authorities
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// status asks, and returns the status, 0 if nothing is answered at all.
func status(t *testing.T, c *http.Client, what, base string, header ...string) (code int, proto string) {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode >= 400 && (kind != "application/problem+json" || !json.Valid(text)) {
		t.Errorf("%s: %d of type %q: %s", what, resp.StatusCode, kind, text)
	}
	return resp.StatusCode, resp.Proto
}

// ann's passwords, right, wrong, and of somebody else.
const (
	annRight = "Authorization: Basic YW5uOnNlY3JldA=="
	annWrong = "Authorization: Basic YW5uOnNlY3JldHQ="
	bobRight = "Authorization: Basic Ym9iOnNlY3JldA=="
	token1   = "Authorization: Bearer token"
)

// TestWhoMayWithAConfig: what a file asks for is asked for, on any listener, and a
// token is as good.
func TestWhoMayWithAConfig(t *testing.T) {
	a, other := newAuthority(t, "ca"), newAuthority(t, "other")
	tests := []struct {
		name, file string
		by         *authority // of the client's certificate
		header     []string
		see, do    int // answers to what everybody may see, and to what only the trusted may
	}{
		{"passwords, right", users, nil, []string{annRight}, 200, 200},
		{"passwords, wrong", users, nil, []string{annWrong}, 401, 401},
		{"passwords, no such user", users, nil, []string{bobRight}, 401, 401},
		{"passwords, none", users, nil, nil, 200, 403},
		{"passwords, token", users, nil, []string{token1}, 200, 200},
		{"passwords, wrong token", users, nil, []string{token1 + "x"}, 401, 401},
		{"passwords, right and a wrong token", users, nil, []string{annRight, token1 + "x"}, 401, 401},
		{"passwords, token and a wrong one", users, nil, []string{token1, annWrong}, 401, 401},
		{"limit", "rate_limit: {interval: 1h, burst: 0}\n", nil, []string{token1}, 429, 429},
		{"header", "http_server_config: {headers: {Strict-Transport-Security: max-age=1}}\n", nil, nil, 200, 403},
		{"no users, a password", "{}\n", nil, []string{annRight}, 401, 401},
		{"TLS", "TLS", nil, nil, 200, 403},
		{"TLS, token", "TLS", nil, []string{token1}, 200, 200},
		{"certificate", "REQUIRE", a, nil, 200, 200},
		{"certificate, none", "REQUIRE", nil, nil, 0, 0},
		{"certificate, of another authority", "REQUIRE", other, nil, 0, 0},
		{"certificate and a wrong token", "REQUIRE", a, []string{token1 + "x"}, 401, 401},
		{"certificate if given", "GIVEN", a, nil, 200, 200},
		{"certificate if given, none", "GIVEN", nil, nil, 200, 403},
		{"certificate if given, of another", "GIVEN", other, nil, 0, 0},
		{"certificate that nobody checks", "ANY", other, nil, 200, 403},
		{"certificate and passwords, both", "REQUIRE" + users, a, []string{annRight}, 200, 200},
		{"certificate and passwords, certificate", "REQUIRE" + users, a, nil, 401, 401},
		{"certificate and passwords, both, wrong", "REQUIRE" + users, a, []string{annWrong}, 401, 401},
	}
	checked := func(kind string) string {
		return a.serverTLS(", client_auth_type: " + kind + ", client_ca_file: ca.crt")
	}
	files := strings.NewReplacer("TLS", a.serverTLS(""), "REQUIRE", checked("RequireAndVerifyClientCert"),
		"GIVEN", checked("VerifyClientCertIfGiven"), "ANY", a.serverTLS(", client_auth_type: RequireAnyClientCert"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(newFake())
			file := tt.file
			if !strings.Contains(file, "Strict-Transport") {
				file = files.Replace(file)
			}
			o.Listen, o.Token, o.Config = "127.0.0.1:0", token("token"), a.write("web.yml", file)
			base, name := "http://"+serve(t, o).Addr(), ""
			if strings.Contains(file, "tls_server_config") {
				base = strings.Replace(base, "http:", "https:", 1)
			}
			if tt.by != nil {
				name = "client"
			}
			c := a.client(tt.by, name)
			defer c.CloseIdleConnections() // a server that stops waits a second for HTTP/2
			if got, _ := status(t, c, "GET /v1/status", base, tt.header...); got != tt.see {
				t.Errorf("the status: %d, want %d", got, tt.see)
			}
			if got, _ := status(t, c, "GET /v1/haproxy/config", base, tt.header...); got != tt.do {
				t.Errorf("HAProxy's configuration: %d, want %d", got, tt.do)
			}
		})
	}
}

// TestOpenListenerWithAConfig: where others can reach the listener they are asked who
// they are, by the file or a token.
func TestOpenListenerWithAConfig(t *testing.T) {
	a := newAuthority(t, "ca")
	tests := []struct {
		name, file, token string
		ok                bool
	}{
		{"passwords", users, "", true},
		{"TLS alone", a.serverTLS(""), "", false},
		{"TLS and a token", a.serverTLS(""), "token", true},
		{"certificates", a.serverTLS(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"), "", true},
		{"certificates, if given", a.serverTLS(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"), "", true},
		{"certificates of anybody", a.serverTLS(", client_auth_type: RequireAndVerifyClientCert"), "", false},
		{"certificates that nobody checks", a.serverTLS(", client_auth_type: RequireAnyClientCert"), "", false},
		{"nothing", "{}\n", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(newFake())
			o.Listen, o.Token, o.Config = "0.0.0.0:9750", token(tt.token), a.write("web.yml", tt.file)
			if _, err := web.New(o); (err == nil) != tt.ok {
				t.Errorf("New: %v", err)
			}
		})
	}
}

// TestConfigIsReadAgain: passwords and certificates change without a restart, and a
// file that cannot be read lets nobody in.
func TestConfigIsReadAgain(t *testing.T) {
	a := newAuthority(t, "ca")
	var log bytes.Buffer
	o := options(newFake())
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", users)
	s := serve(t, o)
	c := a.client(nil, "")
	for _, tt := range []struct {
		file string
		want int
	}{
		{users, 200}, {"basic_auth_users: {bob: " + strings.TrimPrefix(users, "basic_auth_users:\n  ann: ")[:60] + "}\n", 401}, {users, 200},
		{"basic_auth_users: 'hunter2hunter2'\n", 500}, {"*hunter2hunter2\n", 500}, {"{}\n", 401}, {users, 200},
	} {
		a.write("web.yml", tt.file)
		if got, _ := status(t, c, "GET /v1/status", "http://"+s.Addr(), annRight); got != tt.want {
			t.Errorf("with %q: %d, want %d", tt.file, got, tt.want)
		}
	}
	if strings.Contains(log.String(), "hunter") {
		t.Errorf("the log shows what stands in the file:\n%s", &log)
	}
}

func TestFaultyConfigIsRefused(t *testing.T) {
	a := newAuthority(t, "ca")
	for _, file := range []string{
		"basic_auth_users: hunter2hunter2\n", "basic_auth_users: {ann: hunter2hunter2}\n", "basic_auth_users: *hunter2hunter2\n", "hunter2: x\n",
		"tls_server_config: {cert_file: server.crt}\n", "tls_server_config: {cert: hunter2hunter2, key: hunter2hunter2}\n", "rate_limit: hunter2hunter2\n",
	} {
		o := options(newFake())
		o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", file)
		_, err := web.New(o)
		if err == nil || !strings.HasPrefix(err.Error(), "http.web_config_file "+o.Config+": ") || strings.Contains(err.Error(), "hunter2h") {
			t.Errorf("%q: %v", file, err)
		}
	}
	if err := auth.CheckConfig(filepath.Join(a.dir, "none")); err == nil || !strings.HasSuffix(err.Error(), "none: no such file or directory") {
		t.Errorf("no file: %v", err)
	}
}

// TestEventsOverHTTP2: a stream lives longer than any deadline, one connection
// carries several, and all end with the server.
func TestEventsOverHTTP2(t *testing.T) {
	a := newAuthority(t, "ca")
	f := newFake()
	o := options(f)
	o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", a.serverTLS(""))
	base := "https://" + serve(t, o).Addr()
	c := a.client(nil, "")
	if code, proto := status(t, c, "GET /v1/status", base); code != 200 || proto != "HTTP/2.0" {
		t.Fatalf("%d over %s", code, proto)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 3 {
		req, err := http.NewRequestWithContext(ctx, "GET", base+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		f.events.Add(api.Event{Kind: api.EventNote, Text: "so it is"})
		got := make([]byte, 200)
		n, err := io.ReadAtLeast(resp.Body, got, 150)
		if err != nil || !strings.Contains(string(got[:n]), "so it is") {
			t.Errorf("%q, %v", got[:n], err)
		}
	}
}

// TestStreamsAreBounded: over HTTP/2 one connection may carry many requests, and each
// may hold a body. The listener says how many it takes before anything else.
func TestStreamsAreBounded(t *testing.T) {
	a, o := newAuthority(t, "ca"), options(newFake())
	o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", a.serverTLS(""))
	trust := x509.NewCertPool()
	trust.AddCert(a.cert)
	conn, err := tls.Dial("tcp", serve(t, o).Addr(), &tls.Config{RootCAs: trust, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("first comes %v", frame)
	}
	for id, most := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 8, http2.SettingMaxFrameSize: 16 << 10, http2.SettingInitialWindowSize: 64 << 10,
	} {
		if got, ok := settings.Value(id); !ok || got > most {
			t.Errorf("%v: %d, want %d at most", id, got, most)
		}
	}
}
