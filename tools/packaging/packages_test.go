package packaging_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// packages are those of one version, by kind.
type packages struct{ deb, rpm, apk string }

// pack builds the packages of a program.
func pack(t *testing.T, binary, version string) packages {
	t.Helper()
	folder := t.TempDir()
	build := exec.Command("./build.sh", binary, version, folder)
	build.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	var p packages
	for kind, path := range map[string]*string{"deb": &p.deb, "rpm": &p.rpm, "apk": &p.apk} {
		found, _ := filepath.Glob(filepath.Join(folder, "*."+kind))
		if len(found) != 1 {
			t.Fatalf("%s: %v, want one", kind, found)
		}
		*path = found[0]
	}
	return p
}

// output is what a program of this machine prints.
func output(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v (make deps installs it)\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// TestPackages builds them and walks one machine through their life.
func TestPackages(t *testing.T) {
	m := newMachine(t)
	first, second := buildProgram(t, "v0.0.1"), buildProgram(t, "v0.0.2")
	old, now := pack(t, first, "v0.0.1"), pack(t, second, "v0.0.2")
	t.Run("the same bytes again", func(t *testing.T) {
		again := pack(t, first, "v0.0.1")
		for _, pair := range [][2]string{{old.deb, again.deb}, {old.rpm, again.rpm}, {old.apk, again.apk}} {
			if !bytes.Equal([]byte(read(t, pair[0])), []byte(read(t, pair[1]))) {
				t.Errorf("%s differs from %s", pair[0], pair[1])
			}
		}
	})
	t.Run("what they hold", func(t *testing.T) { checkContents(t, old) })
	t.Run("lintian", func(t *testing.T) {
		if said := output(t, "lintian", "--allow-root", "--fail-on", "error,warning", old.deb); strings.TrimSpace(said) != "" {
			t.Error(said)
		}
	})
	m.boot()
	m.addHAProxy(units + "haproxy.cfg")
	m.serve(addresses(6))
	// where the machine sees them: it has a /tmp of its own
	for name, from := range map[string]string{"old.deb": old.deb, "now.deb": now.deb, "old.rpm": old.rpm, "now.rpm": now.rpm} {
		m.install(from, "/root/"+name, 0o644)
	}
	rpm := []string{"rpm", "--force-debian", "--nodeps"}
	m.walk([]step{
		{"deb: installed, and not started", func(m *machine) { m.installs("dpkg", "--no-triggers", "-i", "/root/old.deb") }},
		{"deb: an upgrade loses no request and no override", func(m *machine) { m.upgrades("dpkg", "--no-triggers", "-i", "/root/now.deb") }},
		{"deb: an upgrade over a configuration that is refused lets the old one go on", (*machine).upgradesRefused},
		{"deb: removed, with the configuration and the state kept", func(m *machine) {
			m.removes("dpkg", "--no-triggers", "-r", "slotsync")
			m.run("test", "-s", "/etc/slotsync/slotsync.yaml", "-a", "-s", "/var/lib/slotsync/state.json")
		}},
		{"deb: purged, with what HAProxy starts with kept", (*machine).purges},
		{"rpm: installed, and not started", func(m *machine) { m.installs(append(rpm, "-i", "/root/old.rpm")...) }},
		{"rpm: an upgrade loses no request and no override", func(m *machine) { m.upgrades(append(rpm, "-U", "/root/now.rpm")...) }},
		{"rpm: removed", func(m *machine) { m.removes(append(rpm, "-e", "slotsync")...) }},
	})
}

// checkContents looks for what every package has, and for what is the administrator's.
func checkContents(t *testing.T, p packages) {
	listings := map[string]string{
		"deb": output(t, "dpkg-deb", "-c", p.deb), "rpm": output(t, "rpm", "-qlp", p.rpm), "apk": output(t, "tar", "-tzf", p.apk),
	}
	for kind, listing := range listings {
		for _, file := range []string{
			"usr/bin/slotsync", "etc/slotsync/slotsync.yaml", "usr/lib/systemd/system/slotsync.service", "usr/lib/systemd/system/slotsync.socket",
			"usr/lib/sysusers.d/slotsync.conf", "usr/lib/tmpfiles.d/slotsync.conf", "usr/share/polkit-1/rules.d/50-slotsync.rules",
			"usr/share/man/man1/slotsync.1.gz", "usr/share/man/man1/slotsync-server-drain.1.gz", "usr/share/bash-completion/completions/slotsync",
			"usr/share/fish/vendor_completions.d/slotsync.fish", "/_slotsync", "usr/share/doc/slotsync/copyright",
		} {
			if !strings.Contains(listing, file) {
				t.Errorf("the .%s lacks %s", kind, file)
			}
		}
	}
	if got := strings.Fields(output(t, "dpkg-deb", "-I", p.deb, "conffiles")); !slices.Equal(got, []string{"/etc/slotsync/slotsync.yaml"}) {
		t.Errorf("conffiles of the .deb: %v", got)
	}
	if got := strings.Fields(output(t, "rpm", "-qcp", p.rpm)); !slices.Equal(got, []string{"/etc/slotsync/slotsync.yaml"}) {
		t.Errorf("configuration of the .rpm: %v", got)
	}
}

// installs installs it where it was not: HAProxy is not written to before somebody says so.
func (m *machine) installs(command ...string) {
	m.run(command...)
	m.contains(m.run("slotsync", "version"), "v0.0.1")
	m.contains(m.run("id", "slotsync"), "(haproxy)")
	if state, _ := m.try("systemctl", "is-enabled", "slotsync"); state != "disabled" {
		m.t.Errorf("the unit is %s", state)
	}
	if state, _ := m.try("systemctl", "is-active", "slotsync"); state != "inactive" {
		m.t.Errorf("the unit is %s", state)
	}
	m.contains(read(m.t, m.path("/etc/slotsync/slotsync.yaml")), "slotsync init")
	m.run("slotsync", "check", "--config", "/usr/share/doc/slotsync/examples/systemd/slotsync.yaml")
	m.write("/etc/slotsync/slotsync.yaml", fromFiles(m.t, units+"slotsync.yaml"), 0o644)
	m.lists(addresses(6))
	m.run("systemctl", "enable", "--now", "slotsync")
	m.synced(100)
	m.drain()
}

// upgrades replaces it while it runs.
func (m *machine) upgrades(command ...string) {
	m.underLoad(func() {
		m.run(command...)
		m.synced(100)
	})
	if got := m.status().Version; got != "v0.0.2" {
		m.t.Errorf("%s runs, want v0.0.2", got)
	}
	m.wantDrained()
	m.contains(read(m.t, m.path("/etc/slotsync/slotsync.yaml")), "endpoints.json")
	if state := m.run("systemctl", "is-enabled", "slotsync"); state != "enabled" {
		m.t.Errorf("the unit is %s", state)
	}
}

// upgradesRefused: the process from before serves on, and the package is installed and says so.
func (m *machine) upgradesRefused() {
	const path = "/etc/slotsync/slotsync.yaml"
	good, before := read(m.t, m.path(path)), m.property("MainPID")
	m.write(path, "haproxy: nonsense\n", 0o644)
	m.contains(m.run("dpkg", "--no-triggers", "-i", "/root/now.deb"), "THE VERSION FROM BEFORE GOES ON", path+":1:", "systemctl restart slotsync")
	if got := m.run("dpkg-query", "-W", "-f", "${Status}", "slotsync"); got != "install ok installed" {
		m.t.Errorf("the package is %s", got)
	}
	if got := m.property("MainPID"); got != before || m.property("ActiveState") != "active" {
		m.t.Errorf("pid %s runs, want %s", got, before)
	}
	m.write(path, good, 0o644)
	m.lists(addresses(5)) // it still follows its source
	m.eventually("five endpoints are left", func() bool { return len(m.status().Backends[0].Endpoints) == 5 })
	m.lists(addresses(6))
	m.run("systemctl", "restart", "slotsync")
	m.synced(100)
	m.wantDrained()
}

// removes takes it off: HAProxy goes on.
func (m *machine) removes(command ...string) {
	m.underLoad(func() { m.run(command...) })
	for _, gone := range []string{"/usr/bin/slotsync", "/usr/lib/systemd/system/slotsync.service", "/etc/systemd/system/multi-user.target.wants/slotsync.service"} {
		m.fails("test", "-e", gone)
	}
	m.fails("systemctl", "is-active", "slotsync")
	m.contains(haproxytest.Ask(m.t, m.path("/run/haproxy/admin.sock"), "show servers state web"), "127.9.0.6")
}

// purges takes the package off with all that is slotsync's own. HAProxy, whose configuration and
// state files are in slotsync's folder as examples/managed-config has it, starts filled afterwards.
func (m *machine) purges() {
	const kept = "/var/lib/slotsync/haproxy.cfg"
	m.run("cp", debianConfig, kept)
	m.run("ln", "-sf", kept, debianConfig)
	m.run("dpkg", "--no-triggers", "-P", "slotsync")
	m.fails("sh", "-c", "ls -d /etc/slotsync/slotsync.yaml /run/slotsync /var/lib/slotsync/*.json | grep .")
	if left := m.run("sh", "-c", "find /var/lib/slotsync -type f | sort"); left != kept+"\n/var/lib/slotsync/servers/web" {
		m.t.Errorf("left behind: %s", left)
	}
	m.run("systemctl", "restart", "haproxy")
	m.contains(haproxytest.Ask(m.t, m.path("/run/haproxy/admin.sock"), "show servers state web"), "127.9.0.6")
	m.underLoad(func() {})
}
