package haproxytest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const helpText = "  help [<command>]                        : list matching or all commands\n" +
	"  prompt                                  : toggle interactive mode with prompt\n" +
	"  quit                                    : disconnect\n"

const by = " by 'stats socket command'"

// command executes what is no matter of the session.
func (s *session) command(a []string) string {
	for _, c := range [...]struct {
		words string
		run   func([]string) string
	}{
		{"show info", s.showInfo},
		{"show servers state", s.showState},
		{"show stat", s.showStat},
		{"show cli level", func([]string) string { return s.level + "\n" }},
		{"show backend", s.showBackend},
		{"show resolvers", s.showResolvers},
		{"show version", func([]string) string { return fullVersions[s.fake.version] + "\n" }},
		{"get weight", s.getWeight},
		{"set server", s.admin(s.setServer)},
		{"set weight", s.admin(func(a []string) string {
			return s.onServer(a[2], func(b *backend, sv *server) string { return s.setWeight(b, sv, a[3]) })
		})},
		{"enable server", s.admin(s.stateCommand("ready"))},
		{"disable server", s.admin(s.stateCommand("maint"))},
		{"enable health", s.admin(s.enableHealth)},
		{"enable agent", s.admin(s.enableAgent)},
		{"disable agent", s.admin(s.disableAgent)},
		{"add server", s.admin(s.addServer)},
		{"del server", s.admin(s.delServer)},
		{"shutdown sessions server", s.admin(func(a []string) string {
			return s.onServer(a[3], func(_ *backend, sv *server) string { sv.sessions = 0; return "" })
		})},
		{"wait", s.waitCommand},
	} {
		n := strings.Count(c.words, " ") + 1
		if strings.Join(a[:n], " ") == c.words {
			return c.run(a)
		}
	}
	return s.unknown(a)
}

func (s *session) unknown(a []string) string {
	if s.fake.version == "2.6" {
		return "Unknown command, but maybe one of the following ones is a better match:\n" + helpText
	}
	return fmt.Sprintf("Unknown command: '%s', but maybe one of the following ones is a better match:\n%s", a[0], helpText)
}

// admin wraps what needs the level admin.
func (s *session) admin(run func([]string) string) func([]string) string {
	return func(a []string) string {
		if s.level != "admin" {
			return "Permission denied\n"
		}
		return run(a)
	}
}

// waitCommand does not wait: what was to happen meanwhile has happened.
func (s *session) waitCommand(a []string) string {
	if s.fake.version == "2.6" {
		return s.unknown(a)
	}
	for _, b := range s.worker.backends {
		for _, sv := range b.servers {
			sv.settle(time.Now().Add(time.Hour))
		}
	}
	return "Done.\n"
}

func (s *session) findBackend(name string) *backend {
	id := -1
	if number, ok := strings.CutPrefix(name, "#"); ok {
		if n, err := strconv.Atoi(number); err == nil {
			id = n
		}
	}
	for _, b := range s.worker.backends {
		if b.Name == name || b.id == id {
			return b
		}
	}
	return nil
}

// find looks up "backend/server"; without one, refusal says why.
func (s *session) find(name string) (b *backend, sv *server, refusal string) {
	px, sn, ok := strings.Cut(name, "/")
	if !ok || (px == "" && s.fake.version == "2.6") {
		return nil, nil, "Require 'backend/server'.\n"
	}
	if b = s.findBackend(px); b == nil {
		return nil, nil, "No such backend.\n"
	}
	if sv = b.server(sn); sv == nil {
		return nil, nil, "No such server.\n"
	}
	sv.settle(time.Now())
	return b, sv, ""
}

// onServer runs do on a server that takes changes.
func (s *session) onServer(name string, do func(*backend, *server) string) string {
	b, sv, refusal := s.find(name)
	if refusal != "" {
		return refusal
	}
	if b.Disabled || s.worker.stopping {
		return "Proxy is disabled.\n"
	}
	return do(b, sv)
}

func (s *session) stateCommand(word string) func([]string) string {
	return func(a []string) string {
		return s.onServer(a[2], func(_ *backend, sv *server) string {
			sv.setState(word)
			return ""
		})
	}
}

func (s *session) getWeight(a []string) string {
	_, sv, refusal := s.find(a[2])
	if refusal != "" {
		return refusal
	}
	return fmt.Sprintf("%d (initial %d)\n", sv.weight, sv.initial)
}

func (s *session) setServer(a []string) string {
	return s.onServer(a[2], func(b *backend, sv *server) string {
		switch a[3] {
		case "addr":
			return s.setAddr(b, sv, a)
		case "weight":
			return s.setWeight(b, sv, a[4])
		case "state":
			if !sv.setState(a[4]) {
				return "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"
			}
			return ""
		case "fqdn":
			return setFQDN(b, sv, a[4])
		}
		return "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | ssl | state | weight\n"
	})
}

// setFQDN takes no name but the one that the server has.
func setFQDN(b *backend, sv *server, name string) string {
	switch {
	case b.Resolvers == "":
		return "set server <b>/<s> fqdn failed because no resolution is configured.\n"
	case name == sv.hostname():
		return "no need to change the FDQN" + by + "\n"
	}
	return "invalid fqdn '" + name + "'" + by + "\n"
}

// setWeight follows server_parse_weight_change_request of HAProxy.
func (s *session) setWeight(b *backend, sv *server, text string) string {
	digits, rest := leadingNumber(text)
	w, err := strconv.Atoi(digits)
	switch {
	case text == "":
		return "Require <weight> or <weight%>.\n"
	case err != nil:
		return "Empty weight string empty or preceded by garbage" + s.lineEnd()
	case rest == "%" && w < 0:
		return "Relative weight must be positive.\n"
	case rest == "%":
		w = min(sv.initial*min(w, 25600)/100, 256)
	case w < 0 || w > 256:
		return "Absolute weight can only be between 0 and 256 inclusive.\n"
	case rest != "":
		return "Trailing garbage in weight string" + s.lineEnd()
	}
	if w != 0 && w != sv.initial && (b.Balance == "source" || b.Balance == "static-rr") {
		return "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n"
	}
	sv.weight = w
	return ""
}

// lineEnd is what some refusals lack in old versions.
func (s *session) lineEnd() string {
	if s.fake.version == "2.6" {
		return ""
	}
	return "\n"
}

// leadingNumber cuts text as strtol does.
func leadingNumber(text string) (digits, rest string) {
	i := 0
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		i++
	}
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// parseIP takes what HAProxy takes for an address.
func parseIP(text string) (netip.Addr, bool) {
	if text == "*" {
		return netip.IPv4Unspecified(), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(text)
	return ip, err == nil && ip.Zone() == ""
}
