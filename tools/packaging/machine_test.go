// Package packaging_test boots a machine of its own for what is installed on one: the unit
// of examples/systemd, and the packages that make packages builds.
package packaging_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// patience is how long anything on the machine may take.
const patience = 60 * time.Second

// A machine is a systemd of its own, in a container that sees this machine's files and
// changes none: what it writes goes to a folder in memory, which lasts over its reboots.
type machine struct {
	t       *testing.T // of the step that runs
	whole   *testing.T // of all of them
	changes string     // the folder of what it writes
	nspawn  *exec.Cmd
	leader  int // its first process
	net     *os.File
}

// prepare is run where only the machine's mounts are seen, before each boot: whatever this
// machine starts by itself, it does not. Its identity is a given one, for a new one means a
// first boot, at which every unit is enabled.
const prepare = `set -eu
cd "$1"
mkdir -p upper work root
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" root
if [ ! -e prepared ]; then
	rm -rf root/etc/systemd/system/*.wants root/etc/systemd/system/*.service root/etc/machine-id
	echo 0123456789abcdef0123456789abcdef >root/etc/machine-id
	mkdir -p root/var/log/journal root/etc/systemd/system/slotsync.service.d
	# The unit hides /tmp and the homes, and the HAProxy that it checks files with may lie there.
	printf '[Service]\nBindReadOnlyPaths=%s\n' "$2" >root/etc/systemd/system/slotsync.service.d/tests.conf
	touch prepared
fi
exec systemd-nspawn --quiet --boot --directory="$1/root" --register=no --keep-unit --private-network --console=pipe --bind-ro="$2" \
	systemd.unit=multi-user.target systemd.mask=systemd-logind.service`

// newMachine returns one that has not been booted. Without the means to the test is left
// out, or fails where everything has to be there.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getenv("SLOTSYNC_MACHINE") == "" {
		t.Skip("it boots a machine: make test-systemd test-packages, as root")
	}
	if os.Geteuid() != 0 {
		t.Fatal("only root can boot a machine")
	}
	if _, err := exec.LookPath("systemd-nspawn"); err != nil {
		t.Fatal("systemd-nspawn is missing: tools/deps.sh as root installs it")
	}
	changes, err := os.MkdirTemp("/dev/shm", "slotsync-machine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(changes); err != nil {
			t.Error(err)
		}
	})
	return &machine{t: t, whole: t, changes: changes}
}

// boot starts the machine, and returns when everything has that it starts by itself.
func (m *machine) boot() {
	m.t.Helper()
	log, err := os.Create(filepath.Join(m.changes, "console"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.nspawn = exec.Command("unshare", "--mount", "--fork", "--kill-child", "sh", "-c", prepare, "sh", m.changes, haproxytest.Deps(m.t)) // which may lie below /tmp, where a container has a folder of its own
	m.nspawn.Stdout, m.nspawn.Stderr = log, log
	if err := m.nspawn.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.whole.Cleanup(m.halt)
	m.eventually("the machine boots", func() bool {
		if m.leader == 0 {
			m.leader = m.firstProcess()
			return false
		}
		state, _ := m.try("systemctl", "is-system-running")
		return state == "running" || state == "degraded"
	})
	if m.net, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", m.leader)); err != nil {
		m.t.Fatal(err)
	}
}

// firstProcess is the machine's systemd: the child of nspawn, which is the one of unshare.
// 0 if there is none yet.
func (m *machine) firstProcess() int {
	pid := m.nspawn.Process.Pid
	for range 2 {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(children))); err != nil {
			return 0
		}
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(name)) != "systemd" {
		return 0
	}
	return pid
}

// shutdown ends the machine as its administrator would.
func (m *machine) shutdown() {
	m.t.Helper()
	m.run("systemctl", "--no-block", "poweroff")
	m.wait()
}

// halt ends it whatever it does.
func (m *machine) halt() {
	if m.nspawn == nil {
		return
	}
	if m.leader != 0 {
		_ = unix.Kill(m.leader, unix.SIGKILL)
	} else {
		_ = m.nspawn.Process.Kill()
	}
	m.wait()
}

func (m *machine) wait() {
	_ = m.nspawn.Wait() // how a container ends says nothing
	m.nspawn, m.leader = nil, 0
	if m.net != nil {
		_ = m.net.Close()
		m.net = nil
	}
}

// try runs a command on the machine and returns what it printed, in all.
func (m *machine) try(command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	enter := exec.CommandContext(ctx, "nsenter", append([]string{"--all", "--target", strconv.Itoa(m.leader), "--"}, command...)...)
	enter.Dir = "/"
	enter.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", "HOME=/root", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"}
	out, err := enter.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is try for what has to work.
func (m *machine) run(command ...string) string {
	m.t.Helper()
	out, err := m.try(command...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s\n%s", strings.Join(command, " "), err, out, m.journal())
	}
	return out
}

// fails is try for what must not work; it returns what it printed.
func (m *machine) fails(command ...string) string {
	m.t.Helper()
	out, err := m.try(command...)
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		m.t.Fatalf("%s: %v, want a failure\n%s", strings.Join(command, " "), err, out)
	}
	return out
}

// journal is what the machine's services said last.
func (m *machine) journal() string {
	out, _ := m.try("journalctl", "--no-pager", "-q", "-n", "40", "-u", "slotsync", "-u", "haproxy", "-u", "polkit")
	return out
}

// path is where a file of the running machine is seen from here.
func (m *machine) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", m.leader, name) }

// write makes a file of the machine.
func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(m.path(name), mode); err != nil {
		m.t.Fatal(err)
	}
}

// install copies a file onto the machine.
func (m *machine) install(from, to string, mode os.FileMode) {
	m.t.Helper()
	m.write(to, read(m.t, from), mode)
}

// contains fails the test unless text matches each part.
func (m *machine) contains(text string, parts ...string) {
	m.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			m.t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// eventually waits until done.
func (m *machine) eventually(what string, done func() bool) {
	m.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			console, _ := os.ReadFile(filepath.Join(m.changes, "console"))
			status, _ := m.try("systemctl", "status", "--no-pager", "slotsync")
			m.t.Fatalf("after %s it is not so: %s\n%s\n%s\n%s", patience, what, status, m.journal(), console)
		}
	}
}

// inside runs f on a thread that has the machine's network; the sockets that it opens stay
// there.
func (m *machine) inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Setns(int(m.net.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// dial connects within the machine.
func (m *machine) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = m.inside(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// serve answers on the machine at these addresses, until it ends.
func (m *machine) serve(addrs []string) {
	m.t.Helper()
	for _, addr := range addrs {
		var l net.Listener
		err := m.inside(func() (err error) {
			l, err = net.Listen("tcp", addr)
			return err
		})
		if err != nil {
			m.t.Fatal(err)
		}
		server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(traffic.InstanceHeader, addr)
		})}
		m.whole.Cleanup(func() { _ = server.Close() })
		go func() { _ = server.Serve(l) }()
	}
}

// underLoad does something while clients ask HAProxy without a pause, half of them over
// connections that they keep, and fails the test if one request does.
func (m *machine) underLoad(do func()) {
	m.t.Helper()
	load := traffic.New(traffic.Options{
		Targets: []traffic.Target{{Name: "edge-1", Addr: "127.0.0.1:80"}}, Workers: 8, Pause: 5 * time.Millisecond, Timeout: 10 * time.Second, Dial: m.dial,
	})
	load.Start(m.t.Context())
	defer load.Stop()
	m.eventually("requests are answered", func() bool { return load.Tally().Requests > 50 })
	do()
	before := load.Tally().Requests
	m.eventually("requests are answered afterwards", func() bool { return load.Tally().Requests > before+50 })
	load.Stop()
	tally := load.Tally()
	m.t.Logf("%d requests, %d failed", tally.Requests, tally.Failed)
	for _, failure := range tally.Failures {
		m.t.Error(failure)
	}
}

// addHAProxy installs HAProxy as Debian's package does, the program itself being the one
// that was unpacked for the tests, with this configuration.
func (m *machine) addHAProxy(config string) {
	m.t.Helper()
	unpacked := filepath.Join(haproxytest.Deps(m.t), "haproxy-2.6")
	m.run("adduser", "--system", "--disabled-password", "--disabled-login", "--home", "/var/lib/haproxy", "--no-create-home", "--quiet", "--force-badname", "--group", "haproxy")
	m.run("mkdir", "-p", "/var/lib/haproxy/dev")
	m.run("ln", "-sf", haproxytest.Binary(m.t, "2.6"), "/usr/sbin/haproxy")
	m.install(filepath.Join(unpacked, "usr/lib/tmpfiles.d/haproxy.conf"), "/usr/lib/tmpfiles.d/haproxy.conf", 0o644)
	m.install(filepath.Join(unpacked, "lib/systemd/system/haproxy.service"), "/usr/lib/systemd/system/haproxy.service", 0o644)
	m.install(config, debianConfig, 0o644)
	m.run("cp", "-r", filepath.Join(unpacked, "etc/haproxy/errors"), "/etc/haproxy/")
	m.write("/etc/default/haproxy", "EXTRAOPTS=\"-S /run/haproxy-master.sock,group,haproxy,mode,660\"\n", 0o644)
	m.run("systemd-tmpfiles", "--create", "haproxy.conf")
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "enable", "--now", "haproxy")
}

// lists replaces what the machine's slotsync finds.
func (m *machine) lists(addrs []string) {
	m.t.Helper()
	text := `[{"targets": ["` + strings.Join(addrs, `", "`) + `"]}]`
	m.write("/etc/slotsync/.endpoints", text, 0o644)
	m.run("mv", "/etc/slotsync/.endpoints", "/etc/slotsync/endpoints.json")
}

// fromFiles is one of the examples, with a file in the place of Consul.
func fromFiles(t *testing.T, example string) string {
	t.Helper()
	text := read(t, example)
	const consul = "  - name: consul\n    type: consul\n    address: http://127.0.0.1:8500\n"
	if !strings.Contains(text, consul) || !strings.Contains(text, "    source: consul\n    service: web\n") {
		t.Fatalf("%s asks no Consul", example)
	}
	text = strings.Replace(text, consul, "  - name: files\n    type: file\n    path: /etc/slotsync/endpoints.json\n", 1)
	return strings.Replace(text, "    source: consul\n    service: web\n", "    source: files\n", 1)
}

// addresses are that many of servers, from the first.
func addresses(n int) []string {
	var addrs []string
	for i := range n {
		addrs = append(addrs, fmt.Sprintf("127.9.%d.%d:8080", i/200, i%200+1))
	}
	return addrs
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
