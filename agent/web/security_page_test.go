package web_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// A kind is a kind of caller: a column of the table in docs/security.md.
type kind struct {
	name   string
	listen string // "" for the unix socket
	with   func(*web.Options)
	header string
	tls    *tls.ConnectionState
	by     *authority // of the listener's certificate
}

func kinds(a *authority) []kind {
	a.client(a, "client") // makes its files
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, "client.crt"), filepath.Join(a.dir, "client.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	shown := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{pair.Leaf}}}
	loopback := func(says auth.Loopback) func(*web.Options) {
		return func(o *web.Options) { o.Loopback, o.Token, o.ReadToken = says, nil, nil }
	}
	file := func(text string) func(*web.Options) {
		return func(o *web.Options) { o.Config = a.write("web.yml", text) }
	}
	certificates := a.serverTLS(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt")
	const here, anywhere = "127.0.0.1:0", "0.0.0.0:0"
	return []kind{
		{"unix socket", "", loopback(auth.LoopbackNone), "", nil, a},
		{"token", anywhere, nil, "Authorization: Bearer secret", nil, a},
		{"user", anywhere, file(users), annRight, nil, a},
		{"certificate", anywhere, file(certificates), "", shown, a},
		{"reading token", anywhere, nil, "Authorization: Bearer readers", nil, a},
		{"loopback: read", here, loopback(auth.LoopbackRead), "", nil, a},
		{"loopback: operate", here, loopback(auth.LoopbackOperate), "", nil, a},
		{"loopback: operate, and a token is configured", here, func(o *web.Options) { o.Loopback = auth.LoopbackOperate }, "", nil, a},
		{"loopback: operate, and a reading token is configured", here, func(o *web.Options) { o.Loopback, o.Token = auth.LoopbackOperate, nil }, "", nil, a},
		{"loopback: read, and users are configured", here, file(users), "", nil, a},
		{"loopback: none", here, loopback(auth.LoopbackNone), "", nil, a},
		{"not on loopback", anywhere, nil, "", nil, a},
	}
}

// column tries every route as one kind of caller does, and returns how it went by what was
// asked for.
func (k kind) column(t *testing.T, rows []row) map[string]string {
	t.Helper()
	f := newFake()
	o := options(f)
	o.Listen, o.Token, o.ReadToken = k.listen, token("secret"), token("readers")
	if k.with != nil {
		k.with(&o)
	}
	local := net.Addr(&net.UnixAddr{Net: "unix"})
	s := newServer(t, o)
	host := "localhost"
	if k.listen != "" {
		s = serve(t, o)
		_, port, _ := net.SplitHostPort(s.Addr())
		host = "127.0.0.1:" + port
		at, err := net.ResolveTCPAddr("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		local = at
		// what the file asks for is known with the first connection
		status(t, k.by.client(nil, ""), "GET /-/healthy", map[bool]string{false: "http://", true: "https://"}[k.tls != nil]+host)
	}
	h := s.Handler(k.listen == "")
	out := map[string]string{}
	for _, r := range rows {
		method, path, _ := strings.Cut(r.what, " ")
		ctx, cancel := context.WithTimeout(t.Context(), brief(strings.Split(path, "?")[0]))
		req := httptest.NewRequest(method, path, strings.NewReader(r.body)).WithContext(context.WithValue(ctx, http.LocalAddrContextKey, local))
		req.Host, req.TLS = host, k.tls
		req.Header.Set("Content-Type", typeOf(method, path))
		if strings.HasPrefix(path, "/page/") {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		if name, value, ok := strings.Cut(k.header, ": "); ok {
			req.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		before := len(f.changes())
		h.ServeHTTP(w, req)
		cancel()
		out[r.name] = "yes"
		if w.Code/100 != 2 {
			out[r.name] = fmt.Sprint(w.Code)
			if did := f.changes()[before:]; len(did) > 0 || w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
				t.Errorf("%s: %s: %d %s, did %q", k.name, r.name, w.Code, w.Body, did)
			}
		}
	}
	return out
}

// A row of the table: what is asked for, and how.
type row struct{ name, what, body string }

func tableRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	for _, r := range newServer(t, options(newFake())).Table() {
		e, ok := examples()[r.Method+" "+r.Path]
		if !ok {
			t.Fatalf("%s %s: there is no example of it", r.Method, r.Path)
		}
		name := r.Method + " " + strings.TrimSuffix(r.Path, "{$}")
		switch {
		case r.Needs == "none" || strings.HasPrefix(name, "GET /page/"):
			continue // for everybody: the form by which one signs in, and what it looks like
		case strings.HasSuffix(name, "/raw"):
			rows = append(rows, row{name + ", `show`", e.what, e.body}, row{name + ", anything else", e.what, `{"command":"clear counters"}`})
			continue
		}
		rows = append(rows, row{name, e.what, e.body})
	}
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(pathIn(a.name), pathIn(b.name)) })
	return rows
}

func pathIn(name string) string {
	_, path, _ := strings.Cut(name, " ")
	return path
}

// TestRightsTable tries every route as every kind of caller, and holds the table in
// docs/security.md against what came of it.
func TestRightsTable(t *testing.T) {
	rows := tableRows(t)
	head, rule := "| |", "|---|"
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = "| `" + strings.NewReplacer(", `show`", "`, `show`", ", anything", "`, anything").Replace(r.name) + map[bool]string{true: "", false: "`"}[strings.Contains(r.name, ", ")] + " |"
	}
	for _, k := range kinds(newAuthority(t, "ca")) {
		head, rule = head+" "+k.name+" |", rule+"---|"
		column := k.column(t, rows)
		for i, r := range rows {
			lines[i] += " " + column[r.name] + " |"
		}
	}
	want := head + "\n" + rule + "\n" + strings.Join(lines, "\n") + "\n"
	const file, begin, end = "../../docs/security.md", "<!-- made by TestRightsTable, UPDATE_GOLDEN=1 -->\n", "<!-- end -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", file)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rights are not as %s says (-tried +said; UPDATE_GOLDEN=1 writes it):\n%s", file, diff)
	}
}
