package web_test

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client/clienttest"
)

func TestExplain(t *testing.T) {
	tests := []struct {
		what string
		want int
		body string
	}{
		{"GET /v1/backends/web/explain", 200, `"verdict":"so it is"`},
		{"GET /v1/backends/web/explain/10.0.0.1:80", 200, `"about":"10.0.0.1:80"`},
		{"GET /v1/backends/web/explain/%5B2001:db8::1%5D:80", 200, `"about":"[2001:db8::1]:80"`},
		{"GET /v1/backends/web/explain/10.0.0.1", 200, `"about":"10.0.0.1"`},
		{"GET /v1/backends/web/explain/web9", 404, `explain web web9: no such address or slot: "web9" of backend "web"`},
		{"GET /v1/backends/wbe/explain", 404, `explain wbe: no such backend: "wbe"`},
		{"GET /v1/backends/a%2Fb/explain/x", 404, `explain a/b x: no such backend`},
		{"GET /v1/backends/web/explain/a/b", 404, "nothing at"},
		{"HEAD /v1/backends/web/explain", 200, ""},
		{"POST /v1/backends/web/explain", 405, "takes GET"},
		{"DELETE /v1/backends/web/explain/10.0.0.1:80", 405, "takes GET"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			w := ask(t, newServer(t, options(newFake())).Handler(true), "", tt.what)
			if w.Code != tt.want || !strings.Contains(unquoted(w), tt.body) {
				t.Fatalf("%d %s, want %d with %q", w.Code, w.Body, tt.want, tt.body)
			}
			if w.Code >= 400 {
				checkProblem(t, tt.what, w)
			}
		})
	}
}

// To explain is to read: it is for everybody who may see the status.
func TestExplainIsReading(t *testing.T) {
	o := options(newFake())
	o.Listen, o.Token = "127.0.0.1:0", token("secret")
	s := serve(t, o)
	for name, given := range map[string]func() string{"without a token on loopback": nil, "with it": token("secret")} {
		if e, err := clienttest.New(t, "http://"+s.Addr(), given).Explain(t.Context(), "web", "web1"); err != nil || e.About != "web1" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	_, err := clienttest.New(t, "http://"+s.Addr(), token("wrong")).Explain(t.Context(), "web", "web1")
	clienttest.CheckError(t, err, "not the token")
}

func TestClientExplain(t *testing.T) {
	o := options(newFake())
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	serve(t, o)
	c := clienttest.New(t, "unix://"+o.Socket, nil)
	for _, about := range []string{"", "10.0.0.1:80", "[2001:db8::1]:80", "a/b", "a b%"} {
		if e, err := c.Explain(t.Context(), "web", about); err != nil || e.About != about || e.Name != "web" {
			t.Errorf("%q: %+v, %v", about, e, err)
		}
	}
	if _, err := c.Explain(t.Context(), "a/b", ""); !errors.Is(err, api.ErrNoBackend) {
		t.Error(err)
	}
	if _, err := c.Explain(t.Context(), "web", "web9"); !errors.Is(err, api.ErrNoSubject) {
		t.Error(err)
	}
	older := httptest.NewServer(nil)
	defer older.Close()
	_, err := clienttest.New(t, older.URL, nil).Explain(t.Context(), "web", "web1")
	clienttest.CheckError(t, err, "is it an older version")
}
