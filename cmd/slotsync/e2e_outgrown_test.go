package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/slots/reload"
)

const (
	outgrownSlots  = 20
	outgrownAtOnce = 60
)

// TestOutgrown lets 60 servers come where 20 slots are, under load: all of them
// serve, through servers that are added, or after one reload of each HAProxy,
// and no request fails.
func TestOutgrown(t *testing.T) {
	for _, dynamic := range []bool{true, false} {
		name := "reload"
		if dynamic {
			name = "dynamic"
		}
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version string) { outgrow(t, version, dynamic) })
		})
	}
}

func outgrow(t *testing.T, version string, dynamic bool) {
	fleet := newFleet(t, time.Minute, 10)
	backend := backendOf(fleet.source)
	backend.Dynamic, backend.DynamicOptions, backend.Prefix = dynamic, "check inter 2s", "web"
	r := newRig(t, nil, backend)
	var edges []*managedEdge
	var targets []traffic.Target
	for i := range 2 {
		e := newManagedEdge(t, version, fmt.Sprintf("edge-%d", i+1))
		edges = append(edges, e)
		targets = append(targets, e.target())
		r.opts.Instances = append(r.opts.Instances, e.instance(t))
		r.opts.Reloads = append(r.opts.Reloads, e.reload(t))
	}
	r.start()
	eventually(t, 20*time.Second, func() string { return r.inStep(10) })
	before := workers(edges)
	load, stop := startLoad(t, 4, 20*time.Millisecond, targets...)
	for len(fleet.listed) < outgrownAtOnce {
		fleet.listed = append(fleet.listed, fleet.start())
	}
	fleet.source.Set(fleet.Endpoints())
	start := time.Now()
	eventually(t, 60*time.Second, func() string { return allServe(t, edges, fleet.Endpoints()) })
	took := time.Since(start)
	during(t, 3*time.Second, func() string { return allServe(t, edges, fleet.Endpoints()) })
	stop()
	for i, s := range r.agent.Status().Reloads {
		want := 1
		if dynamic {
			want = 0
		}
		if s.InHour != want || s.Error != "" || dynamic != (edges[i].Worker() == before[i]) {
			t.Errorf("%s: %d reloads, want %d: %s", s.Name, s.InHour, want, s.Error)
		}
	}
	eventually(t, 15*time.Second, func() string { return r.inStep(outgrownAtOnce) })
	load.reaches(t, 500)
	a := load.Account()
	t.Logf("%s, dynamic %v: %d servers behind %d slots were in service after %s; of %d requests %d were repeated because a kept connection was closed, %d failed",
		version, dynamic, outgrownAtOnce, outgrownSlots, took.Round(time.Millisecond), a.Requests, a.Repeated, a.Failed)
	if a.Failed > 0 {
		t.Errorf("of %d requests %d failed:\n%s", a.Requests, a.Failed, strings.Join(a.Failures, "\n"))
	}
}

func workers(edges []*managedEdge) []int {
	var out []int
	for _, e := range edges {
		out = append(out, e.Worker())
	}
	return out
}

// allServe says which of the HAProxys does not serve exactly eps.
func allServe(t *testing.T, edges []*managedEdge, eps []discovery.Endpoint) string {
	for _, e := range edges {
		if wrong := newReader(t, e.Socket).Differs(t.Context(), eps); wrong != "" {
			return e.name + ": " + wrong
		}
	}
	return ""
}

// A managedEdge is an edge whose configuration is rendered.
type managedEdge struct{ *edge }

func newManagedEdge(t *testing.T, version, name string) *managedEdge {
	t.Helper()
	frontend := fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t))
	text := strings.Replace(fmt.Sprintf(edgeText, frontend, checkPath), "1-100", fmt.Sprintf("1-%d", outgrownSlots), 1)
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Text: text})
	return &managedEdge{&edge{Process: p, name: name, frontend: frontend}}
}

// template is the configuration as it is, with as many slots as are needed.
func (e *managedEdge) template(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(e.File())
	if err != nil {
		t.Fatal(err)
	}
	rendered := strings.Replace(string(text), fmt.Sprintf("1-%d", outgrownSlots), `1-{{slots "web"}}`, 1)
	path := filepath.Join(t.TempDir(), "haproxy.cfg.tmpl")
	if err := os.WriteFile(path, []byte(rendered), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (e *managedEdge) reload(t *testing.T) agent.Reload {
	t.Helper()
	tx, err := reload.New(e.options(t))
	if err != nil {
		t.Fatal(err)
	}
	return agent.Reload{Name: e.name, Key: e.name, Instances: []string{e.name}, Transaction: tx, MinInterval: time.Second, MaxPerHour: 10}
}
