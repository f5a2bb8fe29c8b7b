package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/slots/reload"
)

// A teller is a source that says what it is told to, and fails where that is nil.
type teller struct {
	next chan *discovery.Reading
	last *discovery.Reading
}

func newTeller(first *discovery.Reading) *teller {
	s := &teller{next: make(chan *discovery.Reading, 1)}
	s.next <- first
	return s
}

func (s *teller) Next(ctx context.Context) (discovery.Reading, error) {
	select {
	case <-ctx.Done():
		return discovery.Reading{}, ctx.Err()
	case s.last = <-s.next:
	}
	return s.Confirm(ctx)
}

func (s *teller) Confirm(context.Context) (discovery.Reading, error) {
	if s.last == nil {
		return discovery.Reading{}, discovery.Errorf(discovery.Server, "it is broken")
	}
	return *s.last, nil
}

func (s *teller) String() string { return "told" }

// readingOf lists n endpoints.
func readingOf(n int) *discovery.Reading {
	var eps []discovery.Endpoint
	r := &discovery.Reading{Note: "index 42", Rejected: []discovery.Rejection{{Reason: "zone", Name: "odd", Value: "fe80::1"}}}
	for i := range n {
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), uint16(8001+i))
		eps = append(eps, discovery.Endpoint{Addr: at, Weight: 1 + i, Name: fmt.Sprintf("web-%d", i)})
	}
	r.Parts = []discovery.Part{{Endpoints: eps}}
	return r
}

// A proven is an instance that shows which process answers.
type proven struct{ *haproxy.Client }

func (p proven) Name() string { return "edge-1" }

func (p proven) Process(ctx context.Context) (slots.Process, error) { return p.Info(ctx) }

// A realRig is an agent over a HAProxy that is there and one that is not.
type realRig struct {
	t     *testing.T
	proxy *haproxytest.Process
	told  *teller
	doc   document
	h     http.Handler
	seen  map[string]bool // routes that were answered as described
}

func newRealRig(t *testing.T) *realRig {
	t.Helper()
	r := &realRig{t: t, told: newTeller(readingOf(4)), doc: readDocument(t), seen: map[string]bool{}}
	r.proxy = haproxytest.Start(t, haproxytest.Config{Master: true, Backends: []haproxytest.Backend{{Name: "web", Prefix: "web"}, {Name: "api", Slots: 2}}})
	o := r.agentOptions()
	a, err := agent.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, web.Options{Agent: a, Metrics: http.NotFoundHandler(), Reload: func(ctx context.Context, _ bool) error { return a.Reconfigure(ctx, o) },
		Examine: func(context.Context) ([]api.Finding, error) {
			return []api.Finding{{Verdict: api.VerdictOK, Subject: "a", Text: "b"}}, nil
		}})
	r.h = s.Handler(true)
	if s := r.status(); s.Ready || len(s.NotReady) == 0 {
		t.Errorf("it is ready before it runs: %+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *realRig) agentOptions() agent.Options {
	r.t.Helper()
	there, err := haproxy.New(haproxy.Options{Socket: r.proxy.Socket, Timeout: 5 * time.Second})
	gone, err2 := haproxy.New(haproxy.Options{Socket: filepath.Join(r.t.TempDir(), "none.sock"), Timeout: time.Second})
	master, err3 := haproxy.NewMaster(r.proxy.Master, 5*time.Second)
	transaction, err4 := reload.New(reload.Options{File: r.proxy.File(), Dir: r.t.TempDir(), Reloader: master, Instances: []reload.Instance{proven{there}}})
	for _, err := range []error{err, err2, err3, err4} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	rules := guard.Rules{EmptyHold: time.Hour, RemovalHold: time.Hour, MaxRemoval: guard.DefaultMaxRemoval, Window: time.Minute}
	lists := metrics.Lists{Reasons: discovery.Reasons[:], Overrides: api.OverrideKinds[:]}
	return agent.Options{
		Instances: []agent.Instance{{Name: "edge-1", Conn: there, Query: there, Key: "1"}, {Name: "edge-2", Conn: gone, Query: gone, Key: "2"}},
		Backends: []agent.Backend{
			{Name: "web", Proxy: "web", Prefix: "web", Guard: rules, Feeds: []agent.Feed{{Name: "told", Source: r.told, Key: "1"}}},
			{Name: "api", Proxy: "api", Prefix: "api", Guard: rules, Feeds: []agent.Feed{{Name: "fixed", Source: discovery.Static(readingOf(3).Endpoints()), Key: "2"}, {Name: "broken", Source: newTeller(nil), Key: "3"}}},
		},
		Reloads: []agent.Reload{{Name: "haproxy", Key: "1", Instances: []string{"edge-1"}, Transaction: transaction,
			OldWorkers: func(context.Context) ([]api.OldWorker, error) {
				return []api.OldWorker{{Pid: 1, Sessions: -1}}, nil
			}}},
		Timeout: time.Second, Poll: 100 * time.Millisecond, Resync: 300 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(prometheus.NewRegistry(), "test", lists),
	}
}

// do sends a request, and holds the answer against what the document says of it.
func (r *realRig) do(pattern, what, body string, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	w := request(r.t, r.h, "", what, body, header...)
	_, path, _ := strings.Cut(pattern, " ")
	checkAnswer(r.t, r.doc, strings.Replace(what, "HEAD", "GET", 1), path, w)
	r.seen[pattern] = true
	return w
}

// done is do, for what has to be done.
func (r *realRig) done(pattern, what, body string, header ...string) string {
	r.t.Helper()
	w := r.do(pattern, what, body, header...)
	if w.Code/100 != 2 {
		r.t.Fatalf("%s: %d %s", what, w.Code, w.Body)
	}
	return w.Body.String()
}

func (r *realRig) status() (s api.Status) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.done("GET /v1/status", "GET /v1/status", "")), &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// until waits for a status of which wrong says nothing.
func (r *realRig) until(wrong func(api.Status) string) {
	r.t.Helper()
	ticker, deadline := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for {
		why := wrong(r.status())
		if why == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			r.t.Fatalf("%s: %s", why, r.done("GET /v1/status", "GET /v1/status", ""))
		}
	}
}

// filled waits until the HAProxy that is there has what it is to have.
func (r *realRig) filled() {
	r.t.Helper()
	r.until(func(s api.Status) string {
		if len(s.Instances) == 0 || !s.Instances[0].InSync || s.Backends[0].Slots[3].Endpoint == "" {
			return "edge-1 is not in sync"
		}
		return ""
	})
}

// TestRealAnswersAreAsDescribed holds what an agent answers that is at work against
// openapi.json, with something in every list.
func TestRealAnswersAreAsDescribed(t *testing.T) {
	r := newRealRig(t)
	r.filled()
	id := r.change()
	r.disturb()
	for _, target := range []string{"", "/127.0.0.9:8001", "/web4", "/web9", "/127.0.0.9", "/%5B2001:db8::1%5D:80"} {
		pattern := "GET /v1/backends/{backend}/explain/{address}"
		if target == "" {
			pattern = "GET /v1/backends/{backend}/explain"
		}
		r.done(pattern, "GET /v1/backends/web/explain"+target, "")
	}
	for pattern, e := range examples() {
		if strings.HasPrefix(pattern, "GET /") && !strings.HasPrefix(pattern, "GET /page/") && pattern != "GET /metrics" {
			r.done(pattern, strings.ReplaceAll(e.what, versionID, id), e.body)
			r.do(pattern, strings.NewReplacer(versionID, "none", "edge-1", "edge-2", "/web", "/none").Replace(e.what), e.body)
		}
	}
	r.checkEvents()
	for pattern := range examples() {
		if !r.seen[pattern] && !strings.HasPrefix(pattern, "GET /page/") && !strings.HasPrefix(pattern, "POST /page/") && pattern != "GET /metrics" {
			t.Errorf("%s is not asked for", pattern)
		}
	}
}

// change makes a change of each kind, and returns a version of the configuration.
func (r *realRig) change() (id string) {
	r.t.Helper()
	const server, sections, versions = "/v1/backends/{backend}/servers/{server}", "/v1/haproxy/config/sections", "/v1/haproxy/config/versions"
	spare := "/v1/backends/web/servers/127.0.0.9:9001"
	r.done("POST /v1/backends/{backend}/servers", "POST /v1/backends/web/servers", `{"address":"127.0.0.9:9001","name":"spare","weight":5,"by":"ann"}`)
	r.until(func(s api.Status) string {
		if s.Backends[0].Slots[4].Endpoint == "" {
			return "the spare has no slot"
		}
		return ""
	})
	r.done("POST "+server+"/shutdown-sessions", "POST "+spare+"/shutdown-sessions", "")
	r.done("DELETE "+server, "DELETE "+spare, "")
	r.do("POST /v1/sync", "POST /v1/sync", "") // edge-2 does not answer
	r.do("POST /v1/doctor", "POST /v1/doctor", "")
	r.done("POST /-/reload", "POST /-/reload", "")
	r.done("POST /v1/instances/{instance}/raw", "POST /v1/instances/edge-1/raw", `{"command":"show version"}`)
	r.do("POST /v1/instances/{instance}/raw", "POST /v1/instances/edge-2/raw", `{"command":"show version"}`)
	if w := r.do("POST /v1/backends/{backend}/accept", "POST /v1/backends/web/accept", ""); w.Code != http.StatusConflict {
		r.t.Errorf("nothing is held: %d", w.Code)
	}

	r.done("POST /v1/haproxy/reload", "POST /v1/haproxy/reload", `{"reason":"x","by":"ann"}`)
	match := "If-Match: *"
	for _, path := range []string{"/{type}/{name}", "/{type}"} {
		what := strings.NewReplacer("{type}", "userlist", "{name}", "some").Replace(path)
		r.do("PUT "+sections+path, "PUT "+sections+what, "userlist some\n", match)
		r.do("DELETE "+sections+path, "DELETE "+sections+what, "", match)
	}
	r.do("POST /v1/haproxy/config/check", "POST /v1/haproxy/config/check", "")
	var kept []api.ConfigVersion
	if err := json.Unmarshal([]byte(r.done("GET "+versions, "GET "+versions, "")), &kept); err != nil || len(kept) == 0 {
		r.t.Fatalf("%d versions are kept: %v", len(kept), err)
	}
	id = kept[len(kept)-1].ID
	r.done("POST "+versions+"/{id}/restore", "POST "+versions+"/"+id+"/restore?by=ann", "")
	r.filled()
	return id
}

// disturb puts something into every list of the status.
func (r *realRig) disturb() {
	r.t.Helper()
	const server = "/v1/backends/{backend}/servers/{server}"
	r.done("PUT "+server+"/state", "PUT /v1/backends/web/servers/web1/state", `{"state":"drain","for":"1h","reason":"disk","by":"ann","keep":true}`)
	r.done("PUT "+server+"/weight", "PUT /v1/backends/web/servers/web2/weight", `{"weight":"20%"}`)
	r.done("PUT /v1/addresses/{ip}/state", "PUT /v1/addresses/127.0.0.77/state", `{"state":"maint"}`)
	r.done("PUT /v1/addresses/{ip}/weight", "PUT /v1/addresses/127.0.0.9/weight", `{"weight":50}`)
	r.done("POST /v1/pause", "POST /v1/pause", `{"backend":"web"}`)
	r.done("POST /v1/resume", "POST /v1/resume", `{"backend":"web"}`)
	r.done("POST /v1/pause", "POST /v1/pause", `{"backend":"api","for":"1h","reason":"x","by":"ann","hard":true}`)
	r.filled()
	haproxytest.Ask(r.t, r.proxy.Socket, "set server web/web3 state maint")
	r.told.next <- readingOf(0)
	r.until(func(s api.Status) string {
		b, api := s.Backends[0], s.Backends[1]
		for why, wrong := range map[string]bool{
			"nothing is held": b.Hold == nil, "nothing was taken out": s.Instances[0].External == 0, "edge-2 is up": s.Instances[1].Up || s.Instances[1].LastError == "",
			"nothing is without a slot": len(api.Overflow) == 0 || api.NeedReload == nil, "nothing is paused": api.Paused == nil || len(s.Pauses) == 0,
			"overrides": len(s.Overrides) != 4, "no source fails": s.Sources[2].State != "failing", "nothing is rejected": len(s.Sources[0].Rejected) == 0,
			"no reload was done": s.Reloads[0].Last == nil, "no old worker": len(s.Reloads[0].OldWorkers) == 0,
		} {
			if wrong {
				return why
			}
		}
		return ""
	})
}

// checkEvents holds every event that is kept against its schema.
func (r *realRig) checkEvents() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 300*time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	r.h.ServeHTTP(deadlines{w}, httptest.NewRequest("GET", "/v1/events?last_event_id=0", nil).WithContext(ctx))
	kinds := map[string]bool{}
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			r.t.Fatal(err)
		}
		kinds[fmt.Sprint(v["kind"])] = true
		r.doc.check(r.t, "event", []byte(data), "components", "schemas", "Event")
	}
	for _, kind := range []string{api.EventHoldBegun, api.EventSlotsChanged, api.EventReloadEnded, api.EventOverrideSet, api.EventPaused, api.EventExternalTaken, api.EventSourceFailing} {
		if !kinds[kind] {
			r.t.Errorf("there is no %s among %v", kind, kinds)
		}
	}
}

// deadlines is a recorder that takes deadlines, as a connection does.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetWriteDeadline(time.Time) error { return nil }
