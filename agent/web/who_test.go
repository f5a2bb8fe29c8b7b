package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web"
)

// everything is each thing that can be asked of an agent.
func everything() []string {
	return []string{
		"GET /", "GET /v1/status", "POST /v1/sync", `POST /v1/backends/web/accept {"id":"h1a2b3"}`,
		"GET /-/healthy", "GET /-/ready", "POST /-/reload", "GET /metrics", "HEAD /metrics",
	}
}

// ask sends one request to h as if it came in at the TCP address local; header
// lines are "Name: value". A body may follow the path.
func ask(t *testing.T, h http.Handler, local, what string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	path, body, _ := strings.Cut(path, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = local
	r.Header.Set("Content-Type", typeOf(method, path))
	if local != "" {
		addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))
		r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(addr)))
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// typeOf is what a change says that it carries.
func typeOf(method, path string) string {
	if method == "PUT" && strings.Contains(path, "/config/sections/") {
		return "text/plain"
	}
	return "application/json"
}

// checkProblem wants a problem (RFC 9457) that says the status of the answer.
func checkProblem(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%s: %d, %v in %q", what, w.Code, err, w.Body)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: Content-Type %q", what, kind)
	}
	if p.Status != w.Code || p.Title != http.StatusText(w.Code) || p.Type != "about:blank" || p.Detail == "" {
		t.Errorf("%s: status %d with problem %+v", what, w.Code, p)
	}
}

func TestWhoMay(t *testing.T) {
	const loopback, other = "127.0.0.1:9750", "10.1.2.3:9750"
	tests := []struct {
		name   string
		listen string
		unix   bool
		token  string // in force
		header []string
		want   int // 0: what was asked for is done
	}{
		{"unix socket", "", true, "", nil, 0},
		{"unix socket, token in force", other, true, "secret", nil, 0},
		{"unix socket, any host", "", true, "", []string{"Host: anything"}, 0},
		{"loopback, no token in force", loopback, false, "", nil, 0},
		{"loopback, token", loopback, false, "secret", []string{"Authorization: Bearer secret"}, 0},
		{"loopback, wrong token", loopback, false, "secret", []string{"Authorization: Bearer Secret"}, 401},
		{"loopback, token where none is in force", loopback, false, "", []string{"Authorization: Bearer secret"}, 401},
		{"loopback, empty token where none is in force", loopback, false, "", []string{"Authorization: Bearer "}, 401},
		{"loopback, two tokens", loopback, false, "secret", []string{"Authorization: Bearer secret", "Authorization: Bearer x"}, 401},
		{"loopback, IPv6", "[::1]:9750", false, "", nil, 0},
		{"other, token", other, false, "secret", []string{"Authorization: Bearer secret"}, 0},
		{"other, token, scheme in small letters", other, false, "secret", []string{"Authorization: bearer secret"}, 0},
		{"other, no token", other, false, "secret", nil, 401},
		{"other, wrong token", other, false, "secret", []string{"Authorization: Bearer secre"}, 401},
		{"other, token and more", other, false, "secret", []string{"Authorization: Bearer secret "}, 401},
		{"other, other scheme", other, false, "secret", []string{"Authorization: Basic secret"}, 401},
		{"other, empty header", other, false, "secret", []string{"Authorization: "}, 401},
		{"other, foreign host", other, false, "secret", []string{"Authorization: Bearer secret", "Host: evil.example"}, 421},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			o := options(f)
			o.Listen, o.Token = tt.listen, token(tt.token)
			h := newServer(t, o).Handler(tt.unix)
			for _, what := range everything() {
				w := ask(t, h, tt.listen, what, tt.header...)
				if tt.want == 0 && w.Code/100 == 2 {
					continue
				}
				if w.Code != tt.want {
					t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, tt.want)
					continue
				}
				checkProblem(t, what, w)
				if tt.want == 401 && w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s: 401 without WWW-Authenticate", what)
				}
			}
			if did := f.changes(); tt.want == 0 != (len(did) == 3) {
				t.Errorf("changes that were made: %q", did)
			}
		})
	}
}

func TestTokenThatVanishes(t *testing.T) {
	current := "secret"
	o := options(newFake())
	o.Listen, o.Token = "10.1.2.3:9750", func() string { return current }
	h := newServer(t, o).Handler(false)
	current = ""
	for _, header := range []string{"Authorization: Bearer secret", "Authorization: Bearer ", "Authorization: Bearer", "X-Nothing: 1"} {
		if w := ask(t, h, o.Listen, "GET /v1/status", header); w.Code != 401 {
			t.Errorf("with %q: %d, want 401", header, w.Code)
		}
	}
}

func TestOpenListenerIsRefused(t *testing.T) {
	tests := []struct {
		listen, token string
		ok            bool
	}{
		{"127.0.0.1:9750", "", true},
		{"127.9.9.9:0", "", true},
		{"[::1]:9750", "", true},
		{"localhost:9750", "", true},
		{"", "", true},
		{":9750", "", false},
		{"0.0.0.0:9750", "", false},
		{"[::]:9750", "", false},
		{"10.1.2.3:9750", "", false},
		{"[::ffff:10.1.2.3]:9750", "", false},
		{"127.0.0.1.evil.example:9750", "", false},
		{"localhost.evil.example:9750", "", false},
		{"0.0.0.0:9750", "secret", true},
		{"no port", "secret", false},
	}
	for _, tt := range tests {
		t.Run(tt.listen+" "+tt.token, func(t *testing.T) {
			o := options(newFake())
			o.Listen, o.Token = tt.listen, token(tt.token)
			if _, err := web.New(o); (err == nil) != tt.ok {
				t.Errorf("New: %v", err)
			}
			o.Token = nil
			if _, err := web.New(o); tt.token == "" && (err == nil) != tt.ok {
				t.Errorf("New without a Token function: %v", err)
			}
		})
	}
}

func TestHost(t *testing.T) {
	tests := []struct {
		host string
		ok   bool
	}{
		{"127.0.0.1:9750", true},
		{"127.0.0.2:9750", true},
		{"localhost:9750", true},
		{"LocalHost:9750", true},
		{"[::1]:9750", true},
		{"[::ffff:127.0.0.1]:9750", true},
		{"10.1.2.3:9750", true}, // where the request came in
		{"agent.example.org", true},
		{"agent.example.org:9750", true},
		{"Agent.Example.Org:9750", true},
		{"proxy.example.org:443", true},
		{"", false},
		{":9750", false},
		{"127.0.0.1", false},
		{"127.0.0.1:80", false},
		{"localhost:3000", false},
		{"10.1.2.4:9750", false},
		{"evil.example:9750", false},
		{"evil.example", false},
		{"127.0.0.1.evil.example:9750", false},
		{"127.evil.example:9750", false},
		{"localhost.evil.example:9750", false},
		{"evil.example:9750@127.0.0.1:9750", false},
		{"agent.example.org:9751", false},
		{"agent.example.org.evil.example:9750", false},
		{"xagent.example.org", false},
		{"proxy.example.org", false},
		{"0x7f.1:9750", false},
		{"2130706433:9750", false},
		{"0.0.0.0:9750", false},
		{"127.0.0.1:9750\r\nX: y", false},
	}
	o := options(newFake())
	o.Listen, o.Token = "0.0.0.0:9750", token("secret")
	o.Hosts = []string{"agent.example.org", "proxy.example.org:443", ""}
	h := newServer(t, o).Handler(false)
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			for _, what := range everything() {
				w := ask(t, h, "10.1.2.3:9750", what, "Authorization: Bearer secret", "Host: "+tt.host)
				if tt.ok && w.Code/100 != 2 || !tt.ok && w.Code != http.StatusMisdirectedRequest {
					t.Errorf("%s: %d", what, w.Code)
				}
			}
		})
	}
}

func TestPort80NeedsNoPort(t *testing.T) {
	o := options(newFake())
	o.Listen = "127.0.0.1:80"
	h := newServer(t, o).Handler(false)
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]", "localhost:80"} {
		if w := ask(t, h, o.Listen, "GET /v1/status", "Host: "+host); w.Code != 200 {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}

func TestOrigin(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		ok     bool
	}{
		{"none", nil, true},
		{"own", []string{"Origin: http://127.0.0.1:9750", "Sec-Fetch-Site: same-origin"}, true},
		{"own, old browser", []string{"Origin: http://127.0.0.1:9750"}, true},
		{"configured name", []string{"Host: agent.example.org", "Origin: https://agent.example.org", "Sec-Fetch-Site: same-origin"}, true},
		{"typed by the user", []string{"Sec-Fetch-Site: none"}, true},
		{"foreign", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, false},
		{"foreign, old browser", []string{"Origin: https://evil.example"}, false},
		{"another port of this machine", []string{"Origin: http://127.0.0.1:3000", "Sec-Fetch-Site: same-site"}, false},
		{"another port, old browser", []string{"Origin: http://127.0.0.1:3000"}, false},
		{"null", []string{"Origin: null"}, false},
		{"null that claims to be own", []string{"Origin: null", "Sec-Fetch-Site: same-origin"}, false},
		{"foreign that claims to be own", []string{"Origin: https://evil.example", "Sec-Fetch-Site: same-origin"}, false},
		{"no URL", []string{"Origin: ://", "Sec-Fetch-Site: same-origin"}, false},
		{"two", []string{"Origin: http://127.0.0.1:9750", "Origin: https://evil.example"}, false},
		{"only the site is said", []string{"Sec-Fetch-Site: cross-site"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			o := options(f)
			o.Listen, o.Hosts = "127.0.0.1:9750", []string{"agent.example.org"}
			h := newServer(t, o).Handler(false)
			for _, what := range everything() {
				w := ask(t, h, o.Listen, what, tt.header...)
				change := strings.HasPrefix(what, "POST")
				if refused := w.Code == 403; refused != (change && !tt.ok) {
					t.Errorf("%s: %d %s", what, w.Code, w.Body)
				}
			}
			if did := f.changes(); tt.ok != (len(did) == 3) {
				t.Errorf("changes that were made: %q", did)
			}
		})
	}
}

func TestOriginOverUnixSocket(t *testing.T) {
	f := newFake()
	h := newServer(t, options(f)).Handler(true)
	if w := ask(t, h, "", "POST /-/reload", "Host: localhost", "Origin: https://evil.example"); w.Code != 403 {
		t.Errorf("a foreign page behind a proxy: %d", w.Code)
	}
	if did := f.changes(); len(did) != 0 {
		t.Errorf("changes that were made: %q", did)
	}
}

func TestEveryAnswerIsSecured(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Listen = "127.0.0.1:9750"
	h := newServer(t, o).Handler(false)
	f.sick, f.syncErr = errors.New("the loop is stuck"), errors.New("no")
	requests := slices.Concat(everything(), haproxyRoutes(), []string{"GET /nothing", "DELETE /v1/status"})
	for _, what := range requests {
		for _, host := range []string{"127.0.0.1:9750", "evil.example"} {
			w := ask(t, h, o.Listen, what, "Host: "+host)
			for name, want := range map[string]string{
				"Cache-Control":                "no-store",
				"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
				"Cross-Origin-Resource-Policy": "same-origin",
				"Referrer-Policy":              "no-referrer",
				"X-Content-Type-Options":       "nosniff",
				"X-Frame-Options":              "DENY",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s at %s: %s: %q", what, host, name, got)
				}
			}
			if cors := w.Header().Get("Access-Control-Allow-Origin"); cors != "" {
				t.Errorf("%s: Access-Control-Allow-Origin: %s", what, cors)
			}
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost:9750", "127.0.0.1:9750", "[::1]:9750", "evil.example:9750", "[::1", "]:9750", "[fe80::1%25lo]:9750"} {
		f.Add(host)
	}
	o := options(newFake())
	o.Listen = "127.0.0.1:9750"
	s, err := web.New(o)
	if err != nil {
		f.Fatal(err)
	}
	h := s.Handler(false)
	f.Fuzz(func(t *testing.T, host string) {
		w := ask(t, h, o.Listen, "GET /v1/status", "Host: "+host)
		if w.Code == http.StatusMisdirectedRequest {
			return
		}
		name, _, err := net.SplitHostPort(host)
		ip, notIP := netip.ParseAddr(name)
		if err != nil || !strings.EqualFold(name, "localhost") && (notIP != nil || !ip.Unmap().IsLoopback()) {
			t.Errorf("%q is let in", host)
		}
	})
}
