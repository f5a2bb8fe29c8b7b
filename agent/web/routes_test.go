package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/audit"
)

func TestRoutes(t *testing.T) {
	tests := []struct {
		name string
		what string
		with func(*fake)
		want int
		body string // part of it
		did  []string
	}{
		{"index", "GET /", nil, 200, "/v1/status", nil},
		{"status", "GET /v1/status", nil, 200, `"schema":1`, nil},
		{"sync", "POST /v1/sync", nil, 200, `"in_sync":true`, []string{"sync"}},
		{"sync fails", "POST /v1/sync", func(f *fake) { f.syncErr = errors.New("edge-1 is gone") }, 500, "edge-1 is gone", []string{"sync"}},
		{"sync takes too long", "POST /v1/sync", func(f *fake) { f.syncErr = context.DeadlineExceeded }, 504, "deadline", []string{"sync"}},
		{"sync after the agent has stopped", "POST /v1/sync", func(f *fake) { f.syncErr = api.ErrStopped }, 503, "starting or stopping", []string{"sync"}},
		{"sync while the agent stops", "POST /v1/sync", func(f *fake) { f.syncErr = context.Canceled }, 503, "canceled", []string{"sync"}},
		{"accept", `POST /v1/backends/web/accept {"id":"h1a2b3","by":"ann"}`, nil, 200, `"removed":["10.0.0.1:80"]`, []string{"accept web h1a2b3 by ann"}},
		{"accept, unknown id", `POST /v1/backends/web/accept {"id":"h999999"}`, nil, 409, "what may go now is h1a2b3, k99aa0", []string{"accept web h999999 by the API"}},
		{"accept, no such field", `POST /v1/backends/web/accept {"hold":"h1a2b3"}`, nil, 400, "unknown field", nil},
		{"accept without an id", "POST /v1/backends/web/accept", nil, 409, "what may go now is h1a2b3, k99aa0", []string{"accept web  by the API"}},
		{"accept, nothing held", "POST /v1/backends/web/accept", func(f *fake) { f.held = false }, 409, "nothing is held", []string{"accept web  by the API"}},
		{"accept, no such backend", "POST /v1/backends/nope/accept", nil, 404, "no such backend", []string{"accept nope  by the API"}},
		{"accept, escaped name", "POST /v1/backends/a%2Fb/accept", nil, 404, "a/b: no such backend", []string{"accept a/b  by the API"}},
		{"accept, no name", "POST /v1/backends//accept", nil, 307, "", nil},
		{"healthy", "GET /-/healthy", nil, 200, "healthy", nil},
		{"not healthy", "GET /-/healthy", func(f *fake) { f.sick = errors.New("the loop is stuck") }, 500, "the loop is stuck\n", nil},
		{"ready", "GET /-/ready", nil, 200, "ready", nil},
		{"not ready", "GET /-/ready", func(f *fake) {
			f.status.Ready, f.status.NotReady = false, []string{"web: nothing known yet", "no instance answers"}
		}, 503, "web: nothing known yet\nno instance answers\n", nil},
		{"reload", "POST /-/reload", nil, 204, "", []string{"reload"}},
		{"reload is refused", "POST /-/reload", func(f *fake) { f.reload = errors.New("line 3: unknown key \"sokcet\"") }, 422, "line 3", []string{"reload"}},
		{"reload, drain", "POST /-/reload?drain_removed=true", nil, 204, "", []string{"reload, drain removed"}},
		{"reload, no drain", "POST /-/reload?drain_removed=false", nil, 204, "", []string{"reload"}},
		{"reload, drain what?", "POST /-/reload?drain_removed=yes", nil, 400, "drain_removed is true or false", nil},
		{"metrics", "GET /metrics", nil, 200, "slotsync_build_info", nil},
		{"unknown path", "GET /v2/status", nil, 404, "nothing at /v2/status", nil},
		{"path below", "GET /v1/status/x", nil, 404, "nothing at", nil},
		{"path that climbs", "GET /v1/../v1/status", nil, 307, "", nil},
		{"get a change", "GET /-/reload", nil, 405, "takes POST", nil},
		{"head a change", "HEAD /v1/sync", nil, 405, "takes POST", nil},
		{"post a reading", "POST /v1/status", nil, 405, "takes GET", nil},
		{"put", "PUT /v1/sync", nil, 405, "takes POST", nil},
		{"trace", "TRACE /v1/status", nil, 405, "takes GET", nil},
		{"preflight", "OPTIONS /v1/sync", nil, 405, "takes POST", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			if tt.with != nil {
				tt.with(f)
			}
			w := ask(t, newServer(t, options(f)).Handler(true), "", tt.what)
			if w.Code != tt.want || !strings.Contains(unquoted(w), tt.body) {
				t.Fatalf("%d %s, want %d with %q", w.Code, w.Body, tt.want, tt.body)
			}
			if diff := cmp.Diff(tt.did, f.changes()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			plain := strings.HasPrefix(tt.what, "GET /-/")
			if w.Code >= 400 && (!plain || w.Code == 405) {
				checkProblem(t, tt.what, w)
			}
			if w.Code == 405 && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow (RFC 9110 section 15.5.6)")
			}
		})
	}
}

// unquoted is the text of a problem, or the body of anything else.
func unquoted(w *httptest.ResponseRecorder) string {
	var p struct{ Detail string }
	if w.Header().Get("Content-Type") == "application/problem+json" && json.Unmarshal(w.Body.Bytes(), &p) == nil {
		return p.Detail
	}
	return w.Body.String()
}

func TestStatusIsWhole(t *testing.T) {
	f := newFake()
	w := ask(t, newServer(t, options(f)).Handler(true), "", "GET /v1/status")
	var got api.Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.status, got); diff != "" {
		t.Errorf("(-agent +answer):\n%s", diff)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
}

func TestBody(t *testing.T) {
	tests := []struct {
		name string
		body io.Reader
		want int
	}{
		{"none", nil, 204},
		{"at the limit", strings.NewReader(strings.Repeat("x", 64<<10)), 204},
		{"over it", strings.NewReader(strings.Repeat("x", 64<<10+1)), 413},
		{"over it, length unknown", io.MultiReader(strings.NewReader(strings.Repeat("x", 70_000))), 413},
		{"endless", endless{}, 413},
		{"broken off", io.MultiReader(strings.NewReader("x"), broken{}), 408},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/-/reload", tt.body)
			r.Header.Set("Content-Type", "application/json")
			newServer(t, options(f)).Handler(true).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
			if tt.want >= 400 {
				checkProblem(t, tt.name, w)
				if did := f.changes(); len(did) != 0 {
					t.Errorf("half a request did %q", did)
				}
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestBodyTooLargeOverTheWire: it is refused while more of it is to come, also where changes
// are recorded, and the connection ends.
func TestBodyTooLargeOverTheWire(t *testing.T) {
	for name, record := range map[string]func(audit.Entry) error{"not recorded": nil, "recorded": new(audited).add} {
		f := newFake()
		o := options(f)
		o.Listen, o.Audit = "127.0.0.1:0", record
		s := serve(t, o)
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil { // the server waits for 15
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST /v1/sync HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n%s",
			s.Addr(), strings.Repeat("x", 70_000))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close || len(f.changes()) != 0 {
			t.Errorf("%s: %d, the connection ends: %t, did %q", name, resp.StatusCode, resp.Close, f.changes())
		}
	}
}
