package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// do runs nomad and returns what it printed.
func (w *nomadWorld) do(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("nomad %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w *nomadWorld) try(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(haproxytest.Deps(w.t), "nomad", "nomad"), args...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run submits a job, with edits to its text, and does not wait for it.
func (w *nomadWorld) run(text string, edits ...string) {
	w.t.Helper()
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			w.t.Fatalf("the job has no %s", edits[i])
		}
	}
	file := filepath.Join(w.dir, "job.hcl")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(edits...).Replace(text)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.do("job", "run", "-detach", file)
}

// allocs are the allocations of a job that are to run and do.
func (w *nomadWorld) allocs(job string) (ids []string) {
	list, _, err := w.nomad.Jobs().Allocations(job, false, nil)
	if err != nil {
		return nil
	}
	for _, a := range list {
		if a.DesiredStatus == "run" && a.ClientStatus == "running" {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// alloc waits for the only allocation of a job.
func (w *nomadWorld) alloc(t *testing.T, job string) string {
	t.Helper()
	var ids []string
	eventually(t, time.Minute, func() string {
		if ids = w.allocs(job); len(ids) != 1 {
			return fmt.Sprintf("%d allocations of %s run\n%s", len(ids), job, w.explain(job))
		}
		return ""
	})
	return ids[0]
}

// explain says how a job is doing, for a test that fails.
func (w *nomadWorld) explain(job string) string {
	list, _, err := w.nomad.Jobs().Allocations(job, true, nil)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "%s %s %s\n", a.ID, a.ClientStatus, a.ClientDescription)
		for task, state := range a.TaskStates {
			for _, e := range state.Events[max(0, len(state.Events)-4):] {
				fmt.Fprintf(&b, "  %s: %s %s\n", task, e.Type, e.DisplayMessage)
			}
		}
	}
	return b.String()
}

// socket is HAProxy's in an allocation.
func (w *nomadWorld) socket(alloc string) string {
	return filepath.Join(w.dir, "a", alloc, "alloc", "haproxy.sock")
}

// file sets a key in Consul from an example, with edits.
func (w *nomadWorld) file(key, path string, edits ...string) {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = w.kv.KV().Put(&consulapi.KVPair{Key: key, Value: []byte(strings.NewReplacer(edits...).Replace(string(text)))}, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// serving waits until n instances of web are registered, all of the last version, and returns
// their addresses.
func (w *nomadWorld) serving(t *testing.T, n int, tag string) (addrs []string) {
	t.Helper()
	eventually(t, 3*time.Minute, func() string {
		list, _, err := w.kv.Health().Service("web", tag, true, nil)
		if err != nil {
			return err.Error()
		}
		addrs = nil
		for _, e := range list {
			if e.Service.Meta["version"] == strconv.Itoa(w.version) {
				addrs = append(addrs, fmt.Sprintf("%s:%d", e.Service.Address, e.Service.Port))
			}
		}
		if len(addrs) != n || len(list) != n {
			return fmt.Sprintf("%d of %d instances are of version %d, want %d\n%s", len(addrs), len(list), w.version, n, w.explain("web"))
		}
		return ""
	})
	return addrs
}

// pidsOf are the processes of that name in this name space.
func pidsOf(name string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, file := range files {
		var pid int
		if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == name {
			if _, err := fmt.Sscanf(file, "/proc/%d/comm", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// statusOf asks an agent in an allocation through its socket.
func (w *nomadWorld) statusOf(alloc string) (s struct {
	Ready bool `json:"ready"`
}, err error) {
	out, err := w.try("alloc", "exec", "-i=false", "-t=false", "-task", "slotsync", alloc, "/usr/local/bin/slotsync", "status", "--agent", "unix:///alloc/slotsync.sock", "-o", "json")
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, out)
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// webserver is one instance of a service, as a task of Nomad: it finishes what runs when it
// is told to stop.
func webserver() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	name := os.Getenv("NOMAD_ALLOC_ID")
	s := &http.Server{Addr: os.Getenv("NOMAD_ADDR_http"), ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(traffic.InstanceHeader, name)
		_, _ = fmt.Fprintln(w, name)
	})}
	done := make(chan error, 1)
	go func() { done <- s.ListenAndServe() }()
	select {
	case err := <-done:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case <-ctx.Done():
	}
	_ = s.Shutdown(context.Background())
}

// slotsync runs a command of this program.
func slotsync(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("slotsync", args...).CombinedOutput(); err != nil {
		t.Fatalf("slotsync %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// tryLive asks whether an agent lives.
func tryLive(socket string) error {
	return exec.Command("slotsync", "health", "--live", "--agent", "unix://"+socket).Run()
}
