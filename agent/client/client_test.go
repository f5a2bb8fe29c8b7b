package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/agent/client/clienttest"
)

func TestClientUnreachable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tests := []struct{ name, addr, want string }{
		{"no socket", "unix://" + dir + "/none", "is slotsync running?"},
		{"no listener", gone.URL, "is slotsync running?"},
		{"a file", "unix://" + file, "is slotsync running?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := clienttest.New(t, tt.addr, nil).Status(t.Context())
			clienttest.CheckError(t, err, tt.addr, tt.want)
		})
	}
}

func TestClientOfSomethingElse(t *testing.T) {
	tests := []struct {
		name  string
		serve http.HandlerFunc
		want  string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "is no slotsync"},
		{"nothing there", http.NotFound, "cannot do this"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, "302 Found"},
		{"an empty error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "502 Bad Gateway"},
		{"a problem without words", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(500)
		}, "500 Internal Server Error"},
		{"a hostile problem", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(500)
			_, _ = w.Write([]byte(`{"detail":"a\u001b]0;b\r\nc` + strings.Repeat("x", 10_000) + `"}`))
		}, "a.]0;b"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.serve)
			defer srv.Close()
			c := clienttest.New(t, srv.URL, func() string { return "secret" })
			_, err := c.Status(t.Context())
			clienttest.CheckError(t, err, tt.want)
			if len(err.Error()) > 3000 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
			if reasons, err := c.Ready(t.Context()); err == nil {
				t.Errorf("Ready: %q", reasons)
			}
			_, err = c.Accept(t.Context(), "web", api.AcceptBody{ID: "h1a2b3"})
			for name, err := range map[string]error{"Accept": err, "Reload": c.Reload(t.Context(), false)} {
				if err == nil || errors.Is(err, api.ErrNoBackend) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestClientAddresses(t *testing.T) {
	tests := []struct {
		addr string
		ok   bool
	}{
		{"unix:///run/slotsync/slotsync.sock", true},
		{"http://127.0.0.1:9750", true},
		{"http://[::1]:9750/", true},
		{"https://agent.example.org", true},
		{"", false},
		{"127.0.0.1:9750", false},
		{"/run/slotsync/slotsync.sock", false},
		{"unix://run/slotsync.sock", false},
		{"unix://", false},
		{"ftp://127.0.0.1", false},
		{"http://", false},
		{"http://127.0.0.1:9750/v1", false},
		{"http://user:password@127.0.0.1:9750", false},
		{"http://127.0.0.1:port", false},
		{"http://user:pass/password@127.0.0.1:9750", false},
		{"user:password@127.0.0.1:9750", false},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			_, err := client.New(tt.addr, client.Access{})
			if (err == nil) != tt.ok {
				t.Errorf("NewClient: %v", err)
			}
			if err != nil && !strings.Contains(tt.addr, "@") && !strings.Contains(err.Error(), "not \""+tt.addr+"\"") {
				t.Errorf("what is wrong is not quoted: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "password") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func TestHAProxyClientOfSomethingElse(t *testing.T) {
	for name, answers := range map[string]http.HandlerFunc{
		"a page":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"an older one": http.NotFound,
		"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		srv := httptest.NewServer(answers)
		defer srv.Close()
		for what, err := range clienttest.HAProxyErrors(t.Context(), clienttest.New(t, srv.URL, nil), "20301121T101500.000Z-0123abcd") {
			t.Run(name+"/"+what, func(t *testing.T) {
				clienttest.CheckError(t, err, srv.URL)
				if errors.Is(err, api.ErrNoVersion) {
					t.Errorf("it is said to lack the version: %v", err)
				}
			})
		}
	}
}
