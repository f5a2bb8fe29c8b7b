package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/securedir/securedirtest"
)

// privateTest is set in the process that runs the test it names in name spaces of its own.
const privateTest = "SLOTSYNC_TEST_PRIVATE"

// inPrivate has the rest of a test run in a network, with mounts and processes of its own,
// all of which end with the test whatever it started. It returns false where that was done,
// and skips the test unless the variable gate is set.
func inPrivate(t *testing.T, gate string) bool {
	t.Helper()
	if os.Getenv(privateTest) == t.Name() {
		loopbackUp(t)
		return true
	}
	if os.Getenv(gate) != "1" {
		t.Skipf("%s=1 is not set: see the Makefile", gate)
	}
	securedirtest.NeedsRoot(t, "it makes name spaces")
	only := flag.Lookup("test.run").Value.String()
	_, below, _ := strings.Cut(only, "/") // a part of the test alone
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		os.Args[0], "-test.run=^"+t.Name()+"$/"+below, "-test.v", "-test.timeout=15m")
	cmd.Env = append(os.Environ(), privateTest+"="+t.Name())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// A daemon that was started keeps the pipe until the name space ends.
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	t.Logf("%s", out.String())
	if err != nil || !strings.Contains(out.String(), "--- PASS: "+t.Name()) {
		t.Fatal(err)
	}
	return false
}

// loopbackUp brings up the only interface that a new network has.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// underLoad asks an edge all the while that body runs: half of the clients keep their
// connections. No request may fail, but where body says that the edge itself is away.
func underLoad(t *testing.T, addr string, body func(away func() (back func()))) {
	t.Helper()
	l, stop := startLoad(t, 8, 10*time.Millisecond, traffic.Target{Name: "edge", Addr: addr})
	body(func() func() { return l.window("edge") })
	l.reaches(t, 50)
	stop()
	a := l.Account()
	t.Logf("%d requests, %d failed, %d repeated, %d excused", a.Requests, a.Failed, a.Repeated, a.Excused)
	if a.Failed > 0 {
		t.Errorf("%d of %d requests failed:\n%s", a.Failed, a.Requests, strings.Join(a.Failures, "\n"))
	}
}
