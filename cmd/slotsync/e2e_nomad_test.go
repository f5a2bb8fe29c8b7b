package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// webJob is the service: its version, and more of its update.
const webJob = `job "web" {
  datacenters = ["dc1"]
  group "web" {
    count          = 20
    shutdown_delay = "3s"
    network {
      port "http" {}
    }
    update {
      max_parallel     = 5
      min_healthy_time = "1s"
      healthy_deadline = "1m"
      %[2]s
    }
    service {
      name        = "web"
      port        = "http"
      tags        = ["live"]
      canary_tags = ["canary"]
      meta { version = "%[1]d" }
      check {
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
      }
    }
    task "web" {
      driver = "raw_exec"
      config { command = "%[3]s/webserver" }
      env { VERSION = "%[1]d" }
      resources {
        cpu    = 10
        memory = 20
      }
    }
  }
}
`

// TestNomad runs the jobs of examples on a Nomad and a Consul with ACLs, and does to them
// what operators and machines do.
func TestNomad(t *testing.T) {
	if !inPrivate(t, "SLOTSYNC_NOMAD") {
		return
	}
	w := startNomad(t)
	w.file("edge/haproxy.cfg", "../../examples/nomad/haproxy.cfg")
	w.file("edge/slotsync.yaml", "../../examples/nomad/slotsync.yaml", "http://127.0.0.1:8500", w.consul.URL(), "service: web", "service: web\n    tags: [live]")
	w.run(example(t, "nomad"))
	w.web(1, "")
	edge := w.alloc(t, "edge")
	w.filled(t, edge, w.serving(t, 20, "live"))
	for _, part := range []struct {
		name string
		does func(t *testing.T, edge string, away func() func())
	}{
		{"rolling deploy", w.rolling}, {"canary", w.canary}, {"slotsync is restarted and killed", w.endSlotsync},
		{"HAProxy is restarted and killed", w.endHAProxy}, {"changed files", w.changedFiles},
	} {
		t.Run(part.name, func(t *testing.T) {
			underLoad(t, "127.0.0.1:8080", func(away func() func()) { part.does(t, edge, away) })
			if t.Failed() {
				out, _ := w.try("alloc", "logs", "-stderr", "-task", "slotsync", edge)
				t.Logf("slotsync: %s", out)
			}
		})
	}
	t.Run("two edges on one client", func(t *testing.T) { w.twoEdges(t, edge) })
	t.Run("Nomad's own services", w.nomadServices)
	t.Run("raw_exec", w.rawExec)
	t.Run("nothing is left", w.nothingLeft)
}

// example returns the job of an example.
func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/" + name + "/slotsync.nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// web deploys a version of the service.
func (w *nomadWorld) web(version int, more string) {
	w.t.Helper()
	w.version = version
	w.run(fmt.Sprintf(webJob, version, more, w.dir))
}

// filled waits until the HAProxy of an allocation has these in service.
func (w *nomadWorld) filled(t *testing.T, alloc string, addrs []string) {
	t.Helper()
	eventually(t, time.Minute, servesAgain(t, w.socket(alloc), addrs...))
}

// rolling replaces all instances, some at a time.
func (w *nomadWorld) rolling(t *testing.T, edge string, _ func() func()) {
	w.web(w.version+1, "")
	w.filled(t, edge, w.serving(t, 20, "live"))
}

// canary: one of the next version takes no traffic until it is promoted.
func (w *nomadWorld) canary(t *testing.T, edge string, _ func() func()) {
	before := w.serving(t, 20, "live")
	w.web(w.version+1, "canary = 1")
	canary := w.serving(t, 1, "canary")
	w.filled(t, edge, before)
	eventually(t, time.Minute, func() string {
		if out, err := w.try("job", "promote", "-detach", "web"); err != nil {
			return out // it is not healthy yet
		}
		return ""
	})
	after := w.serving(t, 20, "live")
	w.filled(t, edge, after)
	if !slices.Contains(after, canary[0]) {
		t.Errorf("the canary %s is not among %v", canary[0], after)
	}
}

// endSlotsync restarts it and kills it, again and again: HAProxy goes on, in the same
// allocation.
func (w *nomadWorld) endSlotsync(t *testing.T, edge string, _ func() func()) {
	haproxy := pidsOf("haproxy")
	w.do("alloc", "restart", "-task", "slotsync", edge)
	w.ready(t, edge)
	for range 3 {
		before := pidsOf("slotsync")
		if len(before) != 1 {
			t.Fatalf("%d slotsyncs", len(before))
		}
		if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func() string {
			if now := pidsOf("slotsync"); len(now) != 1 || now[0] == before[0] {
				return "slotsync has not been started again"
			}
			return ""
		})
		w.ready(t, edge)
	}
	if now := pidsOf("haproxy"); !slices.Equal(now, haproxy) || !slices.Equal(w.allocs("edge"), []string{edge}) {
		t.Errorf("HAProxy went with it: %v, not %v; allocations %v", now, haproxy, w.allocs("edge"))
	}
}

// ready waits until the agent in an allocation says that it is.
func (w *nomadWorld) ready(t *testing.T, edge string) {
	t.Helper()
	eventually(t, time.Minute, func() string { _, err := w.statusOf(edge); return wordsOf(err) })
}

// endHAProxy: it comes up filled.
func (w *nomadWorld) endHAProxy(t *testing.T, edge string, away func() func()) {
	want := w.serving(t, 20, "live")
	back := away()
	w.do("alloc", "restart", "-task", "haproxy", edge)
	w.filled(t, edge, want)
	back()
	back = away()
	for _, pid := range pidsOf("haproxy") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, func() string {
		if len(pidsOf("haproxy")) < 2 {
			return "HAProxy has not been started again\n" + w.explain("edge")
		}
		return ""
	})
	w.filled(t, edge, want)
	back()
}

// changedFiles: HAProxy is reloaded and slotsync reads its file again, both where they are;
// a bad file is refused and the old one stays.
func (w *nomadWorld) changedFiles(t *testing.T, edge string, _ func() func()) {
	want := w.serving(t, 20, "live")
	w.file("edge/haproxy.cfg", "../../examples/nomad/haproxy.cfg", "web 1-100", "web 1-120")
	slotsOf := func() string { return haproxytest.Ask(t, w.socket(edge), "show servers state web") }
	eventually(t, time.Minute, func() string {
		if !strings.Contains(slotsOf(), " web120 ") {
			return "HAProxy has not been reloaded"
		}
		return ""
	})
	w.filled(t, edge, want)
	w.file("edge/slotsync.yaml", "../../examples/nomad/slotsync.yaml", "backends:", "backend:")
	eventually(t, time.Minute, func() string {
		out := w.do("alloc", "logs", "-stderr", "-task", "slotsync", edge)
		if !strings.Contains(out, "the configuration is refused, the old one stays in force") {
			return "slotsync has not been told: " + out[max(0, len(out)-500):]
		}
		return ""
	})
	w.filled(t, edge, want)
	w.ready(t, edge)
	if !slices.Equal(w.allocs("edge"), []string{edge}) {
		t.Errorf("another allocation: %v", w.allocs("edge"))
	}
	w.file("edge/slotsync.yaml", "../../examples/nomad/slotsync.yaml", "http://127.0.0.1:8500", w.consul.URL())
}

// twoEdges: another allocation on the same client has the same paths, and a lock of its own.
func (w *nomadWorld) twoEdges(t *testing.T, edge string) {
	w.run(example(t, "nomad"), `job "edge"`, `job "edge-2"`, "static = 8080", "static = 8082")
	second := w.alloc(t, "edge-2")
	want := w.serving(t, 20, "live")
	w.filled(t, second, want)
	w.filled(t, edge, want)
	w.ready(t, second)
	w.ready(t, edge)
	w.do("job", "stop", "-purge", "edge-2")
}

// nomadServices: without Consul, by a workload identity, of which doctor does not complain.
func (w *nomadWorld) nomadServices(t *testing.T) {
	w.do("job", "stop", "-purge", "edge")
	w.do("var", "put", "-force", "nomad/jobs/edge", "haproxy=@../../examples/nomad-services/haproxy.cfg", "slotsync=@../../examples/nomad-services/slotsync.yaml")
	w.run(strings.NewReplacer(`job "web"`, `job "own"`, "count          = 20", "count = 3", "canary_tags", `provider = "nomad"
      canary_tags`, `["live"]`, `["http"]`, `meta { version = "1" }`, "").Replace(fmt.Sprintf(webJob, 1, "", w.dir)))
	w.run(example(t, "nomad-services"))
	edge := w.alloc(t, "edge")
	eventually(t, time.Minute, func() string {
		if n := len(w.allocs("own")); n != 3 {
			return w.explain("own")
		}
		return ""
	})
	eventually(t, time.Minute, func() string {
		if got := ready(t, w.socket(edge), "web"); len(got) != 3 {
			return fmt.Sprintf("%v are in service", got)
		}
		return ""
	})
	out, err := w.try("alloc", "exec", "-i=false", "-t=false", "-task", "slotsync", edge, "/usr/local/bin/slotsync", "doctor", "--config", "/local/slotsync.yaml")
	if err != nil || !strings.Contains(out, "workload identity") || strings.Contains(out, "refused") || strings.Contains(out, "chmod") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	w.do("job", "stop", "-purge", "own")
}

// rawExec: beside an HAProxy of the machine. What an operator asked for outlives the job.
func (w *nomadWorld) rawExec(t *testing.T) {
	p := haproxytest.Start(t, haproxytest.Config{Backends: []haproxytest.Backend{{Name: "web", Slots: 30}}})
	state := filepath.Join(w.dir, "state")
	agent := filepath.Join(w.dir, "slotsync.sock")
	w.file("edge/slotsync.yaml", "../../examples/nomad-raw-exec/slotsync.yaml", "/run/haproxy/admin.sock", p.Socket, "/var/lib/slotsync", state,
		"http://127.0.0.1:8500", w.consul.URL(), "state_dir:", "http: {socket: "+agent+", listen: \"\"}\nstate_dir:")
	job := example(t, "nomad-raw-exec")
	w.run(job, "/usr/local/bin/slotsync", w.dir+"/bin/slotsync")
	want := w.serving(t, 20, "live")
	eventually(t, time.Minute, servesAgain(t, p.Socket, want...))
	if _, err := os.Stat(filepath.Join(state, "servers", "web")); err != nil {
		t.Errorf("the folder of state_file was not made: %v", err)
	}
	slotsync(t, "server", "stop", "web/"+want[0], "--agent", "unix://"+agent)
	eventually(t, time.Minute, servesAgain(t, p.Socket, want[1:]...))
	w.do("job", "stop", "-purge", "slotsync")
	eventually(t, time.Minute, func() string {
		if _, err := os.Stat(agent); err == nil {
			return "slotsync runs on"
		}
		return ""
	})
	eventually(t, time.Second, servesAgain(t, p.Socket, want[1:]...))
	w.run(job, "/usr/local/bin/slotsync", w.dir+"/bin/slotsync")
	eventually(t, time.Minute, func() string { return wordsOf(tryLive(agent)) })
	eventually(t, time.Second, servesAgain(t, p.Socket, want[1:]...))
	w.do("job", "stop", "-purge", "slotsync")
}

// nothingLeft: when all jobs are stopped, no process of theirs is there and no socket. The
// folders of allocations are Nomad's to remove.
func (w *nomadWorld) nothingLeft(t *testing.T) {
	for _, job := range []string{"edge", "web"} {
		w.do("job", "stop", "-purge", job)
	}
	w.do("system", "gc")
	eventually(t, time.Minute, func() string {
		sockets, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			return err.Error()
		}
		if n := len(pidsOf("slotsync")) + len(pidsOf("haproxy")) + len(pidsOf("webserver")); n > 0 {
			return fmt.Sprintf("%d processes are left", n)
		}
		if regexp.MustCompile(`@slotsync:|slotsync\.sock|haproxy\.sock`).Match(sockets) {
			return fmt.Sprintf("sockets are left:\n%s", sockets)
		}
		return ""
	})
}
