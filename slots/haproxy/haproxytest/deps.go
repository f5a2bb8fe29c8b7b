// Package haproxytest has HAProxys for tests: the real ones, one that is made
// up and behaves like them, and a relay that listens in between.
package haproxytest

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/tools/loopback"
)

// Versions are the versions of HAProxy that are tested.
var Versions = [...]string{"2.6", "3.0", "3.2", "3.4"}

// Deps returns the folder of the programs that tests run: SLOTSYNC_DEPS, else
// .cache/deps below the module.
func Deps(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("SLOTSYNC_DEPS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, ".cache", "deps")
		}
		if at == filepath.Dir(at) {
			tb.Fatalf("no go.mod above %s", dir)
		}
	}
}

// Binary returns the HAProxy of a version of [Versions]. The test fails if it is
// not there.
func Binary(tb testing.TB, version string) string {
	tb.Helper()
	path := filepath.Join(Deps(tb), "haproxy-"+version, "haproxy")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	const system = "/usr/sbin/haproxy"
	if out, err := exec.Command(system, "-v").Output(); err == nil && strings.Contains(string(out), " version "+version+".") {
		return system
	}
	tb.Fatalf("no HAProxy %s at %s: run make deps", version, path)
	return ""
}

// FreePort returns a port of 127.0.0.1 on which nobody listens; see [loopback.Port].
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := loopback.Port()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// Ask sends one line to a Runtime API and returns the whole answer. It takes
// what comes: an answer that is cut is no failure, one that does not come
// within 10 s is.
func Ask(tb testing.TB, socket, line string) string {
	tb.Helper()
	answer, err := ask(socket, line, 10*time.Second)
	if err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	return answer
}

func ask(socket, line string, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout("unix", socket, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	if len(b) > 0 {
		return string(b), nil
	}
	return "", err
}

// tempDir is short, because the path of a unix socket has 107 bytes at most.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
