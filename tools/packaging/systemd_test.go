package packaging_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const units = "../../examples/systemd/"

// TestSystemd walks one machine through what its README promises, as root types it.
func TestSystemd(t *testing.T) {
	m := newMachine(t)
	binary := buildProgram(t, "v0.0.1")
	m.boot()
	m.install(binary, "/usr/local/bin/slotsync", 0o755)
	m.installUnit()
	m.walk([]step{
		{"it starts without HAProxy and its group", (*machine).startsAlone},
		{"HAProxy is filled", (*machine).isFilled},
		{"the journal has priorities, and no second time", (*machine).journalled},
		{"a bad file is refused by systemctl reload", (*machine).refusesBadFile},
		{"an ordinary user is told what works", (*machine).tellsOrdinaryUser},
		{"a second one by hand is told who runs", (*machine).refusesSecond},
		{"a drain survives a restart", (*machine).drainSurvivesRestart},
		{"root asks and syncs without the unit", (*machine).rootWithoutUnit},
		{"the unit goes on after a run by hand", (*machine).ranByHand},
		{"one that hangs is restarted", (*machine).watchdogRestarts},
		{"a socket unit answers while it is restarted", (*machine).socketActivated},
		{"tokens are credentials", (*machine).credentials},
		{"systemctl reload haproxy is allowed, and no more", (*machine).mayReloadHAProxy},
		{"a managed reload makes 100 slots 200", (*machine).growsSlots},
		{"a reboot starts filled", (*machine).rebootsFilled},
	})
}

// installUnit does what the README says.
func (m *machine) installUnit() {
	m.t.Helper()
	m.install(units+"slotsync.service", "/etc/systemd/system/slotsync.service", 0o644)
	m.install(units+"slotsync.sysusers", "/etc/sysusers.d/slotsync.conf", 0o644)
	m.install(units+"slotsync.tmpfiles", "/etc/tmpfiles.d/slotsync.conf", 0o644)
	m.install(units+"slotsync.rules", "/etc/polkit-1/rules.d/50-slotsync.rules", 0o644)
	// of its own a unit says how it goes every 10 s, and waits for 30; less than this a busy machine takes for a hang
	m.write("/etc/systemd/system/slotsync.service.d/watchdog.conf", "[Service]\nWatchdogSec=8s\nTimeoutAbortSec=1s\n", 0o644)
	m.write("/etc/slotsync/slotsync.yaml", fromFiles(m.t, units+"slotsync.yaml"), 0o644)
	m.lists(addresses(6))
	m.run("systemd-sysusers", "/etc/sysusers.d/slotsync.conf")
	m.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/slotsync.conf")
	m.run("systemctl", "daemon-reload")
}

// startsAlone: the group haproxy does not exist, and nothing listens.
func (m *machine) startsAlone() {
	m.run("systemctl", "enable", "--now", "slotsync")
	m.said("0 of 1 instance in sync, 1 backend: edge-1 does not answer")
	if got := m.property("ActiveState"); got != "active" {
		m.t.Errorf("the unit is %s", got)
	}
	// both StateDirectory= are handed over in one variable: state is in the first
	if dir := m.run("stat", "-c", "%U %a", "/var/lib/slotsync", "/var/lib/slotsync/servers", "/run/slotsync"); dir != "slotsync 750\nslotsync 750\nslotsync 755" {
		m.t.Errorf("folders: %s", dir)
	}
	m.eventually("the state is kept", func() bool { _, err := m.try("test", "-s", "/var/lib/slotsync/state.json"); return err == nil })
	if odd, err := m.try("sh", "-c", "ls -d /var/lib/slotsync:* /var/lib/slotsync/*:*"); err == nil {
		m.t.Errorf("a folder has both names: %s", odd)
	}
}

func (m *machine) isFilled() {
	m.addHAProxy(units + "haproxy.cfg")
	m.serve(addresses(6))
	m.synced(100)
	m.said("1 of 1 instance in sync, 1 backend")
	m.underLoad(func() {})
}

// journalled: warnings are warnings there, and the time is the journal's.
func (m *machine) journalled() {
	m.run("journalctl", "--sync")
	priorities := map[string]string{}
	for line := range strings.SplitSeq(m.run("journalctl", "-o", "json", "-u", "slotsync", "_COMM=slotsync"), "\n") {
		var entry struct{ PRIORITY, MESSAGE string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			m.t.Fatalf("%v: %s", err, line)
		}
		if regexp.MustCompile(`time=|^<|\d\d:\d\d:\d\d`).MatchString(entry.MESSAGE) {
			m.t.Errorf("a line has a time or a prefix of its own: %s", entry.MESSAGE)
		}
		level, _, _ := strings.Cut(strings.TrimPrefix(entry.MESSAGE, "level="), " ")
		priorities[level] = entry.PRIORITY
	}
	if priorities["INFO"] != "6" || priorities["WARN"] != "4" {
		m.t.Errorf("priorities by level: %v", priorities)
	}
}

func (m *machine) refusesBadFile() {
	good := read(m.t, m.path("/etc/slotsync/slotsync.yaml"))
	m.write("/etc/slotsync/slotsync.yaml", strings.Replace(good, "backends:", "backend:", 1), 0o644)
	m.fails("systemctl", "reload", "slotsync")
	m.said("the configuration that was read last is refused, the one before it is in force (/etc/slotsync/slotsync.yaml:")
	m.said(`unknown key "backend"`)
	m.contains(m.run("slotsync", "status"), "the configuration that was read last is refused", "edge-1")
	m.run("journalctl", "--sync")
	m.contains(m.run("journalctl", "-q", "-p", "3", "-u", "slotsync"), `did you mean "backends"?`)
	if got := m.property("ActiveState"); got != "active" {
		m.t.Errorf("the unit is %s", got)
	}
	// one that names another socket reaches the agent, which says what is wrong with it
	m.write("/etc/slotsync/slotsync.yaml", strings.Replace(good, "/slotsync.sock", "/other.sock", 1), 0o644)
	m.fails("systemctl", "reload", "slotsync")
	m.said("http.socket cannot change while slotsync runs: restart it")
	m.write("/etc/slotsync/slotsync.yaml", good, 0o644)
	m.underLoad(func() { m.run("systemctl", "reload", "slotsync") })
	if refused := m.status().ConfigRefused; refused != "" {
		m.t.Errorf("the good one is refused: %s", refused)
	}
}

func (m *machine) tellsOrdinaryUser() {
	as := []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "slotsync"}
	m.contains(m.fails(append(as, "status")...), "use sudo", "--agent http://127.0.0.1:9750")
	m.contains(m.run(append(as, "status", "--agent", "http://127.0.0.1:9750")...), "in sync")
	m.contains(m.fails(append(as, "plan")...), "the state cannot be read, and overrides and pauses may be in it")
	if said := m.fails(append(as, "doctor")...); strings.Contains(said, "chown") { // it may not ask HAProxy
		m.t.Errorf("it would take the unit's folders away: %s", said)
	}
}

// refusesSecond: one that is started by hand names the one that runs, and leaves nothing
// behind that is in its way.
func (m *machine) refusesSecond() {
	said := m.fails("slotsync", "run")
	pid := m.property("MainPID")
	m.contains(said, "another slotsync (pid "+pid+") writes to /run/haproxy/admin.sock")
	m.hasItsFiles()
}

func (m *machine) drainSurvivesRestart() {
	m.drain()
	m.underLoad(func() { m.run("systemctl", "restart", "slotsync") })
	m.wantDrained()
}

// rootWithoutUnit: what operators asked for holds for root as well, and nothing that is told them
// breaks the unit.
func (m *machine) rootWithoutUnit() {
	asks := func() {
		m.t.Helper()
		m.run("slotsync", "plan")
		if said := m.run("slotsync", "doctor"); strings.Contains(said, "fail") || strings.Contains(said, "chown") {
			m.t.Error(said)
		}
	}
	asks()
	m.run("systemctl", "stop", "slotsync")
	asks()
	m.run("slotsync", "sync")
	m.hasItsFiles()
	m.run("systemctl", "start", "slotsync")
	m.synced(100)
	m.wantDrained()
	asks()
}

// hasItsFiles: none is of another user, which the unit could not read.
func (m *machine) hasItsFiles() {
	m.t.Helper()
	if foreign := m.run("find", "/var/lib/slotsync", "/run/slotsync", "!", "-user", "slotsync"); foreign != "" {
		m.t.Errorf("files of somebody else: %s", foreign)
	}
}

// ranByHand: root runs slotsync for a while, drains a server and ends it, or kills it.
func (m *machine) ranByHand() {
	const third = "web/127.9.0.3:8080"
	byHand := func(do func()) {
		m.run("systemctl", "stop", "slotsync")
		m.run("systemd-run", "--unit=by-hand", "--service-type=notify", "slotsync", "run", "--config", "/etc/slotsync/slotsync.yaml")
		m.synced(100)
		do()
		m.try("systemctl", "reset-failed", "by-hand") // where it is still known
		m.hasItsFiles()
		m.run("systemctl", "start", "slotsync")
		m.synced(100)
	}
	byHand(func() {
		m.wantDrained()
		m.run("slotsync", "server", "drain", third)
		m.run("systemctl", "stop", "by-hand")
	})
	m.contains(m.run("slotsync", "explain", "web", "127.9.0.3:8080"), "drain")
	byHand(func() { m.run("systemctl", "kill", "--signal=KILL", "by-hand") })
	m.run("slotsync", "server", "start", third)

	// what an older one has left there
	m.run("systemctl", "stop", "slotsync")
	m.run("sh", "-c", "chown root:root /var/lib/slotsync/*.json && systemd-tmpfiles --create /etc/tmpfiles.d/slotsync.conf")
	m.hasItsFiles()
	m.run("systemctl", "start", "slotsync")
	m.synced(100)
	m.wantDrained()
}

// watchdogRestarts: a stopped process feeds no watchdog.
func (m *machine) watchdogRestarts() {
	before := m.property("MainPID")
	m.underLoad(func() {
		m.run("kill", "-STOP", before)
		m.eventually("another process runs", func() bool {
			return m.property("ActiveState") == "active" && m.property("MainPID") != before
		})
	})
	m.synced(100)
	m.wantDrained()
}

// answered is run for what may meet an agent that answers just before its loop runs.
func (m *machine) answered(command ...string) {
	m.t.Helper()
	out, err := m.try(command...)
	if err != nil && !strings.Contains(out, "the agent has not started yet") {
		m.t.Fatalf("%s: %v\n%s\n%s", strings.Join(command, " "), err, out, m.journal())
	}
}

func (m *machine) socketActivated() {
	m.install(units+"slotsync.socket", "/etc/systemd/system/slotsync.socket", 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "stop", "slotsync")
	m.run("systemctl", "enable", "--now", "slotsync.socket")
	m.underLoad(func() {
		m.synced(100) // whoever asks starts it
		before := m.property("MainPID")
		m.run("systemctl", "--no-block", "restart", "slotsync")
		for range 5 { // none is refused
			m.answered("slotsync", "health", "--live")
			m.answered("slotsync", "health", "--live", "--agent", "http://127.0.0.1:9750")
		}
		m.eventually("another process runs", func() bool {
			return m.property("ActiveState") == "active" && m.property("MainPID") != before
		})
	})
	m.wantDrained()
	if user := m.run("stat", "-c", "%U:%G %a", "/run/slotsync/slotsync.sock"); user != "slotsync:slotsync 660" {
		m.t.Errorf("the socket is %s", user)
	}
	m.run("systemctl", "disable", "--now", "slotsync.socket")
	m.run("systemctl", "restart", "slotsync")
}

// credentials: the file is root's alone, and the unit is handed what it holds.
func (m *machine) credentials() {
	m.write("/etc/slotsync/http.token", "s3cret-of-the-machine\n", 0o600)
	m.install(units+"credentials.conf", "/etc/systemd/system/slotsync.service.d/credentials.conf", 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "slotsync")
	pause := []string{"slotsync", "pause", "web", "--for", "1m", "--agent", "http://127.0.0.1:9750"}
	m.fails(pause...)
	m.run(append(pause, "--token-file", "/etc/slotsync/http.token")...)
	m.run("slotsync", "resume", "web")
	if _, err := m.try("setpriv", "--reuid=slotsync", "--regid=slotsync", "--clear-groups", "cat", "/etc/slotsync/http.token"); err == nil {
		m.t.Error("slotsync's user can read the file itself")
	}
}

// mayReloadHAProxy: by the polkit rule.
func (m *machine) mayReloadHAProxy() {
	config := read(m.t, m.path("/etc/slotsync/slotsync.yaml"))
	m.write("/etc/slotsync/slotsync.yaml", config+"reload:\n  command: [systemctl, reload, haproxy]\n  file: /etc/haproxy/haproxy.cfg\n  min_interval: 0s\n", 0o644)
	m.run("systemctl", "reload", "slotsync")
	m.underLoad(func() { m.run("slotsync", "haproxy", "reload", "--reason", "by systemctl") })
	m.synced(100)
	as := []string{"setpriv", "--reuid=slotsync", "--regid=slotsync", "--init-groups", "systemctl", "--no-ask-password"}
	m.fails(append(as, "restart", "haproxy")...)
	m.fails(append(as, "reload", "slotsync")...)
}

// growsSlots does what examples/managed-config says.
func (m *machine) growsSlots() {
	const managed = "../../examples/managed-config/"
	m.install(managed+"haproxy.cfg.tmpl", "/etc/haproxy/haproxy.cfg.tmpl", 0o644)
	m.write("/tmp/haproxy.cfg", read(m.t, managed+"haproxy.cfg"), 0o644)
	m.run("install", "-o", "slotsync", "-g", "slotsync", "-m", "644", "/tmp/haproxy.cfg", "/var/lib/slotsync/haproxy.cfg")
	m.run("ln", "-sf", "/var/lib/slotsync/haproxy.cfg", "/etc/haproxy/haproxy.cfg")
	config := fromFiles(m.t, managed+"slotsync.yaml") // it was reloaded a moment ago
	m.write("/etc/slotsync/slotsync.yaml", strings.Replace(config, "  min_interval: 30s ", "  jitter: 0s\n  min_interval: 0s ", 1), 0o644)
	m.install(managed+"slotsync.service.conf", "/etc/systemd/system/slotsync.service.d/haproxy-config.conf", 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "haproxy", "slotsync")
	m.synced(100)
	m.run("slotsync", "haproxy", "reload", "--check")
	m.serve(addresses(120)[6:])
	m.underLoad(func() {
		m.lists(addresses(120))
		m.synced(200)
	})
	m.wantDrained()
}

// rebootsFilled: HAProxy comes up with everything before slotsync runs, and slotsync with
// what was asked of it.
func (m *machine) rebootsFilled() {
	m.run("systemctl", "disable", "slotsync")
	m.shutdown()
	m.boot()
	if got, _ := m.try("systemctl", "is-active", "slotsync"); got != "inactive" {
		m.t.Fatalf("slotsync is %s", got)
	}
	m.serve(addresses(120))
	m.underLoad(func() {})
	m.run("systemctl", "enable", "--now", "slotsync")
	m.synced(200)
	m.wantDrained()
	for _, in := range m.status().Instances {
		if len(in.Unloaded) > 0 {
			m.t.Errorf("%s came up without its state file", in.Name)
		}
	}
}
