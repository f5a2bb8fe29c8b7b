package haproxy_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/tools/eventually"
)

func master(t *testing.T, socket string, timeout time.Duration) *haproxy.Master {
	t.Helper()
	m, err := haproxy.NewMaster(socket, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func workers(t *testing.T, m *haproxy.Master) []haproxy.Worker {
	t.Helper()
	list, err := m.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// withMaster runs body over every real HAProxy.
func withMaster(t *testing.T, body func(t *testing.T, version string, p *haproxytest.Process, m *haproxy.Master)) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Backends: []haproxytest.Backend{{Name: "web", Slots: 3}}})
			body(t, version, p, master(t, "unix://"+p.Master, 20*time.Second))
		})
	}
}

func TestMasterReloads(t *testing.T) {
	withMaster(t, func(t *testing.T, version string, p *haproxytest.Process, m *haproxy.Master) {
		old := p.Worker()
		if got := workers(t, m); len(got) != 1 || got[0].Pid != old || got[0].Old || !strings.HasPrefix(got[0].Version, version+".") {
			t.Errorf("got %+v, want worker %d", got, old)
		}
		p.Config.Backends[0].Slots = 7
		p.Rewrite("")
		words, err := m.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(words, "Loading success"); said == (version == "2.6") {
			t.Errorf("got %q", words)
		}
		eventually.True(t, "the new worker answers", func() bool {
			return p.Worker() != old && strings.Count(haproxytest.Ask(t, p.Socket, "show servers state web"), " web ") == 7
		})
		if got := workers(t, m); got[0].Pid != p.Worker() || got[0].Old {
			t.Errorf("got %+v, want worker %d first", got, p.Worker())
		}
	})
}

func TestMasterRefusesABrokenFile(t *testing.T) {
	withMaster(t, func(t *testing.T, version string, p *haproxytest.Process, m *haproxy.Master) {
		old := p.Worker()
		p.Rewrite("global\n  bogus\n")
		for range 2 {
			words, err := m.Reload(t.Context())
			if err == nil {
				t.Fatalf("no error; %q", words)
			}
			if _, sent := slots.FaultOf(err); sent || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v (sent %v)", err, sent)
			}
			if version == "2.6" != (words == "") || version != "2.6" && !strings.Contains(err.Error(), "unknown keyword 'bogus'") {
				t.Errorf("got %v; %q", err, words)
			}
			got := workers(t, m)
			if len(got) != 1 || got[0].Pid != old || got[0].Old || p.Worker() != old {
				t.Errorf("got %+v, want worker %d alone", got, old)
			}
		}
		if got := haproxytest.Ask(t, p.Socket, "set server web/web1 addr 10.0.0.1 port 80"); !strings.HasPrefix(got, "IP changed") {
			t.Errorf("the worker does not serve any more: %q", got)
		}
		p.Rewrite("")
		if _, err := m.Reload(t.Context()); err != nil {
			t.Errorf("the good file afterwards: %v", err)
		}
	})
}

func TestMasterListsOldWorkers(t *testing.T) {
	withMaster(t, func(t *testing.T, version string, p *haproxytest.Process, m *haproxy.Master) {
		first, release := p.Linger()
		for range 2 {
			if _, err := m.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// ages come in whole seconds
		var got []haproxy.Worker
		eventually.True(t, "the first worker is listed alone as an old one", func() bool {
			got = workers(t, m)
			return len(got) == 2 && got[1].Age >= time.Second
		})
		if now := got[0]; now.Old || now.Reloads != 0 || now.Age > 10*time.Second {
			t.Errorf("new: %+v", now)
		}
		if old := got[1]; !old.Old || old.Pid != first || old.Reloads != 2 || old.Age > 20*time.Second {
			t.Errorf("old: %+v, want %d", old, first)
		}
		if got := p.AskWorker(first, "set server web/web1 addr 10.0.0.1 port 80"); got != "Proxy is disabled.\n\n" {
			t.Errorf("an old worker says %q", got)
		}
		release()
		eventually.True(t, "the first worker has ended", func() bool { return len(workers(t, m)) == 1 })
	})
}

// A reload that somebody else has begun is waited for.
func TestMasterReloadsOneAfterTheOther(t *testing.T) {
	withMaster(t, func(t *testing.T, version string, p *haproxytest.Process, m *haproxy.Master) {
		errs := make(chan error)
		for range 3 {
			go func() { _, err := m.Reload(t.Context()); errs <- err }()
		}
		good := 0
		for range 3 {
			err := <-errs
			if err == nil {
				good++
			} else if _, sent := slots.FaultOf(err); !sent && !strings.Contains(err.Error(), "Another reload") {
				t.Errorf("got %v", err)
			}
		}
		if good == 0 {
			t.Error("none succeeded")
		}
	})
}

func TestMasterSaysWhatTheSocketIs(t *testing.T) {
	withMaster(t, func(t *testing.T, version string, p *haproxytest.Process, m *haproxy.Master) {
		stats := master(t, p.Socket, 5*time.Second)
		_, err := stats.Reload(t.Context())
		_, err2 := stats.Workers(t.Context())
		for _, err := range []error{err, err2} {
			wantFault(t, err, slots.Garbled, false)
			if err != nil && !strings.Contains(err.Error(), "this is a `stats socket`") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestNewMaster(t *testing.T) {
	for _, c := range []struct {
		socket  string
		timeout time.Duration
		ok      bool
	}{
		{"/run/haproxy-master.sock", 0, true}, {"unix:///run/m.sock", time.Second, true}, {"tcp://127.0.0.1:9999", 0, true},
		{"", 0, false}, {"http://x", 0, false}, {"/m.sock", -1, false},
	} {
		m, err := haproxy.NewMaster(c.socket, c.timeout)
		if ok := err == nil; ok != c.ok || ok && m.String() != c.socket {
			t.Errorf("%q, %s: got %v, %v", c.socket, c.timeout, m, err)
		}
	}
}

func TestMasterFaults(t *testing.T) {
	const proc = "#<PID> <type> <reloads> <uptime> <version>\n5 master 1 [failed: 0] 0d00h00m01s 2.6.1\n# workers\n6 worker 0 0d00h00m01s 2.6.1\n\n"
	for _, c := range []struct {
		name            string
		version, reload string // the answers; "-": none ever comes
		fault           slots.Fault
		sent            bool
		says            string
	}{
		{"hangs", "-", "", slots.Hung, false, "does not answer"},
		{"hangs at the reload", proc, "-", slots.Hung, true, "does not answer"},
		{"never reloads", proc, "", slots.Hung, true, "has not begun"},
		{"garbage", "<html>", "", slots.Garbled, false, "no answer"},
		{"garbage at the reload", proc, "Success=2\n", slots.Garbled, true, "no answer"},
		{"no end", strings.Repeat(proc, 10_000), "", slots.Garbled, false, "more than"},
		{"level", "Permission denied\n\n", "", slots.Denied, false, "level,operator"},
		{"level at the reload", proc, "Permission denied\n\n", slots.Denied, false, "level,operator"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			socket := script(t, map[string]string{"show proc;quit\n": c.version, "reload;quit\n": c.reload})
			_, err := master(t, socket, 200*time.Millisecond).Reload(t.Context())
			wantFault(t, err, c.fault, c.sent)
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		_, err := master(t, "/nonexistent/m.sock", 0).Reload(t.Context())
		wantFault(t, err, slots.Absent, false)
	})
	t.Run("nobody listens", func(t *testing.T) {
		m := master(t, "tcp://127.0.0.1:1", 100*time.Millisecond)
		_, err := m.Reload(t.Context())
		wantFault(t, err, slots.Absent, false)
		_, err = m.Workers(t.Context())
		wantFault(t, err, slots.Absent, false)
	})
}

// script listens, and answers each connection's line.
func script(t *testing.T, answers map[string]string) (socket string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(shortDir(t), "m.sock"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn, answers)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func answer(conn net.Conn, answers map[string]string) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	text := answers[string(buf[:n])]
	if text == "-" {
		conn.Read(buf) // until the client gives up
		return
	}
	conn.Write([]byte(text))
}

// shortDir is a folder for sockets, whose paths have 107 bytes at most.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
