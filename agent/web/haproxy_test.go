package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
)

// haproxyRoutes is all that can be asked of HAProxy's process and configuration.
func haproxyRoutes() []string {
	return []string{
		"GET /v1/haproxy/reload", "POST /v1/haproxy/reload", "GET /v1/haproxy/config", "HEAD /v1/haproxy/config",
		"POST /v1/haproxy/config/check", "GET /v1/haproxy/config/diff?from=" + versionID, "GET /v1/haproxy/config/versions",
		"GET /v1/haproxy/config/versions/" + versionID, "POST /v1/haproxy/config/versions/" + versionID + "/restore",
		"GET /v1/haproxy/config/sections", "GET /v1/haproxy/config/sections/global", "GET /v1/haproxy/config/sections/backend/web",
		"DELETE /v1/haproxy/config/sections/backend/web?dry_run=true",
	}
}

func TestWhoMayReloadHAProxy(t *testing.T) {
	const loopback, other = "127.0.0.1:9750", "10.1.2.3:9750"
	tests := []struct {
		name   string
		listen string
		unix   bool
		token  string
		header []string
		want   int
	}{
		{"unix socket", "", true, "", nil, 200},
		{"unix socket, token in force", other, true, "secret", nil, 200},
		{"loopback, no token in force", loopback, false, "", nil, 403},
		{"loopback, none given", loopback, false, "secret", nil, 403},
		{"loopback, empty header", loopback, false, "secret", []string{"Authorization: "}, 401},
		{"loopback, empty token", loopback, false, "", []string{"Authorization: Bearer "}, 401},
		{"loopback, wrong token", loopback, false, "secret", []string{"Authorization: Bearer x"}, 401},
		{"loopback, token", loopback, false, "secret", []string{"Authorization: Bearer secret"}, 200},
		{"other, none given", other, false, "secret", nil, 401},
		{"other, token", other, false, "secret", []string{"Authorization: Bearer secret"}, 200},
		{"foreign host", loopback, false, "secret", []string{"Authorization: Bearer secret", "Host: evil.example"}, 421},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			o := options(f)
			o.Listen, o.Token = tt.listen, token(tt.token)
			h := newServer(t, o).Handler(tt.unix)
			for _, what := range haproxyRoutes() {
				w := ask(t, h, tt.listen, what, tt.header...)
				if w.Code != tt.want {
					t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, tt.want)
				}
				if tt.want != 200 {
					checkProblem(t, what, w)
				}
				if tt.want == 403 && !(strings.Contains(unquoted(w), "http.socket") && strings.Contains(unquoted(w), "http.token_file")) {
					t.Errorf("%s does not say what to do: %s", what, w.Body)
				}
			}
			if did := f.changes(); tt.want == 200 != (len(did) == 3) {
				t.Errorf("done: %q", did)
			}
		})
	}
}

func TestHAProxyIsNotChangedByForeignPages(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Listen, o.Token = "127.0.0.1:9750", token("secret")
	h := newServer(t, o).Handler(false)
	for _, what := range haproxyRoutes() {
		w := ask(t, h, o.Listen, what, "Authorization: Bearer secret", "Origin: https://evil.example")
		if change := !strings.Contains(what, "GET") && !strings.Contains(what, "HEAD"); change != (w.Code == 403) {
			t.Errorf("%s: %d", what, w.Code)
		}
	}
	if did := f.changes(); len(did) > 0 {
		t.Errorf("done: %q", did)
	}
}

// asked sends one request with a body over the unix socket.
func asked(t *testing.T, f *fake, what, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", typeOf(method, path))
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	newServer(t, options(f)).Handler(true).ServeHTTP(w, r)
	if w.Code >= 400 {
		checkProblem(t, what, w)
	}
	return w
}

func TestHAProxyRoutes(t *testing.T) {
	const versions = "/v1/haproxy/config/versions/"
	tests := []struct {
		name string
		what string
		with error
		want int
		body string
		did  []string
	}{
		{"reload", "POST /v1/haproxy/reload", nil, 200, `"name":"haproxy"`, []string{`reload haproxy "" by "the API" for "", force false`}},
		{"none configured", "POST /v1/haproxy/reload", api.ErrNoReload, 409, "set `reload:`", nil},
		{"none of this name", "POST /v1/haproxy/reload", fmt.Errorf("%w: none is named %q", api.ErrNoReload, "x"), 409, `none is named "x"`, nil},
		{"under way", "POST /v1/haproxy/reload", api.ErrReloading, 409, "under way", nil},
		{"failed", "POST /v1/haproxy/reload", errors.New("step check failed: [ALERT] line 3"), 422, "step check failed", nil},
		{"takes too long", "POST /v1/haproxy/reload", context.DeadlineExceeded, 504, "deadline", nil},
		{"the agent stops", "POST /v1/haproxy/reload", context.Canceled, 503, "canceled", nil},
		{"check", "POST /v1/haproxy/config/check?reload=edge-1", nil, 200, `"ok":true`, []string{`check "edge-1"`}},
		{"check fails", "POST /v1/haproxy/config/check", errors.New("step render failed: haproxy.cfg.tmpl:3"), 422, "tmpl:3", nil},
		{"config", "GET /v1/haproxy/config?reload=edge-1", nil, 200, configText + "# of edge-1", nil},
		{"config cannot be read", "GET /v1/haproxy/config", errors.New("permission denied"), 500, "permission denied", nil},
		{"versions", "GET /v1/haproxy/config/versions", nil, 200, `"good":true`, nil},
		{"versions without a reload", "GET /v1/haproxy/config/versions", api.ErrNoReload, 409, "no reload is configured", nil},
		{"version", "GET " + versions + versionID, nil, 200, configText, nil},
		{"no such version", "GET " + versions + "x", nil, 404, `"x": no such version is kept`, nil},
		{"version that climbs", "GET " + versions + "..%2F..%2Fetc%2Fpasswd", nil, 404, "no such version is kept", nil},
		{"diff", "GET /v1/haproxy/config/diff?from=" + versionID + "&to=y", nil, 200, `"` + versionID + `" to "y"`, nil},
		{"diff with nothing", "GET /v1/haproxy/config/diff?from=x", nil, 404, "no such version is kept", nil},
		{"restore", "POST " + versions + versionID + "/restore?by=anna&reload=edge-1", nil, 200, `"name":"haproxy"`,
			[]string{`restore "` + versionID + `" of "edge-1" by "anna", etag ""`}},
		{"restore nothing", "POST " + versions + "x/restore", nil, 404, "no such version is kept", nil},
		{"restore fails", "POST " + versions + versionID + "/restore", errors.New("step worker failed"), 422, "step worker failed", nil},
		{"restore under way", "POST " + versions + versionID + "/restore", api.ErrReloading, 409, "under way", nil},
		{"put a reload", "PUT /v1/haproxy/reload", nil, 405, "takes GET, POST", nil},
		{"post the configuration", "POST /v1/haproxy/config", nil, 405, "takes GET", nil},
		{"get a check", "GET /v1/haproxy/config/check", nil, 405, "takes POST", nil},
		{"get a restore", "GET " + versions + versionID + "/restore", nil, 405, "takes POST", nil},
		{"post versions", "POST /v1/haproxy/config/versions", nil, 405, "takes GET", nil},
		{"delete a version", "DELETE " + versions + versionID, nil, 405, "takes GET", nil},
		{"post a diff", "POST /v1/haproxy/config/diff", nil, 405, "takes GET", nil},
		{"nothing there", "GET /v1/haproxy/config/nothing", nil, 404, "there is nothing at", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.haproxy = tt.with
			w := asked(t, f, tt.what, "")
			if w.Code != tt.want || !strings.Contains(unquoted(w), tt.body) {
				t.Fatalf("%d %s, want %d with %q", w.Code, w.Body, tt.want, tt.body)
			}
			if diff := cmp.Diff(tt.did, f.changes()); tt.did != nil && diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			if did := f.changes(); w.Code == 405 && len(did) > 0 {
				t.Errorf("done: %q", did)
			}
		})
	}
}

func TestNeededReload(t *testing.T) {
	since := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	f := newFake()
	read := func() (a api.ReloadAnswer, text string) {
		w := asked(t, f, "GET /v1/haproxy/reload", "")
		if err := json.Unmarshal(w.Body.Bytes(), &a); w.Code != 200 || err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return a, w.Body.String()
	}
	if a, _ := read(); a.Needed || len(a.Needs) > 0 || len(a.Reloads) != 1 {
		t.Errorf("%+v", a)
	}
	need := &api.NeedReload{Slots: 10, Wanted: 12, Since: since, Latched: true, Why: "max_slots is reached"}
	f.status.Backends = append(f.status.Backends, api.BackendStatus{Name: "api", NeedReload: need})
	want := api.ReloadAnswer{Needed: true, Needs: map[string]*api.NeedReload{"api": need}, Reloads: f.status.Reloads}
	got, _ := read()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.status = api.Status{}
	if _, text := read(); text != `{"needed":false,"needs":{},"reloads":[]}`+"\n" {
		t.Errorf("lists that are none: %s", text)
	}
}

// TestNothingKnownIsNotNone: of an agent that does not answer nothing is said that could be read as "there is none".
func TestNothingKnownIsNotNone(t *testing.T) {
	f := newFake()
	why := "the loop does not answer"
	f.status = api.Status{NotReady: []string{why}, Unanswered: why}
	for _, what := range []string{"GET /v1/status", "GET /v1/haproxy/reload", "GET /v1/backends/web/servers", "GET /v1/addresses", "POST /v1/sync"} {
		if w := asked(t, f, what, ""); w.Code != 503 || !strings.Contains(w.Body.String(), why) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	if w := ask(t, newServer(t, options(f)).Handler(true), "", "GET /-/ready"); w.Code != 503 || w.Body.String() != why+"\n" {
		t.Errorf("GET /-/ready: %d %s", w.Code, w.Body)
	}
	w := asked(t, f, "GET /", "", "Accept: text/html")
	for _, wrong := range []string{"There is none", "nothing to look at", "0 of 0", "0 watched"} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), why) || strings.Contains(w.Body.String(), wrong) {
			t.Errorf("the page: %d, no %q in %s", w.Code, wrong, w.Body)
		}
	}
}

// timed is an agent that notes which requests have no deadline.
type timed struct {
	*fake
	endless []string
}

func (f *timed) note(ctx context.Context, what string) {
	if _, bounded := ctx.Deadline(); !bounded {
		f.endless = append(f.endless, what)
	}
}

func (f *timed) HAProxyConfig(ctx context.Context, name, version string) ([]byte, string, error) {
	f.note(ctx, "config")
	return f.fake.HAProxyConfig(ctx, name, version)
}

func (f *timed) HAProxyVersions(ctx context.Context, name string) ([]api.ConfigVersion, error) {
	f.note(ctx, "versions")
	return f.fake.HAProxyVersions(ctx, name)
}

func (f *timed) HAProxyDiff(ctx context.Context, name, from, to string) (string, error) {
	f.note(ctx, "diff")
	return f.fake.HAProxyDiff(ctx, name, from, to)
}

func (f *timed) HAProxySections(ctx context.Context, name string) ([]api.ConfigSection, string, error) {
	f.note(ctx, "sections")
	return f.fake.HAProxySections(ctx, name)
}

func (f *timed) HAProxySection(ctx context.Context, name, kind, section string) ([]byte, string, error) {
	f.note(ctx, "section")
	return f.fake.HAProxySection(ctx, name, kind, section)
}

// TestReadingWaitsWithADeadline: what HAProxy's configuration is is asked of the loop, which may not answer.
func TestReadingWaitsWithADeadline(t *testing.T) {
	f := &timed{fake: newFake()}
	o := options(f.fake)
	o.Agent = f
	h := newServer(t, o).Handler(true)
	for _, what := range haproxyRoutes() {
		if strings.HasPrefix(what, "GET") {
			ask(t, h, "", what)
		}
	}
	if len(f.endless) > 0 {
		t.Errorf("without a deadline: %q", f.endless)
	}
}

func TestReloadBody(t *testing.T) {
	const long = `{"reason":"`
	tests := []struct {
		name, body string
		want       int
		did        string // or the words of the error
	}{
		{"all", `{"name":"edge-1","reason":"mine may go","by":"anna","force":true}`, 200, `reload haproxy "edge-1" by "anna" for "mine may go", force true`},
		{"none", "", 200, `reload haproxy "" by "the API" for "", force false`},
		{"white", " \n", 200, `reload haproxy "" by "the API" for "", force false`},
		{"empty", "{}", 200, `reload haproxy "" by "the API" for "", force false`},
		{"what a terminal obeys", `{"reason":"a\u001b[2J\nb","by":" \n "}`, 200, `reload haproxy "" by "the API" for "a.[2J.b", force false`},
		{"long", long + strings.Repeat("x", 1000) + `"}`, 200, `reload haproxy "" by "the API" for "` + strings.Repeat("x", 200) + `…", force false`},
		{"unknown field", `{"forse":true}`, 400, `unknown field "forse"`},
		{"other case", `{"Force":true}`, 400, `unknown field "Force": names are in small letters`},
		{"given twice", `{"force":false,"force":true}`, 400, `field "force" is given twice`},
		{"null", "null", 200, `reload haproxy "" by "the API" for "", force false`},
		{"wrong type", `{"force":"yes"}`, 400, "the body is not what is wanted"},
		{"two", `{"force":false}{"force":true}`, 400, "something follows its end"},
		{"closed twice", `{"force":true}}`, 400, "something follows its end"},
		{"closed otherwise", `{"force":true}]x`, 400, "something follows its end"},
		{"a list", `[]`, 400, "the body is not what is wanted"},
		{"cut", `{"force":tr`, 400, "the body is not what is wanted"},
		{"too large", long + strings.Repeat("x", 64<<10) + `"}`, 413, "larger than 64 KB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			w := asked(t, f, "POST /v1/haproxy/reload", tt.body)
			if w.Code != tt.want {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
			did := strings.Join(f.changes(), "; ")
			if tt.want != 200 {
				if did != "" {
					t.Errorf("done: %s", did)
				}
				did = unquoted(w)
			}
			if !strings.Contains(did, tt.did) {
				t.Errorf("%q, want %q", did, tt.did)
			}
		})
	}
}

func TestConfigTag(t *testing.T) {
	f := newFake()
	w := asked(t, f, "GET /v1/haproxy/config", "")
	tag := w.Header().Get("ETag")
	if tag != `"`+configTag+`"` || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q", w.Header())
	}
	if w := asked(t, f, "GET /v1/haproxy/config/versions/"+versionID, ""); w.Header().Get("ETag") != "" {
		t.Errorf("a version has the tag of the file: %q", w.Header())
	}
	tests := []struct {
		name  string
		match []string
		want  int
	}{
		{"none", nil, 200},
		{"any", []string{"If-Match: *"}, 200},
		{"the tag that was read", []string{"If-Match: " + tag}, 200},
		{"another", []string{`If-Match: "deadbeef"`}, 412},
		{"weak", []string{"If-Match: W/" + tag}, 412},
		{"without quotes", []string{"If-Match: " + configTag}, 400},
		{"empty tag", []string{`If-Match: ""`}, 400},
		{"half a tag", []string{`If-Match: "`}, 400},
		{"two", []string{"If-Match: " + tag + `, "deadbeef"`}, 400},
		{"two lines", []string{"If-Match: " + tag, `If-Match: "deadbeef"`}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if w := asked(t, f, "POST /v1/haproxy/config/versions/"+versionID+"/restore", "", tt.match...); w.Code != tt.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
		})
	}
}
