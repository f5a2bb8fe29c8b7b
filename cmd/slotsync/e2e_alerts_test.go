package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// An alertCase is a cause of an alert at real programs, and its end.
type alertCase struct {
	alert string
	brief bool // it runs also where the proofs do not run whole
	// backend and more are added to the configuration; slots are those of the HAProxies, by default one with 10.
	backend, more string
	slots         []int
	cause, end    func(*monitored)
	// series has value bad while the cause lasts, and else good.
	series, bad, good string
	waits             time.Duration // what the rule has as for
	lingers           int           // scrapes for which it goes on
	beside            []string      // other alerts that the cause has
}

const (
	noGuard    = ", guard: {empty_hold: 0s, removal_hold: 0s}"
	reloadable = `reload: {master: $MASTER, file: $FILE, check: [test, "!", -e, $DIR/refuse, -a, -f, "{{.File}}"], jitter: 0s, min_interval: 0s}`
)

func list(file string, last ...int) func(*monitored) {
	return func(m *monitored) { m.list(file, last...) }
}

func says(args ...string) func(*monitored) {
	return func(m *monitored) { m.t.Log(m.slotsync(args...)) }
}

// asks sends a command to the first HAProxy, past slotsync.
func asks(command string) func(*monitored) {
	return func(m *monitored) { haproxytest.Ask(m.t, m.edges[0].Socket, command) }
}

func rename(from, to string) func(*monitored) {
	return func(m *monitored) {
		if err := os.Rename(filepath.Join(m.dir, from), filepath.Join(m.dir, to)); err != nil {
			m.t.Fatal(err)
		}
	}
}

// mode changes who may write to a folder. slotsync writes to none that others may write to.
func mode(folder string, mode os.FileMode, then func(*monitored)) func(*monitored) {
	return func(m *monitored) {
		if err := os.Chmod(filepath.Join(m.dir, folder), mode); err != nil {
			m.t.Fatal(err)
		}
		then(m)
	}
}

func alertCases() []alertCase {
	return []alertCase{
		{alert: "SlotsyncAgentDown", cause: (*monitored).kill, end: (*monitored).start,
			series: `up{job="slotsync"}`, bad: "0", good: "1", waits: 2 * time.Minute},
		{alert: "SlotsyncInstanceDown", brief: true, cause: func(m *monitored) { m.edges[0].Kill() }, end: func(m *monitored) { m.edges[0].Restart() },
			series: `slotsync_instance_up{haproxy="edge-1"}`, bad: "0", good: "1", waits: time.Minute},
		{alert: "SlotsyncSourceDown", cause: rename("endpoints", "gone"), end: rename("gone", "endpoints"),
			series: `slotsync_source_up{proxy="web",source="files"}`, bad: "0", good: "1", waits: 5 * time.Minute},
		{alert: "SlotsyncWaiting", backend: noGuard, cause: list("web"), end: list("web", 1, 2, 3),
			series: `slotsync_source_endpoints{proxy="web",source="files",state="ready"}`, bad: "0", good: "3", waits: 15 * time.Minute},
		{alert: "SlotsyncRejected", cause: func(m *monitored) {
			m.write("endpoints/more.yaml", "- {targets: [\"169.254.1.1:80\"], labels: {service: web}}\n")
		},
			end: list("more"), series: `slotsync_source_endpoints{proxy="web",source="files",state="rejected"}`, bad: "1", good: "0", waits: 15 * time.Minute},
		{alert: "SlotsyncKept", cause: func(m *monitored) {
			m.list("more", 4)
			m.until(`slotsync_source_endpoints{proxy="web",source="files",state="ready"}`, "4")
			m.write("endpoints/more.yaml", "- targets: [")
		}, end: list("more", 4), series: `slotsync_source_kept{proxy="web",source="files"}`, bad: "1", good: "0", waits: 15 * time.Minute},
		{alert: "SlotsyncHeld", brief: true, cause: list("web"), end: list("web", 1, 2, 3),
			series: `slotsync_guard_held{kind="empty",proxy="web"}`, bad: "1", good: "0", waits: time.Minute},
		{alert: "SlotsyncOverflow", slots: []int{3}, cause: list("more", 4), end: list("more"), backend: noGuard,
			series: `slotsync_overflow_endpoints{proxy="web"}`, bad: "1", good: "0", waits: 5 * time.Minute},
		{alert: "SlotsyncInstanceOverflow", slots: []int{10, 3}, cause: list("more", 4), end: list("more"), backend: noGuard,
			series: `slotsync_instance_overflow{haproxy="edge-2",proxy="web"}`, bad: "1", good: "0", waits: 5 * time.Minute},
		{alert: "SlotsyncReloadNeeded", slots: []int{3}, cause: list("more", 4), end: list("more"), backend: noGuard, beside: []string{"SlotsyncOverflow"},
			series: `slotsync_haproxy_reload_needed{proxy="web"}`, bad: "1", good: "0", waits: 15 * time.Minute},
		{alert: "SlotsyncReloadFailed", more: reloadable,
			cause:  func(m *monitored) { m.write("refuse", ""); says("haproxy", "reload")(m) },
			end:    func(m *monitored) { _ = os.Remove(filepath.Join(m.dir, "refuse")); says("haproxy", "reload")(m) },
			series: `slotsync_haproxy_reload_failed{haproxy="edge-1"}`, bad: "1", good: "0"},
		{alert: "SlotsyncConflict", cause: fight, end: (*monitored).makePeace, lingers: 10,
			series: `slotsync_conflict_slots{haproxy="edge-1",proxy="web"}`, bad: "1", good: "0"},
		{alert: "SlotsyncBehind", backend: noGuard, slots: []int{1}, cause: occupy, end: func(m *monitored) { m.makePeace(); m.list("web", 2) },
			series: `slotsync_instance_in_sync{haproxy="edge-1"}`, bad: "0", good: "1", waits: 4 * time.Minute},
		{alert: "SlotsyncNotInSync", cause: func(m *monitored) {
			m.edges[0].Config.Text = strings.Replace(m.edges[0].Config.Text, "server-template web 1-10", "server-template other 1-10", 1)
			m.edges[0].Reload()
		}, end: func(m *monitored) {
			m.edges[0].Config.Text = strings.Replace(m.edges[0].Config.Text, "server-template other 1-10", "server-template web 1-10", 1)
			m.edges[0].Reload()
		}, series: `slotsync_instance_in_sync{haproxy="edge-1"}`, bad: "0", good: "1", waits: 2 * time.Minute},
		{alert: "SlotsyncExternal", cause: asks("set server web/web1 state maint"), end: asks("set server web/web1 state ready"),
			series: `slotsync_external_held{haproxy="edge-1",proxy="web"}`, bad: "1", good: "0", waits: 30 * time.Minute},
		{alert: "SlotsyncPaused", cause: says("pause", "web"), end: says("resume", "web"),
			series: `slotsync_paused{proxy="web"}`, bad: "1", good: "0", waits: 2 * time.Hour},
		{alert: "SlotsyncStateNotWritten", cause: mode("state", 0o777, list("more", 4)), end: mode("state", 0o700, list("more", 4, 5)),
			series: `slotsync_state_write_failing`, bad: "1", good: "0", waits: 5 * time.Minute},
		{alert: "SlotsyncStateFileNotWritten", cause: mode("servers", 0o777, list("more", 4)), end: mode("servers", 0o700, list("more", 4, 5)),
			series: `slotsync_state_file_write_failing{haproxy="edge-1"}`, bad: "1", good: "0", waits: 5 * time.Minute},
		{alert: "SlotsyncAuditNotWritten", cause: mode("audit", 0o777, says("server", "weight", "web/127.9.0.1:80", "50")),
			end:    mode("audit", 0o700, says("server", "weight", "web/127.9.0.1:80", "source")), // a counter stays as it is
			series: `slotsync_audit_write_errors_total`, bad: "1", good: "1", lingers: 30},
		{alert: "SlotsyncConfigNotLoaded", cause: func(m *monitored) { m.reconfigure("http:", "htp:") }, end: func(m *monitored) { m.reconfigure("htp:", "http:") },
			series: `slotsync_config_last_reload_successful`, bad: "0", good: "1", waits: 5 * time.Minute},
	}
}

// TestAlerts brings about the cause of each alert at a slotsync and a real HAProxy, and ends it. The rules are
// evaluated over what was scraped meanwhile: the alert fires, no other does, and it ends with its cause.
func TestAlerts(t *testing.T) {
	t.Parallel()
	for _, c := range alertCases() {
		if !c.brief && !long() {
			continue
		}
		t.Run(c.alert, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c alertCase) run(t *testing.T) {
	if c.slots == nil {
		c.slots = []int{10}
	}
	m := newMonitored(t, c.backend, c.more, c.slots...)
	m.scrapes(slack)
	before := len(m.samples)
	c.cause(m)
	m.until(c.series, c.bad)
	m.scrapes(int(c.waits/scrapeStep) + slack)
	during := len(m.samples)
	c.end(m)
	m.until(c.series, c.good)
	m.scrapes(c.lingers + slack)
	firing := []string{}
	for _, name := range append(c.beside, c.alert) {
		firing = append(firing, fmt.Sprintf("{alertname=%q}", name))
	}
	slices.Sort(firing)
	const all = `group by (alertname) (ALERTS{alertstate="firing"})`
	m.judge([]question{{before, all, nil}, {during, all, firing}, {len(m.samples), "ALERTS", nil}})
}

// fight has somebody else keep changing a weight.
func fight(m *monitored) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			asks("set server web/web1 weight 7")(m)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	m.cleanups = []func(){func() {
		close(stop)
		done.Wait()
	}}
}

// makePeace ends what fight or occupy began.
func (m *monitored) makePeace() {
	for _, f := range m.cleanups {
		f()
	}
	m.cleanups = nil
	says("resume", "web")(m)
}

// occupy has a session stay in the only slot, whose endpoint then gives way to another.
func occupy(m *monitored) {
	m.list("web", 1)
	m.until(`slotsync_source_endpoints{proxy="web",source="files",state="ready"}`, "1")
	m.until(`slotsync_instance_in_sync{haproxy="edge-1"}`, "1")
	server, err := net.Listen("tcp", "127.9.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	if err := server.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	m.write("endpoints/web.yaml", fmt.Sprintf("- {targets: [%q], labels: {service: web}}\n", server.Addr()))
	eventually(m.t, 30*time.Second, func() string {
		port := fmt.Sprintf(" %d ", server.Addr().(*net.TCPAddr).Port)
		if shown := haproxytest.Ask(m.t, m.edges[0].Socket, "show servers state web"); !strings.Contains(shown, port) {
			return shown
		}
		return ""
	})
	client, err := net.Dial("unix", filepath.Join(filepath.Dir(m.edges[0].Socket), "in.sock"))
	if err != nil {
		m.t.Fatal(err)
	}
	session, err := server.Accept()
	if err != nil {
		m.t.Fatal(err)
	}
	m.cleanups = []func(){func() { client.Close(); session.Close(); server.Close() }}
	m.list("web", 2)
}

// reconfigure changes the configuration and has slotsync read it.
func (m *monitored) reconfigure(from, to string) {
	text, err := os.ReadFile(m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("slotsync.yaml", strings.Replace(string(text), from, to, 1))
	if err := m.agent.Process.Signal(syscall.SIGHUP); err != nil {
		m.t.Fatal(err)
	}
}
