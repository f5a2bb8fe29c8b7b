package haproxytest

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Bits of srv_admin_state.
const (
	forcedMaint    = 0x01
	configMaint    = 0x04
	forcedDrain    = 0x08
	resolverMaint  = 0x20
	anyMaintenance = 0x23
)

// rise is HAProxy's own: a server that was made ready has as much health.
const rise = 2

// A backend of a worker, with its state.
type backend struct {
	Backend
	id      int
	servers []*server
}

// A server of a worker. addr is the address as HAProxy prints it, "" for none.
type server struct {
	id       int
	name     string
	addr     string
	port     int
	mapped   bool // port is an offset to the client's
	admin    int
	running  bool // srv_op_state is 2, not 0
	weight   int
	initial  int
	checked  bool
	health   int // of checks, and whether they are paused, as HAProxy shows it
	paused   bool
	changed  time.Time
	sessions int
	total    int // sessions that there ever were
	pending  []pending
	// of one that was added
	dynamic                 bool
	modern                  bool // it is up before its agent has answered, as those of the configuration are, and all from 3.4 on
	check, agent, agentPort int
	fall                    int // 0: 3
}

// pending is an address that was answered and is not applied yet.
type pending struct {
	addr   string
	port   int
	mapped bool
	due    time.Time
}

func newBackend(version string, id int, b Backend) *backend {
	made := &backend{Backend: b, id: id}
	for n := range b.slots() {
		s := &server{
			id: n + 1, name: b.Slot(n + 1), addr: "127.0.0.1", port: 1,
			weight: b.weight(), initial: b.weight(), checked: b.Check != "", changed: time.Now(),
		}
		if b.Agent != "" {
			s.agent, s.modern = checkIsAgent|checkConfigured|checkEnabled, true
		}
		if b.NoAddress {
			s.addr = ""
			s.admin |= resolverMaint
		}
		if !b.Enabled {
			s.admin |= forcedMaint | configMaint
		}
		s.running = s.admin&anyMaintenance == 0
		s.paused = !b.Enabled
		if s.running {
			s.health = rise
		}
		if n == 0 && b.Check == "" && version == "3.4" {
			s.health = 0 // the others are made after it
		}
		made.servers = append(made.servers, s)
	}
	for _, name := range b.Static {
		made.servers = append(made.servers, &server{
			id: len(made.servers) + 1, name: name, addr: "127.0.0.1", port: 1, weight: b.weight(), initial: b.weight(),
			running: true, health: rise, changed: time.Now(),
		})
	}
	if b.Disabled {
		made.neverStarted()
	}
	return made
}

// neverStarted leaves the servers as HAProxy shows those of a disabled backend:
// half made, last one first.
func (b *backend) neverStarted() {
	for i, s := range b.servers {
		s.id, s.addr, s.running, s.paused, s.health = 0, "", false, true, 0
		if i > 0 {
			s.admin = 0
		}
	}
	slices.Reverse(b.servers)
}

func (b *backend) server(name string) *server {
	for _, s := range b.servers {
		if s.name == name {
			return s
		}
	}
	return nil
}

// settle applies what is due.
func (s *server) settle(now time.Time) {
	for len(s.pending) > 0 && !s.pending[0].due.After(now) {
		p := s.pending[0]
		s.pending = s.pending[1:]
		s.addr, s.port, s.mapped = p.addr, p.port, p.mapped
	}
}

func (s *server) setState(word string) bool {
	was := s.admin
	switch word {
	case "ready":
		s.admin &^= forcedMaint | forcedDrain
	case "drain":
		s.admin = s.admin&^forcedMaint | forcedDrain
	case "maint":
		s.admin = s.admin&^forcedDrain | forcedMaint
	default:
		return false
	}
	if was&anyMaintenance != 0 || s.admin&anyMaintenance != 0 {
		// until its agent has answered, which it never does
		s.running = s.admin&anyMaintenance == 0 && (s.modern || s.agent&checkEnabled == 0)
	}
	if s.admin != was {
		s.changed = time.Now()
	}
	switch {
	case s.admin&anyMaintenance != 0:
		s.health = 0
	case was&anyMaintenance != 0 && s.checked:
		s.health, s.paused = rise, false
	}
	return true
}

// shownPort is a port without the sign of an offset.
func (s *server) shownPort() int {
	if s.port < 0 {
		return -s.port
	}
	return s.port
}

// signedPort is a port as replies to "addr" show it.
func (s *server) signedPort() string {
	if s.mapped {
		return fmt.Sprintf("%+d", s.port)
	}
	return fmt.Sprint(s.port)
}

func (s *server) op() int {
	if s.running {
		return 2
	}
	return 0
}

// status is the column of that name in "show stat".
func (s *server) status() string {
	switch {
	case s.admin&resolverMaint != 0:
		return "MAINT (resolution)"
	case s.admin&anyMaintenance != 0:
		return "MAINT"
	case !s.running && s.agent != 0:
		return "DOWN (agent)"
	case !s.checked && s.admin&forcedDrain != 0:
		return "DRAIN"
	case s.admin&forcedDrain != 0:
		return fmt.Sprintf("DRAIN 1/%d", cmp.Or(s.fall, 3))
	case s.checked:
		return fmt.Sprintf("UP 1/%d", cmp.Or(s.fall, 3))
	}
	return "no check"
}
