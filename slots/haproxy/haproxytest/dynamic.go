package haproxytest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bits of srv_check_state and srv_agent_state.
const (
	checkConfigured = 0x02
	checkEnabled    = 0x04
	checkPaused     = 0x08
	checkIsAgent    = 0x10
)

// bare takes the line end from a text that has none in old versions.
func (s *session) bare(text string) string {
	if s.fake.version == "2.6" {
		return strings.TrimSuffix(text, "\n")
	}
	return text
}

// isStatic reports whether b has an algorithm that takes no added servers.
func (b *backend) isStatic() bool {
	switch {
	case b.Disabled:
		return true
	case slices.Contains(b.Options, "hash-type consistent"):
		return false
	}
	return slices.Contains([]string{"source", "uri", "static-rr"}, b.Balance)
}

// addServer executes "add server b/s addr keywords…". An old worker does too.
func (s *session) addServer(a []string) string {
	px, name, ok := strings.Cut(a[2], "/")
	if !ok {
		return s.bare("Require 'backend/server'.\n")
	}
	b := s.findBackend(px)
	switch {
	case b == nil:
		return s.bare("No such backend.\n")
	case b.Disabled && s.fake.version == "3.4":
		return s.crash()
	case b.isStatic() && s.fake.version == "3.4":
		return fmt.Sprintf("Backend does not support dynamic servers : backend '%s' uses a non dynamic load balancing method.\n", px)
	case b.isStatic():
		return s.bare("Backend must use a dynamic load balancing to support dynamic servers.\n")
	case a[3] == "":
		return "'server' expects <name> and <addr>[:<port>] as arguments.\n"
	}
	const taken = "Already exists a server with the same name in backend.\n"
	if s.fake.version == "3.4" && b.server(name) != nil {
		return taken
	}
	sv, refusal := newDynamic(name, a[3])
	if refusal == "" {
		refusal = sv.keywords(a[4:], s.fake.version == "2.6")
	}
	switch {
	case refusal != "":
		return refusal + "\n"
	case b.server(name) != nil:
		return taken
	}
	sv.modern = s.fake.version == "3.4"
	sv.id = b.freeID()
	b.servers = append(b.servers, sv)
	return "New server registered.\n"
}

// crash ends the process in the middle of a command, and starts another one.
func (s *session) crash() string {
	s.fake.replace(nil)
	s.fake.closeAll()
	s.quit = true
	return ""
}

// freeID returns the lowest number that no server has.
func (b *backend) freeID() int {
	id := 1
	for slices.ContainsFunc(b.servers, func(s *server) bool { return s.id == id }) {
		id++
	}
	return id
}

// newDynamic returns a server in maintenance. Host names are none that it takes.
func newDynamic(name, at string) (sv *server, refusal string) {
	cut := strings.LastIndexByte(at, ':')
	if cut < 0 {
		return nil, fmt.Sprintf("'server %s' : missing port in '%s'", name, at)
	}
	ip, err := netip.ParseAddr(strings.Trim(at[:cut], "[]"))
	port, errPort := strconv.Atoi(at[cut+1:])
	if err != nil || errPort != nil {
		return nil, fmt.Sprintf("'server %s' : invalid address: '%s'", name, at)
	}
	return &server{
		name: name, addr: ip.String(), port: port, admin: forcedMaint, weight: 1, initial: 1,
		dynamic: true, changed: time.Now(),
	}, ""
}

// keywords takes those that tests use; others are unknown to it.
func (sv *server) keywords(words []string, old bool) (refusal string) {
	for len(words) > 0 && words[0] != "" {
		word, value := words[0], words[1]
		n := 2
		switch word {
		case "check":
			sv.check, n = checkConfigured, 1
		case "agent-check":
			sv.agent, n = checkIsAgent|checkConfigured, 1
		case "agent-port":
			sv.agentPort, _ = strconv.Atoi(value)
		case "backup":
			n = 1
		case "fall":
			sv.fall, _ = strconv.Atoi(value)
		case "inter", "agent-inter", "rise", "maxconn", "port", "slowstart":
			if value == "" {
				return fmt.Sprintf("'%s' expects a delay as argument..", word)
			}
		case "weight":
			w, _ := strconv.Atoi(value)
			if w < 0 || w > 256 {
				return fmt.Sprintf("weight of server %s is not within 0 and 256 (%d)..", sv.name, w)
			}
			sv.weight, sv.initial = w, w
		case "resolvers", "init-addr":
			return fmt.Sprintf("'%s' option is not accepted for dynamic server", word)
		case "cookie":
			if old {
				return "'cookie' option is not accepted for dynamic server"
			}
		default:
			return fmt.Sprintf("unknown keyword '%s'.", word)
		}
		words = words[min(n, len(words)):]
	}
	return ""
}

// delServer executes "del server b/s". An old worker does too.
func (s *session) delServer(a []string) string {
	b, sv, refusal := s.find(a[2])
	switch {
	case refusal != "":
		return s.bare(refusal)
	case sv.admin&anyMaintenance == 0:
		return s.bare("Only servers in maintenance mode can be deleted.\n")
	case sv.sessions > 0:
		return s.bare("Server still has connections attached to it, cannot remove it.\n")
	}
	b.servers = slices.DeleteFunc(b.servers, func(other *server) bool { return other == sv })
	return s.bare("Server deleted.\n")
}

func (s *session) enableHealth(a []string) string {
	return s.onServer(a[2], func(_ *backend, sv *server) string {
		if sv.checks()&checkConfigured == 0 {
			return "Health check was not configured on this server, cannot enable.\n"
		}
		if sv.dynamic {
			sv.check |= checkEnabled
			sv.checked = true
		}
		return ""
	})
}

func (s *session) enableAgent(a []string) string {
	return s.onServer(a[2], func(_ *backend, sv *server) string {
		if sv.agent&checkConfigured == 0 {
			return "Agent was not configured on this server, cannot enable.\n"
		}
		sv.agent |= checkEnabled
		return ""
	})
}

// checks is the column srv_check_state.
func (sv *server) checks() int {
	state := sv.check
	if sv.checked {
		state |= checkConfigured | checkEnabled
	}
	if sv.paused {
		state |= checkPaused
	}
	return state
}

// hostname is the column srv_fqdn.
func (sv *server) hostname() string {
	if sv.dynamic {
		return "-"
	}
	return "slot.invalid"
}
