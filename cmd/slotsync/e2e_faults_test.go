package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/slots/reload"
)

// TestReloadStepsFail lets every step of a reload fail on a real HAProxy that a
// service outgrows: it goes on serving what it served, its file is valid, and the
// report names the step.
func TestReloadStepsFail(t *testing.T) {
	t.Parallel()
	broken := func(text string) string { return text + "\nbackend broken\n  no such word\n" }
	// the master of 3.4.7 ends at what it cannot parse itself, as the line above
	refused := func(text string) string { return text + "\nbackend broken\n  nonsense\n" }
	for _, c := range []struct {
		name    string
		step    reload.Step
		with    func(template string) string
		noCheck bool
		command []string
		once    bool // it does not get to HAProxy, whose version does not matter
	}{
		{name: "template", step: reload.StepRender, with: func(text string) string { return text + `{{slots "nobody"}}` }, once: true},
		{name: "check", step: reload.StepCheck, with: broken},
		{name: "master refuses", step: reload.StepReload, with: refused, noCheck: true},
		{name: "command fails", step: reload.StepReload, command: []string{"false"}, once: true},
		{name: "command is missing", step: reload.StepReload, command: []string{"/nonexistent/reload"}, once: true},
		{name: "command hangs", step: reload.StepReload, command: []string{"sleep", "60"}, once: true},
		{name: "no new worker", step: reload.StepWorker, command: []string{"true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			versions := haproxytest.Versions[:]
			if c.once {
				versions = versions[len(versions)-1:]
			}
			eachOf(t, versions, func(t *testing.T, version string) {
				e := newManagedEdge(t, version, "edge")
				o := e.options(t)
				o.Timeout = 2 * time.Second
				if c.with != nil {
					text, err := os.ReadFile(o.Template)
					if err == nil {
						err = os.WriteFile(o.Template, []byte(c.with(string(text))), 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if c.noCheck {
					o.Check = nil
				}
				if c.command != nil {
					o.Reloader = reload.Command(c.command)
				}
				failsAt(t, e, o, c.step)
			})
		})
	}
}

// failsAt has a service outgrow e, whose reload is to fail at a step.
func failsAt(t *testing.T, e *managedEdge, o reload.Options, step reload.Step) {
	t.Helper()
	fleet := newFleet(t, time.Minute, outgrownSlots)
	tx, err := reload.New(o)
	if err != nil {
		t.Fatal(err)
	}
	backend := backendOf(fleet.source)
	backend.Prefix = "web"
	r := newRig(t, nil, backend)
	r.opts.Instances = []agent.Instance{e.instance(t)}
	r.opts.Reloads = []agent.Reload{{Name: "edge", Instances: []string{"edge"}, Transaction: tx}}
	r.start()
	eventually(t, 20*time.Second, func() string { return r.inStep(outgrownSlots) })
	served, worker := ready(t, e.Socket, "web"), e.Worker()
	load, stop := startLoad(t, 2, 20*time.Millisecond, e.target())
	fleet.listed = append(fleet.listed, fleet.start())
	fleet.source.Set(fleet.Endpoints())
	var s api.ReloadStatus
	eventually(t, 30*time.Second, func() string {
		if s = r.agent.Status().Reloads[0]; s.Error == "" {
			return "no reload has failed"
		}
		return ""
	})
	stop()
	if s.Step != string(step) || !strings.Contains(s.Error, string(step)) {
		t.Errorf("failed at %q, want %q: %s", s.Step, step, s.Error)
	}
	if got := ready(t, e.Socket, "web"); strings.Join(got, " ") != strings.Join(served, " ") || e.Worker() != worker {
		t.Errorf("worker %d serves %v, before it was %d and %v", e.Worker(), got, worker, served)
	}
	if a := load.Account(); a.Failed > 0 {
		t.Errorf("%d requests failed: %v", a.Failed, a.Failures)
	}
	if out, err := exec.CommandContext(t.Context(), haproxytest.Binary(t, e.Config.Version), "-c", "-f", e.File()).CombinedOutput(); err != nil {
		t.Errorf("the file is no good: %v\n%s", err, out)
	}
	if n := r.agent.Status().Backends[0].NeedReload; n == nil || !n.Latched {
		t.Errorf("need %+v", n)
	}
}

// options are those of the reload of e.
func (e *managedEdge) options(t *testing.T) reload.Options {
	t.Helper()
	master, err := haproxy.NewMaster(e.Master, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	client, err := haproxy.New(haproxy.Options{Socket: e.Socket})
	if err != nil {
		t.Fatal(err)
	}
	return reload.Options{
		Template: e.template(t), File: e.File(), Dir: t.TempDir(), Timeout: 10 * time.Second,
		Check:    []string{haproxytest.Binary(t, e.Config.Version), "-c", "-f", "{{.File}}"},
		Reloader: master, Instances: []reload.Instance{daemon.Process{Instance: e.name, Client: client}},
	}
}

// TestReloadCutShort ends the agent in the middle of a reload and starts it again:
// HAProxy serves all the time, and in the end everything that is listed.
func TestReloadCutShort(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		for range share(10) {
			cutShort(t, version)
		}
	})
}

func cutShort(t *testing.T, version string) {
	t.Helper()
	e := newManagedEdge(t, version, "edge")
	fleet := newFleet(t, time.Minute, outgrownSlots+5)
	o := e.options(t)
	dir, again := t.TempDir(), make(chan struct{})
	begun := func() *rig {
		tx, err := reload.New(o)
		if err != nil {
			t.Fatal(err)
		}
		backend := backendOf(newListing(fleet.Endpoints()...))
		backend.Prefix = "web"
		r := newRig(t, nil, backend)
		r.opts.StateDir, r.opts.Instances = dir, []agent.Instance{e.instance(t)}
		r.opts.Reloads = []agent.Reload{{Name: "edge", Instances: []string{"edge"}, Transaction: tx}}
		return r
	}
	// the transaction ends half way: its context is gone, as the process would be
	o.Reloader = cut{o.Reloader, again}
	r := begun()
	r.start()
	eventually(t, 20*time.Second, func() string {
		if n := len(ready(t, e.Socket, "web")); n < outgrownSlots {
			return fmt.Sprintf("%d slots are ready", n)
		}
		return ""
	})
	load, stop := startLoad(t, 2, 20*time.Millisecond, e.target())
	select {
	case <-again:
	case <-time.After(20 * time.Second):
		t.Fatal("no reload has begun")
	}
	r.stop()
	o.Reloader = o.Reloader.(cut).Reloader
	r = begun()
	r.start()
	eventually(t, 30*time.Second, func() string { return allServe(t, []*managedEdge{e}, fleet.Endpoints()) })
	stop()
	if a := load.Account(); a.Failed > 0 {
		t.Errorf("%d requests failed: %v", a.Failed, a.Failures)
	}
}

// A cut reloader says that it was asked, and then waits until it is over.
type cut struct {
	reload.Reloader
	asked chan struct{}
}

// Reload never comes to an end.
func (c cut) Reload(ctx context.Context) (string, error) {
	close(c.asked)
	<-ctx.Done()
	return "", ctx.Err()
}
