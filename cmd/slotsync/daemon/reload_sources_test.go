package daemon

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
)

// A plainConsul answers plain reads with one instance, and lets blocking queries
// wait.
type plainConsul struct {
	url string

	mu    sync.Mutex // guards following
	plain map[string]int
}

func newPlainConsul(t *testing.T) *plainConsul {
	c := &plainConsul{plain: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-KnownLeader", "true")
		w.Header().Set("X-Consul-LastContact", "0")
		if r.FormValue("index") != "" {
			<-r.Context().Done()
			return
		}
		c.mu.Lock()
		c.plain[strings.TrimPrefix(r.URL.Path, "/v1/health/service/")]++
		c.mu.Unlock()
		fmt.Fprint(w, `[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"w","Service":"w","Port":80},"Checks":[]}]`)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// reads waits until a service was read plainly, and returns how often all were.
func (c *plainConsul) reads(t *testing.T, service string) string {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(10 * time.Second); ; {
		c.mu.Lock()
		n, all := c.plain[service], fmt.Sprint(c.plain)
		c.mu.Unlock()
		if n > 0 {
			return all
		}
		select {
		case <-deadline:
			t.Fatalf("%s is not asked for: %s", service, all)
		case <-ticker.C:
		}
	}
}

// Over a reload a watch begins anew only if what it asks for has changed: the
// others keep their query, and with it their place at the Consul agent.
func TestC39WatchesGoOnOverReloads(t *testing.T) {
	fake := newPlainConsul(t)
	text := fmt.Sprintf("haproxy: {timeout: 100ms, instances: [{name: e, socket: %s/none.sock}]}\nsources: [{name: s, type: consul, address: '%s'}]\n"+
		"backends: [{name: w, source: s, service: w}, {name: v, from: [{source: s, service: v}, {source: s, name: far, service: far, datacenter: far}]}]\n", t.TempDir(), fake.url)
	open := systems{}
	options := func(text string) agent.Options {
		cfg := configOf(t, text)
		w, err := Wire(cfg, open)
		if err != nil {
			t.Fatal(err)
		}
		open = w.Systems
		_, m := NewMetrics("test")
		o := agentOptions(cfg, w, slog.New(slog.DiscardHandler), m)
		o.StateDir = ""
		return o
	}
	a, err := agent.New(options(text))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(t.Context()) }) // always nil
	t.Cleanup(running.Wait)
	for _, service := range []string{"w", "v", "far"} {
		fake.reads(t, service)
	}
	for _, change := range [][2]string{
		{"service: far", "service: near"},
		{"source: s, service: w}", "source: s, service: w, leave: drain, guard: {window: 1m}}"},
		{"backends: [", "backends: [{name: u, source: s, service: u}, "},
	} {
		text = strings.Replace(text, change[0], change[1], 1)
		if err := a.Reconfigure(t.Context(), options(text)); err != nil {
			t.Fatal(err)
		}
	}
	fake.reads(t, "near")
	if got := fake.reads(t, "u"); got != "map[far:1 near:1 u:1 v:1 w:1]" {
		t.Errorf("plain reads: %s", got)
	}
}
