package metrics_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/slotsync/slotsync/metrics"
)

func newMetrics(t *testing.T) (*metrics.Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	return metrics.New(reg, "1.2.3", metrics.Lists{
		Classes: []string{"transport", "server"},
		Reasons: []string{"bad_port", "multicast"},
		Kinds:   []string{"fill", "empty"},
	}), reg
}

func everywhere(names ...string) func(string) []string {
	return func(string) []string { return names }
}

// exposition is what a server is told of our own metrics.
func exposition(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(reg).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("GET /metrics = %d: %s", w.Code, w.Body)
	}
	var own strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if !strings.Contains(line, "slotsync_") {
			continue
		}
		if strings.HasPrefix(line, "slotsync_build_info{") {
			line = `slotsync_build_info{goversion="…",version="1.2.3"} 1` + "\n"
		}
		own.WriteString(line)
	}
	return own.String()
}

// golden compares got with testdata/name; UPDATE_GOLDEN=1 writes it instead.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func everyVerb(m *metrics.Metrics) {
	m.Reloaded(true)
	m.StateWriteFailed()
	m.SourceAnswered("consul", "web", time.Unix(1700000000, 500e6), map[string]int{"ready": 3, "drain": 1, "rejected": 2})
	m.SourceFailed("consul", "web", "server")
	m.Rejected("consul", "web", "multicast", 2)
	m.Kept("consul", "web", 2)
	m.Held("web", "removal", true)
	m.Overflow("web", 4)
	m.Paused("web", true)
	m.ReloadNeeded("web", true)
	m.Slots("edge-1", "web", map[string]int{"free": 6, "ready": 3, "drain": 1})
	m.InstanceOverflow("edge-1", "web", 5)
	m.ExternalHeld("edge-1", "web", 1)
	m.Drift("edge-1", "web", "fill", 3)
	m.Instance("edge-1", true, false, 1500*time.Millisecond)
	m.Restarted("edge-1")
	m.HAProxyReloaded("edge-1", "overflow", "ok")
	m.Commands("edge-1", "addr", "ok", 7)
	m.Round("edge-1", 3*time.Millisecond)
	m.Propagated("edge-1", 12*time.Millisecond)
}

func TestExposition(t *testing.T) {
	m, reg := newMetrics(t)
	golden(t, "untracked.txt", exposition(t, reg))
	m.Track([]string{"edge-1"}, []metrics.Pair{{"consul", "web"}}, everywhere("edge-1"))
	golden(t, "start.txt", exposition(t, reg))
	everyVerb(m)
	golden(t, "running.txt", exposition(t, reg))
}

func TestLint(t *testing.T) {
	m, reg := newMetrics(t)
	m.Track([]string{"edge-1"}, []metrics.Pair{{"consul", "web"}}, everywhere("edge-1"))
	everyVerb(m)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestTrackDeletes(t *testing.T) {
	web, api := metrics.Pair{Source: "consul", Proxy: "web"}, metrics.Pair{Source: "dns", Proxy: "api"}
	both := []string{"edge-1", "edge-2"}
	tests := []struct {
		name      string
		instances []string
		backends  []metrics.Pair
		on        func(string) []string
		gone      []string
		kept      []string
	}{
		{"backend", both, []metrics.Pair{web}, everywhere(both...), []string{`"api"`, `"dns"`}, []string{`"web"`, `"edge-1"`, `"edge-2"`}},
		{"instance", both[:1], []metrics.Pair{web, api}, everywhere("edge-1"), []string{`"edge-2"`}, []string{`"edge-1"`, `"web"`, `"api"`}},
		{"backend of one instance", both, []metrics.Pair{web, api}, everywhere("edge-1"),
			[]string{`haproxy="edge-2",proxy=`}, []string{`haproxy="edge-1",proxy="web"`, `instance_up{haproxy="edge-2"}`}},
		{"source", both, []metrics.Pair{web, {Source: "files", Proxy: "api"}}, everywhere(both...),
			[]string{`"dns"`}, []string{`source="files"`, `guard_held{kind="empty",proxy="api"} 1`}},
		{"everything", nil, nil, everywhere(), []string{`proxy=`, `haproxy=`}, []string{"slotsync_state_write_errors_total 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, reg := newMetrics(t)
			m.Track(both, []metrics.Pair{web, api}, everywhere(both...))
			touch := func() {
				m.SourceAnswered("dns", "api", time.Unix(1, 0), nil)
				m.Held("api", "empty", true)
				m.Slots("edge-2", "api", nil)
				m.Commands("edge-2", "show", "ok", 1)
				m.Drift("edge-2", "api", "a kind that is not listed", 1)
			}
			touch()
			m.Track(tt.instances, tt.backends, tt.on)
			touch() // as the last words of a worker that is ending
			text := exposition(t, reg)
			for _, s := range tt.gone {
				if strings.Contains(text, s) {
					t.Errorf("%s is still there:\n%s", s, text)
				}
			}
			for _, s := range tt.kept {
				if !strings.Contains(text, s) {
					t.Errorf("%s is missing:\n%s", s, text)
				}
			}
		})
	}
}

func TestTrackAgainKeepsCounts(t *testing.T) {
	m, reg := newMetrics(t)
	track := func() {
		m.Track([]string{"edge-1"}, []metrics.Pair{{"consul", "web"}}, everywhere("edge-1"))
	}
	track()
	everyVerb(m)
	before := exposition(t, reg)
	track()
	if diff := cmp.Diff(before, exposition(t, reg)); diff != "" {
		t.Errorf("the same scope changed something (-before +after):\n%s", diff)
	}
}

func TestCountersNeverFall(t *testing.T) {
	m, reg := newMetrics(t)
	m.Track([]string{"edge-1"}, []metrics.Pair{{"consul", "web"}}, everywhere("edge-1"))
	m.Commands("edge-1", "addr", "ok", -1)
	m.Drift("edge-1", "web", "fill", 0)
	if text := exposition(t, reg); !strings.Contains(text, `slotsync_commands_total{command="addr",haproxy="edge-1",result="ok"} 0`) {
		t.Error(text)
	}
}

func TestConcurrent(t *testing.T) {
	m, reg := newMetrics(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				everyVerb(m)
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			m.Track([]string{"edge-1"}, []metrics.Pair{{"consul", "web"}}, everywhere("edge-1"))
			m.Track(nil, nil, everywhere())
		}
	})
	wg.Wait()
	if text := exposition(t, reg); strings.Contains(text, `proxy="web"`) {
		t.Errorf("a series outlived its backend:\n%s", text)
	}
}
