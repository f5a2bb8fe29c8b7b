package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A document is what openapi.json says, as far as it is tested.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Parameters map[string]struct{ Name, In string }
		Responses  map[string]response
		Schemas    map[string]any
	}

	compiler *jsonschema.Compiler
}

type operation struct {
	OperationID string `json:"operationId"`
	Summary     string
	Who         string `json:"x-who"`
	Parameters  []struct {
		Ref string `json:"$ref"`
	}
	RequestBody *body
	Responses   map[string]response
	Security    []map[string][]string
}

type body struct {
	Required bool
	Content  map[string]struct{ Schema map[string]any }
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]struct{ Schema map[string]any }
}

func readDocument(t *testing.T) document {
	t.Helper()
	w := ask(t, newServer(t, options(newFake())).Handler(true), "", "GET /v1/openapi.json")
	var d document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	whole, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", closed(whole)); err != nil {
		t.Fatal(err)
	}
	return d
}

// closed refuses in each schema below v the properties that it does not describe.
func closed(v any) any {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			closed(x)
		}
	case map[string]any:
		for _, x := range v {
			closed(x)
		}
		if _, described := v["properties"].(map[string]any); described && v["type"] == "object" {
			v["additionalProperties"] = false
		}
	}
	return v
}

// check wants a value to be as the schema says that is at these names in the document.
func (d document) check(t *testing.T, what string, body []byte, at ...string) {
	t.Helper()
	for i := range at {
		at[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(at[i]))
	}
	schema, err := d.compiler.Compile("openapi.json#/" + strings.Join(at, "/"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s: %v in %s", what, err, body)
	}
}

// pathOf is how OpenAPI writes the pattern of a route.
func pathOf(pattern string) string { return strings.TrimSuffix(pattern, "{$}") }

func TestEveryRouteIsDescribed(t *testing.T) {
	d := readDocument(t)
	want, got := []string{}, []string{}
	for _, r := range newServer(t, options(newFake())).Table() {
		if strings.HasPrefix(r.Path, "/page/") { // what the page consists of is not for programs
			continue
		}
		want = append(want, r.Method+" "+pathOf(r.Path))
		op := d.Paths[pathOf(r.Path)][strings.ToLower(r.Method)]
		if want := whoOf(r); op.Who != want {
			t.Errorf("%s %s: x-who is %q, want %q", r.Method, r.Path, op.Who, want)
		}
	}
	for path, operations := range d.Paths {
		for method := range operations {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-routes +openapi.json):\n%s", diff)
	}
}

// whoOf is what the document calls those whom a route is for.
func whoOf(r web.RouteInfo) string {
	if strings.HasSuffix(r.Path, "/raw") {
		return "show"
	}
	return map[string]string{"reads": "read", "operates": "operate", "full": "trusted"}[r.Needs]
}

func TestDocumentIsWhole(t *testing.T) {
	d := readDocument(t)
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, op := range operations {
			at := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" {
				t.Errorf("%s: operationId %q, summary %q", at, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			checkWho(t, at, method, op)
			checkParameters(t, d, at, path, op)
			for code, r := range op.Responses {
				if _, ok := d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]; r.Ref != "" && !ok {
					t.Errorf("%s: %s: nothing is at %s", at, code, r.Ref)
				}
			}
		}
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("OpenAPI %q", d.OpenAPI)
	}
}

// checkWho wants the document to say who may, in all of its ways.
func checkWho(t *testing.T, at, method string, op operation) {
	t.Helper()
	anybody := slices.ContainsFunc(op.Security, func(s map[string][]string) bool { return len(s) == 0 })
	_, refuses := op.Responses["403"]
	if !slices.Contains([]string{"read", "operate", "show", "trusted"}, op.Who) || anybody != (op.Who != "trusted") {
		t.Errorf("%s: x-who %q, security %v", at, op.Who, op.Security)
	}
	if refuses != (op.Who != "read") {
		t.Errorf("%s: x-who %q, answer 403: %t", at, op.Who, refuses)
	}
	if _, typed := op.Responses["415"]; typed != (method != "get") {
		t.Errorf("%s: answer 415: %t", at, typed)
	}
	for _, code := range []string{"401", "408", "413", "421", "429", "500"} {
		if _, ok := op.Responses[code]; !ok {
			t.Errorf("%s: answer %s is missing", at, code)
		}
	}
}

func checkParameters(t *testing.T, d document, at, path string, op operation) {
	t.Helper()
	var inPath []string
	for _, p := range op.Parameters {
		c, ok := d.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]
		if !ok {
			t.Errorf("%s: nothing is at %s", at, p.Ref)
		}
		if c.In == "path" {
			inPath = append(inPath, "{"+c.Name+"}")
		}
	}
	if diff := cmp.Diff(regexp.MustCompile(`\{[^}]*\}`).FindAllString(path, -1), inPath); diff != "" {
		t.Errorf("%s: (-path +parameters):\n%s", at, diff)
	}
}

// documented are the types that answers and bodies are made of, by the name of their
// schema. Those that they are made of follow.
func documented() map[string]any {
	return map[string]any{
		"Status": api.Status{}, "Event": api.Event{}, "Explanation": api.Explanation{}, "ServerRef": api.ServerRef{},
		"ConfigVersion": api.ConfigVersion{}, "ConfigSection": api.ConfigSection{}, "Dump": slots.Dump{},
		"ServerRow": api.ServerRow{}, "AddressRow": api.AddressRow{}, "ReloadAnswer": api.ReloadAnswer{}, "CheckAnswer": api.CheckAnswer{},
		"SectionAnswer": api.SectionAnswer{}, "RawAnswer": api.RawAnswer{}, "Problem": api.Problem{}, "ReloadBody": api.ReloadBody{},
		"RawBody": api.RawBody{}, "StateBody": api.StateBody{}, "WeightBody": api.WeightBody{}, "ServerBody": api.ServerBody{},
		"PauseBody": api.PauseBody{}, "WhoBody": api.WhoBody{}, "AcceptBody": api.AcceptBody{}, "Accepted": api.Accepted{}, "Finding": api.Finding{},
	}
}

// TestEveryFieldIsDescribed holds the schemas against the types. If it fails, a field
// was added or removed and openapi.json does not say so.
func TestEveryFieldIsDescribed(t *testing.T) {
	d := readDocument(t)
	seen := map[string]bool{}
	for name, v := range documented() {
		describe(t, d.Components.Schemas, name, reflect.TypeOf(v), seen)
	}
	for name := range d.Components.Schemas {
		if !seen[name] {
			t.Errorf("openapi.json: nothing is a %s", name)
		}
	}
}

func describe(t *testing.T, all map[string]any, name string, of reflect.Type, seen map[string]bool) {
	t.Helper()
	if seen[name] {
		return
	}
	seen[name] = true
	schema, _ := all[name].(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	fields := jsonFields(of)
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		p, ok := properties[field].(map[string]any)
		if !ok {
			t.Errorf("openapi.json: %s.%s (%s) is not described", name, field, fields[field].of)
			continue
		}
		if slices.Contains(required, any(field)) != fields[field].always {
			t.Errorf("openapi.json: %s.%s: is it required? It is always there: %t", name, field, fields[field].always)
		}
		if struc, ok := structIn(fields[field].of); ok {
			ref := regexp.MustCompile(`#/components/schemas/([A-Za-z]+)`).FindStringSubmatch(fmt.Sprint(p))
			if ref == nil {
				t.Errorf("openapi.json: %s.%s names no schema for %s", name, field, struc)
				continue
			}
			describe(t, all, ref[1], struc, seen)
		}
	}
	for field := range properties {
		if _, ok := fields[field]; !ok {
			t.Errorf("openapi.json: %s has no field %s", name, field)
		}
	}
}

// A jsonField is how encoding/json writes a field: always, or only if it is set.
type jsonField struct {
	always bool
	of     reflect.Type
}

// jsonFields returns the fields of a struct as JSON has them.
func jsonFields(t reflect.Type) map[string]jsonField {
	out := map[string]jsonField{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" || !f.IsExported() {
			continue
		}
		out[name] = jsonField{!strings.Contains(options, "omit"), f.Type}
	}
	return out
}

// structIn returns the struct that a field is made of, if it is written as one.
func structIn(t reflect.Type) (reflect.Type, bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() && t != reflect.TypeFor[netip.AddrPort]()
}

func TestEventKindsAreDescribed(t *testing.T) {
	event, _ := readDocument(t).Components.Schemas["Event"].(map[string]any)
	kind, _ := event["properties"].(map[string]any)["kind"].(map[string]any)
	var got []string
	for _, k := range kind["enum"].([]any) {
		got = append(got, k.(string))
	}
	if diff := cmp.Diff(api.EventKinds(), got); diff != "" {
		t.Errorf("(-agent +openapi.json):\n%s", diff)
	}
}

// checkAnswer holds an answer against what the document says of it.
func checkAnswer(t *testing.T, d document, what, pattern string, w *httptest.ResponseRecorder) {
	t.Helper()
	method, _, _ := strings.Cut(what, " ")
	path, code := pathOf(pattern), fmt.Sprint(w.Code)
	at := []string{"paths", path, strings.ToLower(method), "responses", code}
	r, ok := d.Paths[path][at[2]].Responses[code]
	if !ok {
		t.Errorf("%s: %d is not described: %s", what, w.Code, w.Body)
		return
	}
	if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		r, at = d.Components.Responses[name], []string{"components", "responses", name}
	}
	kind := w.Header().Get("Content-Type")
	if _, ok := r.Content[kind]; !ok && (kind != "" || len(r.Content) > 0 || w.Body.Len() > 0) {
		t.Errorf("%s: %d is of type %q, which is not described", what, w.Code, kind)
		return
	}
	if strings.HasSuffix(kind, "json") {
		d.check(t, what, w.Body.Bytes(), append(at, "content", kind, "schema")...)
	}
}

// full is a fake of which every part of the status is set.
func full() *fake {
	f := newFake()
	at := time.Date(2030, 11, 21, 10, 15, 0, 0, time.UTC)
	ep := discovery.Endpoint{Addr: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 3, State: discovery.Drain, Name: "a", Reason: "b"}
	f.status.At, f.status.Started, f.status.NotReady = at, at, []string{"no"}
	f.status.Backends = []api.BackendStatus{{Name: "web", Backend: "web", Phase: "live", Endpoints: []discovery.Endpoint{ep}, Overflow: []discovery.Endpoint{ep},
		Slots: []api.SlotStatus{{Name: "web1", Endpoint: "10.0.0.1:80", State: "ready", Since: at, Title: "a", Override: "b",
			Instances: []api.InstanceSlot{{Instance: "edge-1", Address: "10.0.0.1:80", Weight: 1, Check: "up", Sessions: -1, HeldBy: "external", Reason: "x", LastReply: "y", Lacking: true}}}},
		Hold:     &api.Hold{ID: "h1a2b3", Kind: "removal", Since: at, ReleasesAt: at, Confirmations: 1, WouldRemove: []string{"10.0.0.1:80"}},
		Takeover: &api.Hold{ID: "t1a2b3", Kind: "takeover", Since: at, WouldRemove: []string{"10.0.0.3:80"}, BlocksWriting: true},
		Kept: []api.KeptSet{{ID: "k99aa0", Source: "dns", Part: "AAAA of web", Reason: "SERVFAIL", Since: at,
			Endpoints: []string{"10.0.0.1:80", "10.0.0.2:80"}, Yielded: []string{"10.0.0.2:80"}}},
		Turnover:   &api.Turnover{Since: at, EndsAt: at, Leaving: []string{"10.0.0.1:80"}},
		NeedReload: &api.NeedReload{Slots: 1, Wanted: 2, Since: at, Latched: true, Why: "z"},
		Forecast:   api.Forecast{Free: 1, PerHour: 2, FullInSeconds: 3}, PausedBy: "ann", Paused: &at, Problem: "p"}}
	f.status.Sources = []api.SourceStatus{{Name: "consul", Backend: "web", Asks: "consul service web", State: "ok", InUse: true, Next: at,
		Activity: discovery.Activity{Question: "q", Asked: at, Answer: "a", Answered: at, Next: at, Remarks: []string{"r"}}, AgeSeconds: 0.5, Endpoints: 1,
		Note: "n", LastError: "e", Parts: []api.PartStatus{{Name: "AAAA of web", State: "unknown", Reason: "SERVFAIL"}}, PartsMore: 1, Kept: 2, Rejected: []discovery.Rejection{{Reason: "zone", Name: "x", Value: "y"}}}}
	f.status.Reloads[0].Last, f.status.Reloads[0].NextAfter, f.status.Reloads[0].OldWorkers = &at, &at, []api.OldWorker{{Pid: 1, AgeSeconds: 2, Sessions: -1}}
	f.status.Overrides = []api.Override{{Backend: "web", Address: "10.0.0.1:80", Kind: api.OverrideState, State: "drain", By: "ann", Reason: "r", Since: at, Until: &at, Keep: true, Listed: at}}
	f.status.Pauses = []api.Pause{{Backend: "web", By: "ann", Reason: "r", Since: at, Until: at, Hard: true}}
	return f
}

// examples are requests for each route that are fine, with their bodies.
func examples() map[string]struct{ what, body string } {
	const web1 = "/v1/backends/web/servers/web1"
	section := "/v1/haproxy/config/sections/"
	return map[string]struct{ what, body string }{
		"GET /{$}":                 {"GET /", ""},
		"GET /v1/openapi.json":     {"GET /v1/openapi.json", ""},
		"GET /v1/status":           {"GET /v1/status", ""},
		"GET /v1/events":           {"HEAD /v1/events", ""},
		"POST /v1/sync":            {"POST /v1/sync", ""},
		"POST /v1/doctor":          {"POST /v1/doctor", ""},
		"GET /-/healthy":           {"GET /-/healthy", ""},
		"GET /-/ready":             {"GET /-/ready", ""},
		"POST /-/reload":           {"POST /-/reload", ""},
		"GET /metrics":             {"GET /metrics", ""},
		"GET /v1/haproxy/reload":   {"GET /v1/haproxy/reload", ""},
		"POST /v1/haproxy/reload":  {"POST /v1/haproxy/reload", `{"reason":"x"}`},
		"GET /v1/haproxy/config":   {"GET /v1/haproxy/config", ""},
		"GET /v1/addresses":        {"GET /v1/addresses", ""},
		"POST /v1/pause":           {"POST /v1/pause", `{"for":"1h"}`},
		"POST /v1/resume":          {"POST /v1/resume", ""},
		"GET /debug/pprof/":        {"GET /debug/pprof/", ""},
		"GET /debug/pprof/cmdline": {"GET /debug/pprof/cmdline", ""},
		"GET /debug/pprof/profile": {"GET /debug/pprof/profile?seconds=1", ""},
		"GET /debug/pprof/symbol":  {"GET /debug/pprof/symbol", ""},
		"GET /debug/pprof/trace":   {"GET /debug/pprof/trace?seconds=0.01", ""},
		"GET /page/page.css":       {"GET /page/page.css", ""},
		"GET /page/page.js":        {"GET /page/page.js", ""},
		"POST /page/act":           {"POST /page/act", "do=drain&backend=web&server=web1"},
		"POST /page/sign-in":       {"POST /page/sign-in", "secret=secret"},
		"POST /page/sign-out":      {"POST /page/sign-out", ""},

		"POST /v1/backends/{backend}/accept":            {"POST /v1/backends/web/accept", `{"id":"h1a2b3","by":"ann"}`},
		"GET /v1/backends/{backend}/explain":            {"GET /v1/backends/web/explain", ""},
		"GET /v1/backends/{backend}/explain/{address}":  {"GET /v1/backends/web/explain/web1", ""},
		"POST /v1/haproxy/config/check":                 {"POST /v1/haproxy/config/check", ""},
		"GET /v1/haproxy/config/diff":                   {"GET /v1/haproxy/config/diff?from=" + versionID, ""},
		"GET /v1/haproxy/config/versions":               {"GET /v1/haproxy/config/versions", ""},
		"GET /v1/haproxy/config/versions/{id}":          {"GET /v1/haproxy/config/versions/" + versionID, ""},
		"POST /v1/haproxy/config/versions/{id}/restore": {"POST /v1/haproxy/config/versions/" + versionID + "/restore", ""},
		"GET /v1/haproxy/config/sections":               {"GET /v1/haproxy/config/sections", ""},
		"GET " + section + "{type}":                     {"GET " + section + "global", ""},
		"PUT " + section + "{type}":                     {"PUT " + section + "global?dry_run=true", "global\n"},
		"DELETE " + section + "{type}":                  {"DELETE " + section + "global?dry_run=true", ""},
		"GET " + section + "{type}/{name}":              {"GET " + section + "backend/web", ""},
		"PUT " + section + "{type}/{name}":              {"PUT " + section + "backend/web?dry_run=true", "backend web\n"},
		"DELETE " + section + "{type}/{name}":           {"DELETE " + section + "backend/web?dry_run=true", ""},
		"POST /v1/instances/{instance}/raw":             {"POST /v1/instances/edge-1/raw", `{"command":"show info"}`},
		"GET /v1/instances/{instance}/info":             {"GET /v1/instances/edge-1/info", ""},
		"GET /v1/instances/{instance}/stat":             {"GET /v1/instances/edge-1/stat", ""},
		"GET /v1/instances/{instance}/sess":             {"GET /v1/instances/edge-1/sess", ""},
		"GET /v1/instances/{instance}/servers":          {"GET /v1/instances/edge-1/servers", ""},

		"GET /v1/backends/{backend}/servers":                             {"GET /v1/backends/web/servers", ""},
		"POST /v1/backends/{backend}/servers":                            {"POST /v1/backends/web/servers", `{"address":"10.0.0.9:80"}`},
		"DELETE /v1/backends/{backend}/servers/{server}":                 {"DELETE /v1/backends/web/servers/web2", ""},
		"PUT /v1/backends/{backend}/servers/{server}/state":              {"PUT " + web1 + "/state", `{"state":"drain"}`},
		"PUT /v1/backends/{backend}/servers/{server}/weight":             {"PUT " + web1 + "/weight", `{"weight":"20%"}`},
		"POST /v1/backends/{backend}/servers/{server}/shutdown-sessions": {"POST " + web1 + "/shutdown-sessions", ""},
		"PUT /v1/addresses/{ip}/weight":                                  {"PUT /v1/addresses/10.0.0.1/weight", `{"weight":"20%"}`},
		"PUT /v1/addresses/{ip}/state":                                   {"PUT /v1/addresses/10.0.0.1/state", `{"state":"maint"}`},
	}
}

// request sends a request with a body to h as if it came in at the TCP address local.
func request(t *testing.T, h http.Handler, local, what, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	with := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), brief(r.URL.Path))
		defer cancel()
		r2 := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(body)).WithContext(ctx)
		r2.Host, r2.Header, r2.TLS = r.Host, r.Header, r.TLS
		if strings.HasPrefix(r.URL.Path, "/page/") {
			r2.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if r2.Header.Get("Origin")+r2.Header.Get("Sec-Fetch-Site") == "" { // as browsers do
				r2.Header.Set("Sec-Fetch-Site", "same-origin")
			}
		}
		h.ServeHTTP(w, r2)
	})
	return ask(t, with, local, what, header...)
}

// brief is how long a request waits: the profile of a second is not what is tested.
func brief(path string) time.Duration {
	if path == "/debug/pprof/profile" {
		return 10 * time.Millisecond
	}
	return time.Minute
}

func TestAnswersAreAsDescribed(t *testing.T) {
	d, all := readDocument(t), examples()
	bare := full()
	bare.bare = true
	for _, f := range []*fake{full(), brokenFake(), bare} {
		s := newServer(t, options(f))
		for _, r := range s.Table() {
			e, ok := all[r.Method+" "+r.Path]
			if strings.HasPrefix(r.Path, "/page/") {
				continue
			}
			if !ok {
				t.Errorf("%s %s: there is no example of it", r.Method, r.Path)
				continue
			}
			w := request(t, s.Handler(true), "", e.what, e.body)
			checkAnswer(t, d, strings.Replace(e.what, "HEAD", "GET", 1), r.Path, w)
			if f.haproxy == nil && w.Code/100 != 2 {
				t.Errorf("%s: %d %s", e.what, w.Code, w.Body)
			}
		}
	}
}

// brokenFake is a fake in which much fails.
func brokenFake() *fake {
	f := full()
	f.haproxy, f.syncErr, f.reload, f.sick = errors.New("no"), context.DeadlineExceeded, api.ErrBadRequest, api.ErrBadRequest
	f.held, f.status.Ready = false, false
	return f
}
