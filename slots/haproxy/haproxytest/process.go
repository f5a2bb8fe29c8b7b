package haproxytest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/tools/eventually"
)

// A Process is a real HAProxy. It ends with its test. Kill, Pid, Worker and Log
// may be called at any time.
type Process struct {
	// Config is what it runs with; a change counts from the next Restart or
	// Reload on.
	Config Config
	// Socket is its Runtime API, Master the master's if there is one.
	Socket, Master string

	tb  testing.TB
	dir string

	mu  sync.Mutex
	run run
}

// A run is one program from its start to its end.
type run struct {
	pid  int
	done chan struct{} // closed when it has ended
}

func (r run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Start runs a HAProxy in a folder of its own and returns when it answers.
func Start(tb testing.TB, c Config) *Process {
	tb.Helper()
	dir := tempDir(tb)
	p := &Process{Config: c, Socket: filepath.Join(dir, "admin.sock"), tb: tb, dir: dir}
	if c.Master {
		p.Master = filepath.Join(dir, "master.sock")
	}
	if err := os.MkdirAll(p.StateDir(), 0o755); err != nil {
		tb.Fatal(err)
	}
	p.start()
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			log := p.Log()
			tb.Logf("HAProxy %s:\n%s", p.Config.Version, log[max(0, len(log)-2000):])
		}
	})
	return p
}

func stateDir(dir string) string { return filepath.Join(dir, "state") }

// StateDir is where the files are that Config.StateFile loads.
func (p *Process) StateDir() string { return stateDir(p.dir) }

// File returns the path of the configuration.
func (p *Process) File() string { return filepath.Join(p.dir, "haproxy.cfg") }

func (p *Process) writeConfig() {
	p.tb.Helper()
	if err := os.WriteFile(p.File(), []byte(p.Config.text(p.dir, p.Socket)), 0o644); err != nil {
		p.tb.Fatal(err)
	}
}

func (p *Process) start() {
	p.tb.Helper()
	p.writeConfig()
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.tb.Fatal(err)
	}
	defer log.Close()
	args := []string{"-f", p.File(), "-db"}
	if p.Config.Master {
		args = []string{"-f", p.File(), "-W", "-S", p.Master}
	}
	cmd := exec.Command(Binary(p.tb, cmp.Or(p.Config.Version, Versions[len(Versions)-1])), args...)
	cmd.Stdout, cmd.Stderr = log, log
	// a group of its own, so that a master's workers end with it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	now := run{pid: cmd.Process.Pid, done: done}
	p.mu.Lock()
	p.run = now
	p.mu.Unlock()
	eventually.True(p.tb, "HAProxy answers", func() bool { return p.Worker() != 0 && p.masterAnswers() || now.ended() })
	if now.ended() {
		p.tb.Fatalf("HAProxy has ended:\n%s", p.Log())
	}
}

func (p *Process) current() run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// Pid returns the process that was started: the master, if there is one.
func (p *Process) Pid() int { return p.current().pid }

// Worker returns the process that answers on the socket; 0 if none does.
func (p *Process) Worker() int {
	answer, err := ask(p.Socket, "show info", time.Second)
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(answer, "\n") {
		if v, ok := strings.CutPrefix(line, "Pid: "); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// Kill ends it at once, workers included. The socket's file stays.
func (p *Process) Kill() {
	if r := p.current(); !r.ended() {
		syscall.Kill(-r.pid, syscall.SIGKILL)
		<-r.done
	}
}

// Restart kills it if it still runs, and starts it again on the same socket.
func (p *Process) Restart() {
	p.tb.Helper()
	p.Kill()
	p.start()
}

// Stop freezes the process that answers (SIGSTOP) until the returned function
// is called.
func (p *Process) Stop() (cont func()) {
	p.tb.Helper()
	pid := p.Worker()
	if pid == 0 {
		p.tb.Fatal("no HAProxy to stop")
	}
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually.True(p.tb, "HAProxy is stopped", func() bool { return stopped(p.tb, pid) })
	return func() { syscall.Kill(pid, syscall.SIGCONT) }
}

// stopped reports whether all threads of a process are: the signal takes them
// one by one.
func stopped(tb testing.TB, pid int) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		tb.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, f := range files {
		// proc_pid_stat(5): the state follows the name, which is in parentheses
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), ") T ") {
			return false
		}
	}
	return true
}

// Reload makes the master load the configuration and returns when a new worker
// answers.
func (p *Process) Reload() {
	p.tb.Helper()
	if !p.Config.Master {
		p.tb.Fatal("a reload needs Config.Master")
	}
	p.writeConfig()
	old := p.Worker()
	if err := syscall.Kill(p.Pid(), syscall.SIGUSR2); err != nil {
		p.tb.Fatal(err)
	}
	eventually.True(p.tb, "a new worker answers", func() bool {
		pid := p.Worker()
		return pid != 0 && pid != old && p.masterAnswers()
	})
}

// masterAnswers reports whether the master, if there is one, has started: the
// worker answers before, and signals that come too early are lost.
func (p *Process) masterAnswers() bool {
	if p.Master == "" {
		return true
	}
	answer, err := ask(p.Master, "show proc\nquit", time.Second)
	return err == nil && strings.Contains(answer, "# workers")
}

// Log returns what HAProxy has logged so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.logFile())
	if err != nil {
		p.tb.Error(err)
	}
	return string(b)
}

func (p *Process) logFile() string { return filepath.Join(p.dir, "log") }
