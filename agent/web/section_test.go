package web_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client/clienttest"
)

func TestSectionRoutes(t *testing.T) {
	const sections, backend = "/v1/haproxy/config/sections", "/v1/haproxy/config/sections/backend/web"
	const match = `If-Match: "` + configTag + `"`
	tests := []struct {
		name, what, body string
		header           []string
		with             error
		want             int
		says             string
		did              []string
	}{
		{name: "list", what: "GET " + sections, want: 200, says: `{"type":"backend","name":"web","line":3}`},
		{name: "show", what: "GET " + backend + "?reload=edge-1", want: 200, says: `backend web # of "edge-1"`},
		{name: "without a name", what: "GET " + sections + "/global", want: 200, says: `global  # of ""`},
		{name: "none", what: "GET " + sections + "/backend/none", want: 404, says: "no such section"},
		{name: "set", what: "PUT " + backend + "?by=ann&force=true", body: "backend web\n", header: []string{match}, want: 200, says: `{"diff":"+backend web\n","reloads":[{"name":"haproxy"`,
			did: []string{`edit backend web of "" by "ann", etag "` + configTag + `", force true: "backend web\n"`}},
		{name: "set whatever is there", what: "PUT " + backend, body: "backend web\n", header: []string{"If-Match: *"}, want: 200, says: "diff",
			did: []string{`edit backend web of "" by "the API", etag "", force false: "backend web\n"`}},
		{name: "delete", what: "DELETE " + backend, header: []string{match}, want: 200, says: "diff",
			did: []string{`edit backend web of "" by "the API", etag "` + configTag + `", force false: ""`}},
		{name: "dry run", what: "PUT " + backend + "?dry_run=true", body: "backend web\n", want: 200, says: `"reloads":[]`},
		{name: "no dry run", what: "PUT " + backend + "?dry_run=false", body: "backend web\n", want: 428, says: "If-Match"},
		{name: "dry what?", what: "PUT " + backend + "?dry_run=1", body: "backend web\n", header: []string{match}, want: 400, says: "dry_run is true or false"},
		{name: "dry, and no word", what: "PUT " + backend + "?dry_run", body: "backend web\n", header: []string{match}, want: 400, says: "dry_run is true or false"},
		{name: "dry and not", what: "DELETE " + backend + "?dry_run=false&dry_run=true", header: []string{match}, want: 400, says: "dry_run is true or false"},
		{name: "force what?", what: "PUT " + backend + "?force=yes", body: "backend web\n", header: []string{match}, want: 400, says: "force is true or false"},
		{name: "no tag", what: "PUT " + backend, body: "backend web\n", want: 428, says: "If-Match"},
		{name: "old tag", what: "PUT " + backend, body: "backend web\n", header: []string{`If-Match: "other"`}, want: 412, says: "by now"},
		{name: "no body", what: "PUT " + backend, header: []string{match}, want: 400, says: "whole section"},
		{name: "a bad tag", what: "DELETE " + backend, header: []string{"If-Match: other"}, want: 400, says: "one tag"},
		{name: "delete none", what: "DELETE " + sections + "/backend/none", header: []string{match}, want: 404, says: "no such section"},
		{name: "check fails", what: "DELETE " + backend, header: []string{match}, with: errors.New("step check failed"), want: 422, says: "step check failed",
			did: []string{`edit backend web of "" by "the API", etag "` + configTag + `", force false: ""`}},
		{name: "POST", what: "POST " + backend, want: 405, says: "DELETE, GET, PUT"},
		{name: "too large", what: "PUT " + backend, body: strings.Repeat("x", 65<<10), header: []string{match}, want: 413, says: "64 KB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.haproxy = tt.with
			w := asked(t, f, tt.what, tt.body, tt.header...)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if diff := cmp.Diff(tt.did, f.changes()); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			if tt.want == 200 && strings.HasPrefix(tt.what, "GET") && w.Header().Get("ETag") != `"`+configTag+`"` {
				t.Errorf("tag %q", w.Header().Get("ETag"))
			}
		})
	}
}

func TestSectionClient(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	serve(t, o)
	c := clienttest.New(t, "unix://"+o.Socket, nil)
	all, err := c.HAProxySections(t.Context(), "")
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	text, etag, err := c.HAProxySection(t.Context(), "", "backend", "a/b c")
	if err != nil || etag != configTag || text != "backend a/b c # of \"\"\n" {
		t.Errorf("got %q, %q, %v", text, etag, err)
	}
	if _, _, err := c.HAProxySection(t.Context(), "", "backend", "none"); !errors.Is(err, api.ErrNoSection) {
		t.Errorf("got %v", err)
	}
	e := api.SectionEdit{Type: "global", Body: []byte("global\n"), ETag: etag, By: "ann"}
	dry, err := c.EditHAProxySection(t.Context(), e, true)
	if diff := cmp.Diff(api.SectionAnswer{Diff: "+global\n", Reloads: []api.ReloadStatus{}}, dry); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if done, err := c.EditHAProxySection(t.Context(), e, false); err != nil || len(done.Reloads) != 1 {
		t.Errorf("got %+v, %v", done, err)
	}
	e.ETag = "other"
	if _, err := c.EditHAProxySection(t.Context(), e, false); !errors.Is(err, api.ErrChanged) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{`edit global of "" by "` + askedBy(t, "unix:") + ` (ann)", etag "` + configTag + `", force false: "global\n"`}, f.changes()); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
}
