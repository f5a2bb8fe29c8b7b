package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// A comer is a way to come to the agent.
type comer struct {
	name   string
	listen string // "" for the unix socket
	token  string // in force; the one for reading is where this is, or the name has it
	header []string
	// may is the answer to somebody who may do everything ("all"), also drain and so on
	// ("operate") or only read ("read"), or else the status of every refusal.
	may any
	// change is the status where only changes are refused; 0: they are not.
	change int
	// says is what http.loopback says.
	says auth.Loopback
}

func comers() []comer {
	const loopback, other = "127.0.0.1:9750", "10.1.2.3:9750"
	right, wrong := "Authorization: Bearer secret", "Authorization: Bearer Secret"
	reading := "Authorization: Bearer readers"
	evil, site := "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"
	const read, operate, none = auth.LoopbackRead, auth.LoopbackOperate, auth.LoopbackNone
	return []comer{
		{"unix socket", "", "", nil, "all", 0, read},
		{"unix socket, wrong token", "", "secret", []string{wrong}, "all", 0, read},
		{"unix socket, foreign origin", "", "", []string{evil}, "all", 403, read},
		{"unix socket, cross-site", "", "", []string{site}, "all", 403, read},
		{"unix socket, loopback says none", "", "", nil, "all", 0, none},
		{"loopback, none", loopback, "secret", nil, "read", 0, read},
		{"loopback, none, no token in force", loopback, "", nil, "read", 0, read},
		{"loopback, none, nothing is said", loopback, "", nil, "read", 0, ""},
		{"loopback, what is said is no word", loopback, "", nil, "read", 0, "Operate"},
		{"loopback, may operate", loopback, "", nil, "operate", 0, operate},
		{"loopback, may operate, IPv6", "[::1]:9750", "", nil, "operate", 0, operate},
		{"loopback, may operate, and a token is in force", loopback, "secret", nil, "read", 0, operate},
		{"loopback, may operate, and a reading token is in force", loopback, "", nil, "read", 0, operate},
		{"loopback, may do nothing", loopback, "", nil, 401, 0, none},
		{"loopback, may do nothing, token", loopback, "secret", []string{right}, "all", 0, none},
		{"loopback, may do nothing, reading token", loopback, "", []string{reading}, "read", 0, none},
		{"loopback, token", loopback, "secret", []string{right}, "all", 0, read},
		{"loopback, reading token", loopback, "secret", []string{reading}, "read", 0, read},
		{"loopback, reading token where one may operate without", loopback, "", []string{reading}, "read", 0, operate},
		{"loopback, wrong token", loopback, "secret", []string{wrong}, 401, 0, operate},
		{"loopback, a password that nobody asked for", loopback, "secret", []string{annRight}, 401, 0, operate},
		{"loopback, token where none is in force", loopback, "", []string{right}, 401, 0, operate},
		{"loopback, empty", loopback, "", []string{"Authorization: "}, 401, 0, operate},
		{"loopback, two tokens", loopback, "secret", []string{right, wrong}, 401, 0, operate},
		{"loopback, both tokens", loopback, "secret", []string{right, reading}, 401, 0, operate},
		{"loopback, foreign host", loopback, "secret", []string{right, "Host: evil.example:9750"}, 421, 0, operate},
		{"loopback, foreign origin", loopback, "", []string{evil}, "operate", 403, operate},
		{"loopback, token and foreign origin", loopback, "secret", []string{right, evil}, "all", 403, operate},
		{"loopback, token and cross-site", loopback, "secret", []string{right, site}, "all", 403, operate},
		{"loopback, a cookie that is none", loopback, "secret", []string{"Cookie: slotsync-9750=x"}, "read", 0, read},
		{"other, none", other, "secret", nil, 401, 0, operate},
		{"other, token", other, "secret", []string{right}, "all", 0, operate},
		{"other, reading token", other, "secret", []string{reading}, "read", 0, operate},
		{"other, wrong token", other, "secret", []string{wrong}, 401, 0, operate},
		{"other, a cookie that is none", other, "secret", []string{"Cookie: slotsync-9750=x"}, 401, 0, operate},
		{"other, foreign host", other, "secret", []string{right, "Host: evil.example"}, 421, 0, operate},
		{"other, token and foreign origin", other, "secret", []string{right, evil}, "all", 403, operate},
	}
}

// want is the refusal of a route, 0 for none.
func (c comer) want(r web.RouteInfo) int {
	status, refused := c.may.(int)
	change := r.Method != http.MethodGet
	_, drawn := drawings()[r.Path]
	switch {
	case refused && status == http.StatusUnauthorized && (drawn || r.Needs == "none"): // they are how somebody signs in
		return 0
	case refused:
		return status
	case change && c.change != 0:
		return c.change
	case r.Needs == "full" && c.may != "all", r.Needs == "operates" && c.may == "read":
		return http.StatusForbidden
	}
	return 0
}

// drawings are the routes that hold nothing but what the page looks like.
func drawings() map[string]bool {
	return map[string]bool{"/page/page.css": true, "/page/page.js": true}
}

// TestWhoMayDoWhat is every route times every way to come.
func TestWhoMayDoWhat(t *testing.T) {
	all := examples()
	for _, c := range comers() {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			o := options(f)
			o.Listen, o.Token, o.ReadToken, o.Loopback = c.listen, token(c.token), nil, c.says
			if c.token != "" || strings.Contains(c.name, "reading token") {
				o.ReadToken = token("readers")
			}
			s := newServer(t, o)
			h := s.Handler(c.listen == "")
			for _, r := range s.Table() {
				e, ok := all[r.Method+" "+r.Path]
				if !ok {
					t.Errorf("%s %s: there is no example of it", r.Method, r.Path)
				}
				before := len(f.changes())
				w := request(t, h, c.listen, e.what, e.body, c.header...)
				want := c.want(r)
				if r.Path == "/page/sign-in" && want == 0 { // it goes by what the form says
					want = map[bool]int{true: http.StatusSeeOther, false: http.StatusForbidden}[c.token == "secret"]
				}
				if w.Code == http.StatusSeeOther && r.Needs == "none" && (want == 0 || want == http.StatusSeeOther) {
					continue // to where it is done
				}
				if want == 0 && w.Code/100 != 2 || want != 0 && w.Code != want {
					t.Errorf("%s: %d %s, want %d (0: done)", e.what, w.Code, w.Body, want)
				}
				if want == 0 {
					continue
				}
				checkProblem(t, e.what, w)
				if did := f.changes()[before:]; len(did) > 0 {
					t.Errorf("%s was refused, and did %q", e.what, did)
				}
				if w.Code == http.StatusForbidden && c.change == 0 && r.Needs != "none" && !strings.Contains(w.Body.String(), "unix socket") {
					t.Errorf("%s: the refusal does not say who may: %s", e.what, w.Body)
				}
			}
		})
	}
}

// TestLargeBodiesAreRefused at every route, also without a length and without an end.
func TestLargeBodiesAreRefused(t *testing.T) {
	f := newFake()
	s := newServer(t, options(f))
	for _, r := range s.Table() {
		e, ok := examples()[r.Method+" "+r.Path]
		if !ok {
			t.Errorf("%s %s: there is no example of it", r.Method, r.Path)
			continue
		}
		method, path, _ := strings.Cut(e.what, " ")
		for name, body := range map[string]io.Reader{"with a length": strings.NewReader(strings.Repeat("x", 1<<20)), "without an end": endless{}} {
			w := httptest.NewRecorder()
			s.Handler(true).ServeHTTP(w, httptest.NewRequest(method, path, body))
			if w.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%s, %s: %d", e.what, name, w.Code)
			}
		}
	}
	if did := f.changes(); len(did) > 0 {
		t.Errorf("done: %q", did)
	}
}

// TestHostileNames: whatever stands in a path is a name that nothing has, and comes
// back printable if at all.
func TestHostileNames(t *testing.T) {
	names := []string{
		"..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "a%0aset%20server%20web%2fweb1%20state%20maint", "a%0d%0aX-Evil:%20y", "web;disable%20server", "%00", "%1b%5b2J",
		"%3cscript%3ealert(1)%3c%2fscript%3e", "%ff%fe", "%e2%80%ae", strings.Repeat("x", 10<<10), "10.0.0.1:80;", "[::1%25lo]:80",
	}
	s := newServer(t, options(newFake()))
	h := s.Handler(true)
	for _, r := range s.Table() {
		if !strings.Contains(r.Path, "{") || strings.HasSuffix(r.Path, "{$}") {
			continue
		}
		for _, name := range names {
			path := r.Path
			for _, variable := range []string{"{backend}", "{server}", "{address}", "{ip}", "{instance}", "{id}", "{type}", "{name}"} {
				path = strings.ReplaceAll(path, variable, name)
			}
			w := request(t, h, "", r.Method+" "+path, `{"state":"drain","weight":"1","address":"10.0.0.1:80","command":"show info"}`)
			if w.Code == http.StatusInternalServerError || strings.ContainsAny(w.Header().Get("Location"), "\r\n") || w.Header().Get("X-Evil") != "" {
				t.Errorf("%s %.80s: %d, %v", r.Method, path, w.Code, w.Header())
			}
			if kind := w.Header().Get("Content-Type"); strings.HasSuffix(kind, "json") && strings.ContainsAny(w.Body.String(), "\x1b\x00\r<") {
				t.Errorf("%s %.80s: %.200q", r.Method, path, w.Body)
			}
		}
	}
}

// TestShowingSecretsIsForTheTrusted: what HAProxy shows of its environment, its keys
// and the requests of others is not for everybody on this machine.
func TestShowingSecretsIsForTheTrusted(t *testing.T) {
	o := options(newFake())
	o.Listen = "127.0.0.1:9750"
	h := newServer(t, o).Handler(false)
	for command, want := range map[string]int{
		"show info": 200, "show env": 403, "show  env HOME": 403, "show info;show env": 403, "show tls-keys *": 403, `show e\\nv`: 403, "show info;;help": 403, "help": 200,
		"show errors": 403, "show errors web": 403, `show info\ndisable server web/web1`: 403, `show info\rshow stat`: 403, "show stat errorsof": 403,
		"show table": 403, "show stat": 403, "show table errorsof": 403, "show acl #0": 403, "show map @1 /keys": 403, "show events buf0 -w": 403, "show sess all show-uri": 403,
		"show sess all": 200,
	} {
		w := request(t, h, o.Listen, "POST /v1/instances/edge-1/raw", `{"command":"`+command+`"}`)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", command, w.Code, want)
		}
	}
}
