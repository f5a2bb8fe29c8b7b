package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const (
	idleServices = 500
	idleFor      = time.Minute
	clockTicks   = 100 // a second, of the times in /proc: USER_HZ on Linux
)

// BenchmarkIdle says what the program costs that watches 500 services of a Consul
// on which nothing happens: the share of a core, the memory and the connections,
// over plain HTTP, where most of them have to be polled, and over HTTPS.
func BenchmarkIdle(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "slotsync")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	b.Run("over=http", func(b *testing.B) {
		server := consultest.Start(b)
		idle(b, binary, server, "address: "+server.URL())
	})
	b.Run("over=https", func(b *testing.B) {
		authority := consultest.NewAuthority(b)
		ca := filepath.Join(b.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
			b.Fatal(err)
		}
		server := consultest.Start(b, consultest.HTTPS(authority))
		idle(b, binary, server, fmt.Sprintf("address: %s, tls: {ca_file: %s}", server.HTTPSURL(), ca))
	})
}

func idle(b *testing.B, binary string, server *consultest.Server, source string) {
	for i := range idleServices {
		server.Register(idleService(i), idleService(i)+"-1", "127.0.0.9", 2000+i)
	}
	proxy := haproxytest.Start(b, haproxytest.Config{Version: haproxytest.Versions[len(haproxytest.Versions)-1], Text: idleHAProxy()})
	listen := fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(b))
	config := filepath.Join(b.TempDir(), "slotsync.yaml")
	if err := os.WriteFile(config, []byte(idleConfig(proxy.Socket, source, listen, b.TempDir())), 0o600); err != nil {
		b.Fatal(err)
	}
	pid := startProgram(b, binary, config)
	eventually(b, 2*time.Minute, func() string { return inStepAt(listen, idleServices) })
	for range b.N {
		before := cpuTime(b, pid)
		rest(b, idleFor)
		b.ReportMetric(100*(cpuTime(b, pid)-before).Seconds()/idleFor.Seconds(), "%-of-a-core")
		own, all := memory(b, pid)
		b.ReportMetric(own, "MB-of-its-own")
		b.ReportMetric(all, "MB-with-the-program")
		b.ReportMetric(float64(established(b, pid)), "connections")
	}
}

func idleService(i int) string { return fmt.Sprintf("idle-%03d", i) }

func idleHAProxy() string {
	var s strings.Builder
	s.WriteString("global\n  stats socket {socket} mode 600 level admin\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n")
	for i := range idleServices {
		fmt.Fprintf(&s, "backend %s\n  server-template web 1-4 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100\n", idleService(i))
	}
	return s.String()
}

func idleConfig(socket, source, listen, stateDir string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "haproxy:\n  instances: [{name: edge-1, socket: %s}]\nstate_dir: %s\nhttp: {listen: %q, socket: \"\"}\n", socket, stateDir, listen)
	fmt.Fprintf(&s, "sources: [{name: consul, type: consul, %s}]\n", source)
	s.WriteString("backends:\n")
	for i := range idleServices {
		fmt.Fprintf(&s, "  - {name: %s, slots: web, source: consul, service: %s}\n", idleService(i), idleService(i))
	}
	return s.String()
}

// startProgram runs the binary until the benchmark ends, and returns its pid.
func startProgram(b *testing.B, binary, config string) int {
	b.Helper()
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	program := exec.Command(binary, "run", "--config", config)
	program.Stdout, program.Stderr = log, log
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = program.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = program.Wait()
		if b.Failed() {
			text, _ := os.ReadFile(log.Name())
			b.Logf("%s", text[:min(len(text), 4000)])
		}
		log.Close()
	})
	return program.Process.Pid
}

// inStepAt says what keeps the program from being in step with n endpoints.
func inStepAt(listen string, n int) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/metrics", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	ready := strings.Count(string(text), `state="ready"} 1`)
	if !strings.Contains(string(text), `slotsync_instance_in_sync{haproxy="edge-1"} 1`) || ready < 2*n { // of the source, and of HAProxy
		return fmt.Sprintf("%d of %d series are ready", ready, 2*n)
	}
	return ""
}

// rest waits; nothing is asked of the program meanwhile.
func rest(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

// cpuTime is what a process has used of the processors (proc(5), stat).
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks
}

// memory is what a process holds (proc(5), status): what is its own, and with the
// pages of the program's file that it has used, which the system can drop.
func memory(b *testing.B, pid int) (own, all float64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	kilobytes := func(name string) float64 {
		_, rest, _ := strings.Cut(string(text), "\n"+name+":")
		n, err := strconv.Atoi(strings.Fields(rest + " none")[0])
		if err != nil {
			b.Fatal(err)
		}
		return float64(n) / 1000
	}
	return kilobytes("RssAnon"), kilobytes("VmRSS")
}

// established counts the sockets that a process has open.
func established(b *testing.B, pid int) int {
	b.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}
