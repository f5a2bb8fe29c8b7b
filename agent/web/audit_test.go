package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/audit"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// audited has a server record what is asked for.
type audited struct {
	mu   sync.Mutex
	list []audit.Entry
	err  error
}

func (a *audited) add(e audit.Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, e)
	return a.err
}

func (a *audited) last(t *testing.T) audit.Entry {
	t.Helper()
	if len(a.list) == 0 {
		t.Fatal("nothing is recorded")
	}
	return a.list[len(a.list)-1]
}

func auditing(t *testing.T, change func(*web.Options)) (*audited, *web.Server) {
	t.Helper()
	a, o := &audited{}, options(newFake())
	o.Listen, o.Token, o.ReadToken, o.Audit, o.Loopback = "127.0.0.1:0", token("secret"), token("readers"), a.add, auth.LoopbackRead
	if change != nil {
		change(&o)
	}
	return a, newServer(t, o)
}

// TestChangesAreAudited: who asked for what and why, done or refused; no secret is in it.
func TestChangesAreAudited(t *testing.T) {
	a, s := auditing(t, nil)
	const local, full, reading = "127.0.0.1:9750", "Authorization: Bearer secret", "Authorization: Bearer readers"
	manyShows := strings.Repeat("show info;", 100)
	hostile := "POST /v1/pause " + `{"backend":"web","for":"1h","by":"ann\u001b]0;x\u0007","reason":"one\ntwo\r\n{\"who\":\"eve\"}\u202e"}`
	for _, c := range []struct {
		unix   bool
		what   string
		header []string
		want   audit.Entry
	}{
		{true, `PUT /v1/backends/web/servers/web1/state {"state":"drain","for":"1h","by":"ann","reason":"disk"}`, nil,
			audit.Entry{Who: "ann", From: "the unix socket", Method: "PUT", Path: "/v1/backends/web/servers/web1/state", Asked: map[string]string{"state": "drain", "for": "1h"}, Reason: "disk", Status: 200}},
		{false, "POST /v1/sync", []string{full}, audit.Entry{Who: "the token's holder", Method: "POST", Path: "/v1/sync", Status: 200}},
		{false, "POST /v1/sync", []string{reading}, audit.Entry{Who: "the reading token's holder", Method: "POST", Path: "/v1/sync", Status: 403}},
		{false, "POST /v1/sync", []string{"Authorization: Bearer wrong"}, audit.Entry{Method: "POST", Path: "/v1/sync", Status: 401}},
		{false, "POST /v1/sync", []string{full, "Host: evil.example"}, audit.Entry{Method: "POST", Path: "/v1/sync", Status: 421}},
		{true, "POST /v1/sync", []string{"Origin: https://evil.example"}, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/sync", Status: 403}},
		{true, `POST /v1/instances/edge-1/raw {"command":"set map /etc/keys top-secret value"}`, nil,
			audit.Entry{Who: "the API", Method: "POST", Path: "/v1/instances/edge-1/raw", Asked: map[string]string{"command": "set map /etc/keys …"}, Status: 200}},
		{true, `POST /v1/instances/edge-1/raw {"command":"show info;disable server web/web1"}`, nil,
			audit.Entry{Who: "the API", Method: "POST", Path: "/v1/instances/edge-1/raw", Asked: map[string]string{"command": "show info; disable server web/web1"}, Status: 200}},
		{true, `POST /v1/instances/edge-1/raw {"command":"` + manyShows + `disable server web/web1"}`, nil,
			audit.Entry{Who: "the API", Method: "POST", Path: "/v1/instances/edge-1/raw", Asked: map[string]string{"command": strings.ReplaceAll(manyShows, ";", "; ") + "disable server web/web1"}, Status: 200}},
		{false, `POST /v1/instances/edge-1/raw {"command":"` + manyShows + `disable server web/web1"}`, []string{reading},
			audit.Entry{Who: "the reading token's holder", Method: "POST", Path: "/v1/instances/edge-1/raw",
				Asked: map[string]string{"command": api.Sanitize(strings.ReplaceAll(manyShows, ";", "; "))}, Status: 403}},
		{true, "PUT /v1/haproxy/config/sections/backend/web?dry_run=true&reload=edge top-secret", nil,
			audit.Entry{Who: "the API", Method: "PUT", Path: "/v1/haproxy/config/sections/backend/web", Asked: map[string]string{"dry_run": "true", "reload": "edge"}, Status: 200}},
		{true, `POST /v1/pause?backend=api&by=eve&reason=fun {"backend":"web","by":"ann"}`, nil,
			audit.Entry{Who: "ann", Method: "POST", Path: "/v1/pause", Asked: map[string]string{"backend": "web"}, Status: 200}},
		{true, `POST /v1/pause {"backend":"api","Backend":"web"}`, nil, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/pause", Status: 400}},
		{true, `POST /v1/pause {"backend":"api","bac\u212aend":"web"}`, nil, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/pause", Status: 400}},
		{true, `POST /v1/pause {"backend":"api","back\u0065nd":"web"}`, nil, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/pause", Status: 400}},
		{true, `POST /v1/pause {"backend":"api"}{"backend":"web"}`, nil, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/pause", Status: 400}},
		{true, `POST /v1/pause {"backend":{"backend":"web"}}`, nil, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/pause", Status: 400}},
		{false, `POST /v1/pause {"backend":"web"}`, []string{reading},
			audit.Entry{Who: "the reading token's holder", Method: "POST", Path: "/v1/pause", Asked: map[string]string{"backend": "web"}, Status: 403}},
		{false, "POST /-/reload?drain_removed=true&by=eve", []string{"Authorization: Bearer wrong"}, audit.Entry{Method: "POST", Path: "/-/reload", Status: 401}},
		{true, "POST /-/reload?drain_removed=true&drain_removed=false", nil,
			audit.Entry{Who: "the API", Method: "POST", Path: "/-/reload", Asked: map[string]string{"drain_removed": "true"}, Status: 400}},
		{true, "POST /v1/haproxy/config/versions/" + versionID + "/restore?reload=edge&by=ann&by=eve&reload=other", nil,
			audit.Entry{Who: "ann", Method: "POST", Path: "/v1/haproxy/config/versions/" + versionID + "/restore", Asked: map[string]string{"reload": "edge"}, Status: 200}},
		{true, `PUT /v1/backends/web%2Fservers%2Fweb1/servers/%77eb%252/weight {"weight":3}`, nil,
			audit.Entry{Who: "the API", Method: "PUT", Path: "/v1/backends/web%2Fservers%2Fweb1/servers/web%252/weight", Asked: map[string]string{"weight": "3"}, Status: 404}},
		{true, "POST /v1/pause {broken", nil, audit.Entry{Who: "the API", Method: "POST", Path: "/v1/pause", Status: 400}},
		{true, hostile, nil, audit.Entry{Who: "ann.]0;x.", Method: "POST", Path: "/v1/pause", Asked: map[string]string{"backend": "web", "for": "1h"}, Status: 200,
			Reason: `one.two..{"who":"eve"}.`}},
		{true, "DELETE /v1/none%0a%1b", nil, audit.Entry{Who: "the API", Method: "DELETE", Path: "/v1/none..", Status: 404}},
	} {
		at := local
		if c.unix {
			at = ""
		}
		before := len(a.list)
		w := ask(t, s.Handler(c.unix), at, c.what, c.header...)
		got := a.last(t)
		if len(a.list) != before+1 || w.Code != got.Status || w.Header().Get(api.WarningHeader) != "" {
			t.Errorf("%s: %d entries, answered %d %q", c.what, len(a.list)-before, w.Code, w.Header().Get(api.WarningHeader))
		}
		c.want.From = got.From
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(audit.Entry{}, "At", "User"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
		if strings.Contains(strings.Join([]string{got.Path, got.Reason, got.Asked["command"]}, " "), "top-secret") {
			t.Errorf("a secret is recorded: %+v", got)
		}
	}
	n := len(a.list)
	ask(t, s.Handler(true), "", "GET /v1/status")
	if len(a.list) != n {
		t.Error("who looks is recorded, too")
	}
}

// TestEntriesHaveTheBodiesThatAreRead, of every route that reads one as JSON and of no other:
// those refuse what is none.
func TestEntriesHaveTheBodiesThatAreRead(t *testing.T) {
	a, s := auditing(t, nil)
	for _, r := range s.Table() {
		if r.Method == http.MethodGet || strings.HasPrefix(r.Path, "/page/") || typeOf(r.Method, r.Path) != api.JSONType {
			continue
		}
		what := examples()[r.Method+" "+r.Path].what
		reads := ask(t, s.Handler(true), "", what+" {broken", "If-Match: *").Code == http.StatusBadRequest
		ask(t, s.Handler(true), "", what+` {"by":"zoe"}`, "If-Match: *")
		if got := a.last(t); (got.Who == "zoe") != reads {
			t.Errorf("%s: by %q, and it reads its body: %t", what, got.Who, reads)
		}
	}
}

// TestChangesAreGivenTheirQuery: every parameter that the API's document says a change has.
func TestChangesAreGivenTheirQuery(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	type parameter struct {
		Ref      string `json:"$ref"`
		In, Name string
	}
	type operation struct{ Parameters []parameter }
	var document struct {
		Paths      map[string]map[string]operation
		Components struct{ Parameters map[string]parameter }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	found := 0
	for path, methods := range document.Paths {
		for method, op := range methods {
			if method == "get" {
				continue
			}
			for _, p := range op.Parameters {
				if p.Ref != "" {
					p = document.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
				}
				if p.In != "query" {
					continue
				}
				if found++; !slices.Contains(web.QueryOf(method, path), p.Name) {
					t.Errorf("%s %s is not given %q", method, path, p.Name)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("the document has %d parameters of changes", found)
	}
}

// TestFormsOfThePageAreAudited with what they have an effect by.
func TestFormsOfThePageAreAudited(t *testing.T) {
	a, s := auditing(t, nil)
	const form = "do=drain&backend=web&backend=api&server=web1&for=1h&reason=disk&by=eve&address=10.0.0.9&force=true"
	request(t, s.Handler(true), "", "POST /page/act?server=web2", form)
	want := audit.Entry{Who: "the API", From: "the unix socket", Method: "POST", Path: "/page/act", Reason: "disk", Status: http.StatusNoContent,
		Asked: map[string]string{"do": "drain", "backend": "web", "server": "web1", "for": "1h"}}
	if diff := cmp.Diff(want, a.last(t), cmpopts.IgnoreFields(audit.Entry{}, "At", "User")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWhatCannotBeAuditedIsDone, and said.
func TestWhatCannotBeAuditedIsDone(t *testing.T) {
	a, s := auditing(t, nil)
	a.err = errors.New("no space left on device")
	w := ask(t, s.Handler(true), "", "POST /v1/sync")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "in_sync") || !strings.Contains(w.Header().Get(api.WarningHeader), "not in the audit file") {
		t.Errorf("answered %d %q, %q", w.Code, w.Header().Get(api.WarningHeader), w.Body)
	}
}

// TestRefusedDoNotFillTheDisk: they are bounded, and counted in the next entry that is written.
func TestRefusedDoNotFillTheDisk(t *testing.T) {
	a, s := auditing(t, nil)
	for range 300 {
		ask(t, s.Handler(false), "127.0.0.1:9750", "POST /v1/sync", "Authorization: Bearer wrong")
	}
	n := len(a.list)
	a.err = errors.New("no space left on device") // what could not be told then is told with the next
	ask(t, s.Handler(true), "", "POST /v1/sync")
	a.list, a.err = a.list[:n], nil
	ask(t, s.Handler(true), "", "POST /v1/sync")
	left := int64(0)
	for _, e := range a.list {
		left += e.LeftOut
	}
	if n < 100 || n > 200 || left+int64(n) != 300 {
		t.Errorf("%d entries of 300, and %d left out", n, left)
	}
}
