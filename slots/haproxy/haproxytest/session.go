package haproxytest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// defaultBuffer is tune.bufsize as it is by default.
const defaultBuffer = 16384

// A session is one connection to a Fake.
type session struct {
	fake   *Fake
	worker *worker
	conn   net.Conn
	// level is what the session may do; of is the one of its socket.
	level, of string
	prompt    bool
	quit      bool
	sent      int
}

var errCut = errors.New("cut")

// serve answers one line, or, where the version does that, lines for as long as
// they come.
func (s *session) serve() {
	defer s.conn.Close()
	r := bufio.NewReaderSize(s.conn, 16<<10)
	for !s.quit {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		s.wait()
		if s.write(s.run(strings.TrimSuffix(line, "\n"))) != nil {
			return
		}
		if !s.prompt && (s.fake.version != "2.6" || r.Buffered() == 0) {
			return
		}
	}
}

// wait returns when the Fake does not hang.
func (s *session) wait() {
	s.fake.mu.Lock()
	hung := s.fake.hung
	s.fake.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

func (s *session) write(text string) error {
	s.fake.mu.Lock()
	cut := s.fake.cut
	s.fake.mu.Unlock()
	end := error(nil)
	if cut >= 0 && s.sent+len(text) > cut {
		text, end = text[:max(cut-s.sent, 0)], errCut
	}
	s.sent += len(text)
	if _, err := io.WriteString(s.conn, text); err != nil {
		return err
	}
	return end
}

// run executes one line and frames the answers.
func (s *session) run(line string) string {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	s.fake.received = append(s.fake.received, line)
	modern := s.fake.boundsLines()
	if modern && len(line) >= s.fake.buffer {
		s.quit = true
		option := "tune.bufsize"
		if s.fake.version == "3.4" {
			option = "'tune.bufsize'"
		}
		return "The command line is too big for the buffer size. Please change " + option + " in the configuration to use a bigger command.\n"
	}
	if modern && strings.HasSuffix(line, "\r") {
		// it ends the line, and the line feed ends an empty one
		line += ";"
	}
	var out strings.Builder
	for command := range strings.SplitSeq(line, ";") {
		if s.quit {
			break
		}
		if len(command) >= s.fake.buffer {
			s.quit = true
			break
		}
		out.WriteString(s.told(command))
		switch {
		case s.quit:
		case s.prompt && !modern:
			out.WriteString("\n> ")
		default:
			out.WriteString("\n")
		}
	}
	if s.prompt && modern && !s.quit {
		return strings.TrimSuffix(out.String(), "\n") + "\n> "
	}
	return out.String()
}

// told runs one command, and tells whoever wants to know what it did.
func (s *session) told(command string) string {
	if s.fake.executed == nil {
		return s.execute(command)
	}
	e := Executed{At: time.Now(), Command: command}
	if a := strings.Fields(command); len(a) > 2 && a[0] != "show" && a[0] != "get" {
		e.Backend, e.Server, _ = strings.Cut(a[2], "/")
		if a[0] == "shutdown" && len(a) > 3 {
			e.Backend, e.Server, _ = strings.Cut(a[3], "/")
		}
	}
	if e.Server != "" {
		e.Before = s.worker.row(e.Backend, e.Server)
	}
	e.Reply = s.execute(command)
	if e.Server != "" {
		e.After = s.worker.row(e.Backend, e.Server)
		s.fake.executed(e)
	}
	return e.Reply
}

// execute runs one command and returns its text. The lock is held.
func (s *session) execute(command string) string {
	args := strings.Fields(command)
	if len(args) > 64 {
		if s.fake.boundsLines() {
			return "Too many arguments. Commands must have at most 64 arguments.\n"
		}
		args = args[:64]
	}
	if len(args) == 0 {
		if s.fake.version == "2.6" {
			return "Unknown command. Please enter one of the following commands only:\n" + helpText
		}
		return ""
	}
	switch args[0] {
	case "prompt":
		s.prompt = !s.prompt
		return ""
	case "quit":
		s.quit = true
		return ""
	case "user", "operator":
		if rank(args[0]) > rank(s.level) {
			return "Permission denied\n"
		}
		s.level = args[0]
		return ""
	}
	// arguments that are missing are empty, as in HAProxy
	return s.command(append(args, "", "", "", "", "", ""))
}

// boundsLines reports whether a line has to fit into the buffer as a whole, as from 3.2
// on; there one prompt follows it, too.
func (f *Fake) boundsLines() bool { return f.version == "3.2" || f.version == "3.4" }

// rank orders levels.
func rank(level string) int { return strings.Index("user operator admin", level) }
