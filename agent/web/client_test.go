package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
)

func newClient(t *testing.T, addr string, token func() string) *web.Client {
	t.Helper()
	c, err := web.NewClient(addr, web.Access{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkError wants one line that contains every part.
func checkError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("not one clean line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

func TestClient(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Listen, o.Socket, o.Token = "127.0.0.1:0", filepath.Join(socketDir(t), "a.sock"), token("secret")
	s := serve(t, o)
	for _, addr := range []string{"unix://" + o.Socket, "http://" + s.Addr(), "http://" + s.Addr() + "/"} {
		t.Run(addr, func(t *testing.T) {
			f.done, f.held, f.reload = nil, true, nil
			f.status.Ready, f.status.NotReady = true, nil
			c := newClient(t, addr, token("secret"))
			status, err := c.Status(t.Context())
			if diff := cmp.Diff(f.status, status); err != nil || diff != "" {
				t.Errorf("Status: %v (-want +got):\n%s", err, diff)
			}
			by := askedBy(t, addr) + " (ann)"
			if _, err := c.Sync(t.Context()); err != nil {
				t.Errorf("Sync: %v", err)
			}
			done, err := c.Accept(t.Context(), "web", web.AcceptBody{ID: "h1a2b3", By: "ann"})
			if diff := cmp.Diff(agent.Accepted{Backend: "web", ID: "h1a2b3", Removed: []string{"10.0.0.1:80"}}, done); err != nil || diff != "" {
				t.Errorf("Accept: %v (-want +got):\n%s", err, diff)
			}
			_, err = c.Accept(t.Context(), "web", web.AcceptBody{By: "ann"})
			if checkError(t, err, "what may go now is h1a2b3, k99aa0"); !errors.Is(err, agent.ErrNoSuchID) {
				t.Errorf("Accept: %v", err)
			}
			for _, drain := range []bool{false, true} {
				if err := c.Reload(t.Context(), drain); err != nil {
					t.Errorf("Reload: %v", err)
				}
			}
			if reasons, err := c.Ready(t.Context()); err != nil || len(reasons) > 0 {
				t.Errorf("Ready: %q, %v", reasons, err)
			}
			if diff := cmp.Diff([]string{"sync", "accept web h1a2b3 by " + by, "accept web  by " + by, "reload", "reload, drain removed"}, f.changes()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}

			f.held, f.reload = false, errors.New("line 3: unknown key\nline 4: wrong \x1b[31mtype")
			f.status.Ready, f.status.NotReady = false, []string{"web: nothing known yet", "no instance \x1b answers"}
			if _, err := c.Accept(t.Context(), "web", web.AcceptBody{ID: "h1a2b3"}); !errors.Is(err, agent.ErrNothingHeld) {
				t.Errorf("Accept: %v", err)
			}
			if _, err := c.Accept(t.Context(), "a/b c", web.AcceptBody{ID: "h1a2b3"}); !errors.Is(err, agent.ErrNoBackend) {
				t.Errorf("Accept: %v", err)
			}
			checkError(t, c.Reload(t.Context(), false), "line 3: unknown key; line 4: wrong .[31mtype")
			reasons, err := c.Ready(t.Context())
			if diff := cmp.Diff([]string{"web: nothing known yet", "no instance . answers"}, reasons); err != nil || diff != "" {
				t.Errorf("Ready: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestClientToken(t *testing.T) {
	o := options(newFake())
	o.Listen, o.Token = "127.0.0.1:0", token("secret")
	s := serve(t, o)
	c := newClient(t, "http://"+s.Addr(), token("a wrong one"))
	_, err := c.Status(t.Context())
	checkError(t, err, s.Addr(), "not the token", "--token-file")
	if strings.Contains(err.Error(), "a wrong one") {
		t.Errorf("the token is in the error: %v", err)
	}
	if _, err := c.Ready(t.Context()); err == nil {
		t.Error("Ready says ready with a wrong token")
	}
	if _, err := newClient(t, "http://"+s.Addr(), nil).Status(t.Context()); err != nil {
		t.Errorf("without a token on loopback: %v", err)
	}
}

func TestClientUnreachable(t *testing.T) {
	dir := socketDir(t)
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
			_, err := newClient(t, tt.addr, nil).Status(t.Context())
			checkError(t, err, tt.addr, tt.want)
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
			c := newClient(t, srv.URL, token("secret"))
			_, err := c.Status(t.Context())
			checkError(t, err, tt.want)
			if len(err.Error()) > 3000 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
			if reasons, err := c.Ready(t.Context()); err == nil {
				t.Errorf("Ready: %q", reasons)
			}
			_, err = c.Accept(t.Context(), "web", web.AcceptBody{ID: "h1a2b3"})
			for name, err := range map[string]error{"Accept": err, "Reload": c.Reload(t.Context(), false)} {
				if err == nil || errors.Is(err, agent.ErrNoBackend) {
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
			_, err := web.NewClient(tt.addr, web.Access{})
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
