package haproxytest

import (
	"cmp"
	"fmt"
	"strings"
)

// A Backend is a backend with the slots of one server-template, of a real or a
// made-up HAProxy. The zero value but for Name is a good one: ten slots as they
// are recommended.
type Backend struct {
	Name   string
	Slots  int    // 0: 10
	Prefix string // of the slots' names; "": Name
	// After is the number before the first slot's: 4 for a template of 5-14.
	After int
	// Static are the names of servers besides the template, which are ready at
	// 127.0.0.1:1.
	Static []string
	Weight int // of the configuration; 0: 100
	// Frontend is a port of 127.0.0.1 that leads to the backend; 0: none.
	Frontend int
	// Balance is the algorithm, as in "source", which takes no weights; "": the
	// default.
	Balance string
	// Check are the parameters of health checks, as in "check inter 1s".
	Check string
	// Agent are the parameters of agent-checks, as in "agent-check agent-port 9000". The
	// agent of a made-up HAProxy never answers.
	Agent string
	// Resolvers is a section of resolvers that finds the slots' addresses; "": none does.
	Resolvers string
	// Enabled: the slots are not "disabled" in the configuration.
	Enabled bool
	// NoAddress: the slots start without an address ("init-addr none"), and none
	// can be set.
	NoAddress bool
	// Disabled: the backend is.
	Disabled bool
	// Options are further lines of the backend. A made-up HAProxy ignores them.
	Options []string
}

func (b Backend) prefix() string { return cmp.Or(b.Prefix, b.Name) }
func (b Backend) slots() int     { return cmp.Or(b.Slots, 10) }
func (b Backend) weight() int    { return cmp.Or(b.Weight, 100) }

// Slot returns the name of slot n, from 1.
func (b Backend) Slot(n int) string { return fmt.Sprintf("%s%d", b.prefix(), b.After+n) }

// text is the section of the configuration.
func (b Backend) text(stateFile bool) string {
	var s strings.Builder
	if b.Frontend != 0 {
		fmt.Fprintf(&s, "frontend %s_in\n  bind 127.0.0.1:%d\n  default_backend %s\n", b.Name, b.Frontend, b.Name)
	}
	fmt.Fprintf(&s, "backend %s\n", b.Name)
	if b.Balance != "" {
		fmt.Fprintf(&s, "  balance %s\n", b.Balance)
	}
	if b.Disabled {
		s.WriteString("  disabled\n")
	}
	if stateFile {
		s.WriteString("  load-server-state-from-file local\n")
	}
	for _, o := range b.Options {
		fmt.Fprintf(&s, "  %s\n", o)
	}
	init, disabled := "last,127.0.0.1", " disabled"
	if b.NoAddress {
		init = "none"
	}
	if b.Enabled {
		disabled = ""
	}
	keywords := strings.TrimSpace(b.Check + " " + b.Agent)
	if b.Resolvers != "" {
		keywords += " resolvers " + b.Resolvers
	}
	fmt.Fprintf(&s, "  server-template %s %d-%d slot.invalid:1 init-addr %s%s weight %d %s\n",
		b.prefix(), b.After+1, b.After+b.slots(), init, disabled, b.weight(), keywords)
	for _, name := range b.Static {
		fmt.Fprintf(&s, "  server %s 127.0.0.1:1 weight %d\n", name, b.weight())
	}
	return s.String()
}

// A Config is what a real HAProxy is started with.
type Config struct {
	Version  string // of [Versions]; "": the newest
	Backends []Backend
	// Level is the one of the socket: "user", "operator", or "": "admin".
	Level string
	// Maxconn is `stats maxconn`; 0: HAProxy's own default, which is 10.
	Maxconn int
	// Master: it runs as master and worker, with a socket for the master.
	Master bool
	// StateFile: each backend loads the file of its name in [Process.StateDir].
	StateFile bool
	// Global are further lines of the section "global".
	Global string
	// Extra is appended to the configuration.
	Extra string
	// Text is the configuration as a whole, instead of all but Version and
	// Master. In it, {socket} and {dir} stand for paths.
	Text string
}

// text is the configuration file.
func (c Config) text(dir, socket string) string {
	if c.Text != "" {
		return strings.NewReplacer("{socket}", socket, "{dir}", dir).Replace(c.Text)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "global\n  stats socket %s mode 600 level %s expose-fd listeners\n  node test\n",
		socket, cmp.Or(c.Level, "admin"))
	if c.Maxconn != 0 {
		fmt.Fprintf(&s, "  stats maxconn %d\n", c.Maxconn)
	}
	s.WriteString(c.Global)
	if c.StateFile {
		fmt.Fprintf(&s, "  server-state-base %s\n", stateDir(dir))
	}
	s.WriteString("  log stdout format raw local0\ndefaults\n  mode http\n  log global\n  option httplog\n" +
		"  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n")
	if c.StateFile {
		s.WriteString("  server-state-file-name use-backend-name\n")
	}
	for _, b := range c.Backends {
		s.WriteString(b.text(c.StateFile))
	}
	s.WriteString(c.Extra)
	return s.String()
}
