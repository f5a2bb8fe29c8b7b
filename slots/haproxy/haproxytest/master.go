package haproxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Rewrite replaces the file of the configuration, which counts when somebody else
// than this Process has the master reload: its own Reload and Restart write what
// Config says. With an empty text that is what Rewrite writes, too.
func (p *Process) Rewrite(text string) {
	p.tb.Helper()
	if text == "" {
		p.writeConfig()
		return
	}
	if err := os.WriteFile(p.File(), []byte(text), 0o644); err != nil {
		p.tb.Fatal(err)
	}
}

// Linger opens a session of the Runtime API that keeps the worker which answers
// now alive beyond reloads, until the returned function is called, and returns
// that worker. The session is one of `stats maxconn`.
func (p *Process) Linger() (worker int, release func()) {
	p.tb.Helper()
	conn, err := net.Dial("unix", p.Socket)
	if err != nil {
		p.tb.Fatal(err)
	}
	release = sync.OnceFunc(func() { conn.Close() })
	p.tb.Cleanup(release)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "prompt;set timeout cli 1h;show info\n"); err != nil {
		p.tb.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if pid, ok := strings.CutPrefix(lines.Text(), "Pid: "); ok {
			if _, err := fmt.Sscan(pid, &worker); err != nil {
				p.tb.Fatal(err)
			}
			return worker, release
		}
	}
	p.tb.Fatal("no worker says who it is")
	return 0, nil
}

// AskWorker asks one worker, which may be an old one, by way of the master
// (Management Guide, 9.4, "@!<pid>"), and returns the whole answer.
func (p *Process) AskWorker(worker int, command string) string {
	p.tb.Helper()
	return Ask(p.tb, p.Master, fmt.Sprintf("@!%d %s;quit", worker, command))
}
