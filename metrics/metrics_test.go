package metrics_test

import (
	"errors"
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
		Kinds:   []string{"fill", "empty"}, Overrides: []string{"state", "weight"},
	}), reg
}

// scope is a snapshot that names these and says nothing of them; each of the backends is on
// the instances on.
func scope(instances []string, sources []metrics.SourceKey, on ...string) metrics.Snapshot {
	s := metrics.Snapshot{
		Instances: map[string]metrics.Instance{}, Proxies: map[string]metrics.Proxy{},
		Sources: map[metrics.SourceKey]metrics.Source{}, Slots: map[metrics.SlotsKey]metrics.Slots{},
	}
	for _, name := range instances {
		s.Instances[name] = metrics.Instance{}
	}
	for _, k := range sources {
		s.Sources[k], s.Proxies[k.Proxy] = metrics.Source{}, metrics.Proxy{}
		for _, name := range on {
			s.Slots[metrics.SlotsKey{HAProxy: name, Proxy: k.Proxy}] = metrics.Slots{}
		}
	}
	return s
}

// track has m speak of s.
func track(m *metrics.Metrics, s metrics.Snapshot) {
	m.Track(s)
	m.SnapshotFrom(func() (metrics.Snapshot, error) { return s, nil })
}

func small() metrics.Snapshot {
	return scope([]string{"edge-1"}, []metrics.SourceKey{{"consul", "web"}}, "edge-1")
}

// busy is small when everything is other than 0.
func busy() metrics.Snapshot {
	return metrics.Snapshot{
		Instances: map[string]metrics.Instance{"edge-1": {Up: true, Lag: 1500 * time.Millisecond, ReloadFailed: true, StateFileFailing: true}},
		Proxies: map[string]metrics.Proxy{"web": {
			Held: map[string]bool{"removal": true}, Overrides: map[string]int{"weight": 2},
			Overflow: 4, Paused: true, ReloadNeeded: true,
		}},
		Sources: map[metrics.SourceKey]metrics.Source{{"consul", "web"}: {
			Answered: time.Unix(1700000000, 500e6), Endpoints: map[string]int{"ready": 3, "drain": 1, "rejected": 2}, Kept: 2,
		}},
		Slots: map[metrics.SlotsKey]metrics.Slots{{"edge-1", "web"}: {
			States: map[string]int{"free": 6, "ready": 3, "drain": 1}, Overflow: 5, External: 1, Conflicts: 1,
		}},
		Named:        map[metrics.NamedSlot]bool{{"web", "web1", "10.0.0.1:80", "web-1"}: true},
		StateFailing: true,
	}
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
	m.SourceFailed("consul", "web", "server")
	m.Rejected("consul", "web", "multicast")
	m.Rejected("consul", "web", "multicast")
	m.Drift("edge-1", "web", "fill", 3)
	m.Restarted("edge-1")
	m.HAProxyReloaded("edge-1", "overflow", "ok")
	m.Commands("edge-1", "addr", "ok", 7)
	m.Round("edge-1", 3*time.Millisecond)
	m.Propagated("edge-1", 12*time.Millisecond)
}

func TestExposition(t *testing.T) {
	m, reg := newMetrics(t)
	golden(t, "untracked.txt", exposition(t, reg))
	track(m, small())
	golden(t, "start.txt", exposition(t, reg))
	track(m, busy())
	everyVerb(m)
	golden(t, "running.txt", exposition(t, reg))
}

func TestLint(t *testing.T) {
	m, reg := newMetrics(t)
	track(m, busy())
	everyVerb(m)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestNoSnapshotFailsTheScrape: an agent that cannot say how things are must not look well.
func TestNoSnapshotFailsTheScrape(t *testing.T) {
	m, reg := newMetrics(t)
	track(m, busy())
	m.SnapshotFrom(func() (metrics.Snapshot, error) { return metrics.Snapshot{}, errors.New("the loop is busy") })
	w := httptest.NewRecorder()
	metrics.Handler(reg).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "the loop is busy") {
		t.Errorf("GET /metrics = %d: %s", w.Code, w.Body)
	}
}

func TestTrackDeletes(t *testing.T) {
	web, api := metrics.SourceKey{Source: "consul", Proxy: "web"}, metrics.SourceKey{Source: "dns", Proxy: "api"}
	both, sources := []string{"edge-1", "edge-2"}, []metrics.SourceKey{web, api}
	tests := []struct {
		name string
		next metrics.Snapshot
		gone []string
		kept []string
	}{
		{"backend", scope(both, sources[:1], both...), []string{`"api"`, `"dns"`}, []string{`"web"`, `"edge-1"`, `"edge-2"`}},
		{"instance", scope(both[:1], sources, "edge-1"), []string{`"edge-2"`}, []string{`"edge-1"`, `"web"`, `"api"`}},
		{"backend of one instance", scope(both, sources, "edge-1"),
			[]string{`haproxy="edge-2",kind=`, `haproxy="edge-2",proxy=`}, []string{`haproxy="edge-1",proxy="web"`, `instance_up{haproxy="edge-2"}`}},
		{"source", scope(both, []metrics.SourceKey{web, {Source: "files", Proxy: "api"}}, both...),
			[]string{`"dns"`}, []string{`source="files"`, `kind="a kind that is not listed",proxy="api"} 2`}},
		{"everything", metrics.Snapshot{}, []string{`proxy=`, `haproxy=`}, []string{"slotsync_state_write_errors_total 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, reg := newMetrics(t)
			track(m, scope(both, sources, both...))
			touch := func() {
				m.SourceFailed("dns", "api", "server")
				m.Rejected("dns", "api", "a reason that is not listed")
				m.Commands("edge-2", "show", "ok", 1)
				m.Drift("edge-2", "api", "a kind that is not listed", 1)
			}
			touch()
			track(m, tt.next)
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
	track(m, busy())
	everyVerb(m)
	before := exposition(t, reg)
	track(m, busy())
	if diff := cmp.Diff(before, exposition(t, reg)); diff != "" {
		t.Errorf("the same scope changed something (-before +after):\n%s", diff)
	}
}

func TestCountersNeverFall(t *testing.T) {
	m, reg := newMetrics(t)
	track(m, small())
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
			track(m, busy())
			track(m, metrics.Snapshot{})
		}
	})
	wg.Wait()
	if text := exposition(t, reg); strings.Contains(text, `proxy="web"`) {
		t.Errorf("a series outlived its backend:\n%s", text)
	}
}
