package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is a pseudo-terminal with a program in it, and all that it has written.
type terminal struct {
	t       *testing.T
	master  *os.File
	program *exec.Cmd
	mu      sync.Mutex
	text    strings.Builder
	read    sync.WaitGroup
}

// inTerminal runs a program in a terminal of that size.
func inTerminal(t *testing.T, columns, rows uint16, name string, args ...string) *terminal {
	t.Helper()
	master, slave := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	program := exec.Command(name, args...)
	program.Stdin, program.Stdout, program.Stderr = slave, slave, slave
	program.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close() // the program has it
	in := &terminal{t: t, master: master, program: program}
	in.read.Go(in.listen)
	t.Cleanup(func() {
		_ = program.Process.Kill() // it may have ended
		_ = master.Close()
		in.read.Wait()
		if t.Failed() {
			t.Logf("%q", in.written())
		}
	})
	return in
}

// openTerminal returns both ends of a new pseudo-terminal, pty(7).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			n, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// listen notes what is written until the program has ended.
func (in *terminal) listen() {
	buf := make([]byte, 1<<16)
	for {
		n, err := in.master.Read(buf)
		in.mu.Lock()
		in.text.Write(buf[:n])
		in.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (in *terminal) written() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.text.String()
}

// waits until the program has written all of that.
func (in *terminal) waits(words ...string) {
	in.t.Helper()
	eventually(in.t, 20*time.Second, func() string {
		for _, w := range words {
			if !strings.Contains(in.written(), w) {
				return fmt.Sprintf("%q is not written", w)
			}
		}
		return ""
	})
}

func (in *terminal) press(keys string) {
	in.t.Helper()
	if _, err := in.master.WriteString(keys); err != nil {
		in.t.Fatal(err)
	}
}

// TestTopInATerminal: what is pressed there is done at every HAProxy, and the terminal
// is left as it was.
func TestTopInATerminal(t *testing.T) {
	r := newPageRig(t, 3)
	in := inTerminal(t, 120, 30, "slotsync", "top", "--agent", r.url, "--token-file", r.token)
	in.waits("2/2 instances in sync", "web/web1", "127.0.0.9:8003")
	in.press("4") // what was before is there too
	in.waits("slots_changed")
	in.press("2")

	takesTraffic := func(want bool) {
		t.Helper()
		eventually(t, 20*time.Second, func() string {
			for _, edge := range r.edges {
				if got := ready(t, edge.Socket, "web"); slices.Contains(got, "127.0.0.9:8003") != want {
					return fmt.Sprintf("ready are %v", got)
				}
			}
			return ""
		})
	}
	in.press("/web-3\r") // by what people call it
	in.press("dy")
	takesTraffic(false)
	in.press("/" + strings.Repeat("\x7f", len("web-3")) + "\r5") // nothing else is overridden
	in.waits("drain by")
	in.press("ry")
	takesTraffic(true)
	in.press("q")
	if err := in.program.Wait(); err != nil {
		t.Error(err)
	}
	in.waits("\x1b[?1049h", "\x1b[?1049l")
}
