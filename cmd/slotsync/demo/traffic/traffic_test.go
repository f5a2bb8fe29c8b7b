package traffic

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slotsync/slotsync/tools/eventually"
)

// requestsOf returns those that are kept.
func requestsOf(load *Traffic) []Request {
	load.mu.Lock()
	defer load.mu.Unlock()
	return slices.Clone(load.requests)
}

func startTraffic(t *testing.T, url string, workers int) *Traffic {
	t.Helper()
	load := New(Options{
		Targets: []Target{{Name: "edge", Addr: strings.TrimPrefix(url, "http://")}},
		Workers: workers, Pause: time.Millisecond, Timeout: 5 * time.Second,
	})
	load.Start(t.Context())
	t.Cleanup(load.Stop)
	return load
}

func TestTrafficAsksOnKeptAndNewConnections(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(InstanceHeader, "A")
		fmt.Fprintln(w, "A")
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	load := startTraffic(t, server.URL, 2)
	eventually.True(t, "50 requests", func() bool { return load.Tally().Requests >= 50 })
	load.Stop()

	tally := load.Tally()
	if tally.Failed != 0 || tally.Excused != 0 || tally.ByTarget["edge"].Requests != tally.Requests {
		t.Errorf("tally %+v, want nothing but good requests at edge", tally)
	}
	kept, fresh := 0, 0
	for _, r := range requestsOf(load) {
		if r.Server != "A" || r.Status != http.StatusOK || r.Took <= 0 || r.Began.IsZero() {
			t.Fatalf("request %+v", r)
		}
		if r.KeepAlive {
			kept++
		} else {
			fresh++
		}
	}
	if kept == 0 || fresh == 0 || int(opened.Load()) != fresh+1 {
		t.Errorf("%d requests on kept connections, %d on new ones, %d connections opened: want one connection for all of the first", kept, fresh, opened.Load())
	}
}

func TestTrafficCountsEveryFailure(t *testing.T) {
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	tests := map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"404": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"no answer": func(w http.ResponseWriter, _ *http.Request) {
			hangUp(w)
		},
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			hangUp(w)
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 7 {
					answer(w, r)
					return
				}
				fmt.Fprintln(w, "fine")
			}))
			defer server.Close()
			load := startTraffic(t, server.URL, 2)
			eventually.True(t, "20 requests", func() bool { return load.Tally().Requests >= 20 })
			load.Stop()
			if tally := load.Tally(); tally.Failed != 1 || len(tally.Failures) != 1 {
				t.Errorf("%d failed, %d kept of them; want the one", tally.Failed, len(tally.Failures))
			}
		})
	}
}

// A connection that is closed between two requests is a failure too: a client
// that repeats would hide it.
func TestTrafficRepeatsNothing(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_ = conn.Close()
	}))
	defer server.Close()
	load := startTraffic(t, server.URL, 2)
	eventually.True(t, "a failure on a kept connection", func() bool { return load.Tally().Failed > 0 })
	load.Stop()
	for _, r := range requestsOf(load) {
		if r.Failed() && !r.KeepAlive {
			t.Errorf("failed on a new connection: %s", r)
		}
	}
}

func TestTrafficExcusesADeadTarget(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	load := startTraffic(t, server.URL, 4)
	eventually.True(t, "10 requests", func() bool { return load.Tally().Requests >= 10 })
	end := load.OpenWindow("edge")
	server.Close()
	eventually.True(t, "10 failures in the window", func() bool { return load.Tally().Excused >= 10 })
	if failed := load.Tally().Failed; failed != 0 {
		t.Errorf("%d failed within the window", failed)
	}
	if w := end(); w.Target != "edge" || !w.To.After(w.From) {
		t.Errorf("window %+v", w)
	}
	eventually.True(t, "a failure after the window", func() bool { return load.Tally().Failed > 0 })
}

func TestTrafficStopLetsRequestsFinish(t *testing.T) {
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-answer
	}))
	defer server.Close()
	load := startTraffic(t, server.URL, 1)
	<-asked
	stopped := make(chan struct{})
	go func() { load.Stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("stopped while a request was under way")
	case <-load.stop:
	}
	close(answer)
	<-stopped
	if tally := load.Tally(); tally.Requests != 1 || tally.Failed != 0 {
		t.Errorf("tally %+v, want the one request that was under way", tally)
	}
}

func TestTally(t *testing.T) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return base.Add(time.Duration(s) * time.Second) }
	request := func(began, took, status int, err error) Request {
		return Request{Target: "edge-1", Began: at(began), Took: time.Duration(took) * time.Second, Status: status, Err: err}
	}
	broken := errors.New("connection reset by peer")
	window := []Window{{Target: "edge-1", From: at(10), To: at(20)}}
	tests := []struct {
		name    string
		request Request
		windows []Window
		want    Count
	}{
		{"served", request(1, 1, 200, nil), nil, Count{1, 0, 0}},
		{"redirected", request(1, 1, 302, nil), nil, Count{1, 0, 0}},
		{"503", request(1, 1, 503, nil), nil, Count{1, 1, 0}},
		{"404", request(1, 1, 404, nil), nil, Count{1, 1, 0}},
		{"broken", request(1, 1, 0, broken), nil, Count{1, 1, 0}},
		{"broken after its status", request(1, 1, 200, broken), nil, Count{1, 1, 0}},
		{"no answer at all", request(1, 1, 0, nil), nil, Count{1, 1, 0}},
		{"served by a dead one", request(12, 1, 200, nil), window, Count{1, 0, 0}},
		{"broken before the window", request(8, 1, 0, broken), window, Count{1, 1, 0}},
		{"broken by the kill", request(9, 2, 0, broken), window, Count{1, 0, 1}},
		{"broken within the window", request(12, 1, 0, broken), window, Count{1, 0, 1}},
		{"began within, failed after", request(19, 5, 503, nil), window, Count{1, 0, 1}},
		{"broken after the window", request(20, 1, 0, broken), window, Count{1, 1, 0}},
		{"window still open", request(99, 1, 0, broken), []Window{{Target: "edge-1", From: at(10)}}, Count{1, 0, 1}},
		{"window of another", request(12, 1, 0, broken), []Window{{Target: "edge-2", From: at(10), To: at(20)}}, Count{1, 1, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var tally Tally
			tally.Add(test.request, test.windows)
			if tally.Count != test.want || tally.ByTarget["edge-1"] != test.want || len(tally.Failures) != test.want.Failed {
				t.Errorf("got %+v, want %+v", tally, test.want)
			}
		})
	}
}

func TestTallyKeepsTheFirstFailures(t *testing.T) {
	var tally Tally
	for i := range 3 * maxFailuresKept {
		tally.Add(Request{Target: "edge", Status: 500 + i}, nil)
	}
	if len(tally.Failures) != maxFailuresKept || tally.Failures[0].Status != 500 || tally.Failed != 3*maxFailuresKept {
		t.Errorf("%d kept of %d, the first with status %d", len(tally.Failures), tally.Failed, tally.Failures[0].Status)
	}
}
