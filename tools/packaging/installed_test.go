package packaging_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A step is one of those that a machine is walked through.
type step struct {
	name string
	do   func(*machine)
}

// walk takes one step after the other, up to the first that fails.
func (m *machine) walk(steps []step) {
	for _, step := range steps {
		if !m.whole.Run(step.name, func(t *testing.T) {
			m.t = t
			defer func() { m.t = m.whole }()
			step.do(m)
		}) {
			m.whole.Fatal(m.journal())
		}
	}
}

// buildProgram returns a slotsync of that version, as make build makes it.
func buildProgram(t *testing.T, version string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "slotsync")
	build := exec.Command("make", "-s", "-C", "../..", "build", "BIN="+binary, "VERSION="+version)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	return binary
}

// status is what slotsync says of itself.
func (m *machine) status() (s api.Status) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.run("slotsync", "status", "-o", "json")), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// property is one of the unit's.
func (m *machine) property(name string) string {
	m.t.Helper()
	return m.run("systemctl", "show", "--value", "-p", name, "slotsync")
}

// said waits until the unit's status text contains that.
func (m *machine) said(text string) {
	m.t.Helper()
	m.eventually("the unit's status says "+text, func() bool { return strings.Contains(m.property("StatusText"), text) })
}

// synced waits until every slot of HAProxy is as it should be, of that many.
func (m *machine) synced(count int) {
	m.t.Helper()
	m.eventually(fmt.Sprintf("%d slots are in sync", count), func() bool {
		out, err := m.try("slotsync", "status", "-o", "json")
		var s api.Status
		if err != nil || json.Unmarshal([]byte(out), &s) != nil || len(s.Instances) != 1 || len(s.Backends) != 1 {
			return false
		}
		return s.Instances[0].InSync && len(s.Backends[0].Slots) == count
	})
}

// drain drains the second server, with a reason.
func (m *machine) drain() {
	m.t.Helper()
	const second = "127.9.0.2:8080"
	m.eventually("the source has listed "+second, func() bool {
		return slices.ContainsFunc(m.status().Backends[0].Endpoints, func(e discovery.Endpoint) bool { return e.Addr.String() == second })
	})
	m.run("slotsync", "server", "drain", "web/"+second, "--reason", "kernel update")
}

// wantDrained: the drain is in force, and HAProxy shows it.
func (m *machine) wantDrained() {
	m.t.Helper()
	for _, slot := range m.status().Backends[0].Slots {
		if slot.Endpoint != "127.9.0.2:8080" {
			continue
		}
		if !strings.Contains(slot.Override, "kernel update") || slot.Instances[0].State != slots.Drain {
			m.t.Errorf("%+v, want it drained", slot)
		}
		return
	}
	m.t.Error("the drained server is in no slot")
}
