package haproxytest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// setAddr executes "set server b/s addr A [port P]".
func (s *session) setAddr(b *backend, sv *server, a []string) string {
	addr, hasPort, port := a[4], a[5] == "port", a[6]
	old := s.fake.version == "2.6"
	if addr == "" {
		return "set server <b>/<s> addr requires an address and optionally a port.\n"
	}
	ip, ok := parseIP(addr)
	switch {
	case !ok && old:
		return "Invalid addr '" + addr + "'" + by + "\n"
	case !ok:
		return "Invalid addr '" + addr + "'\n"
	case sv.addr == "" && old:
		sv.admin &^= resolverMaint
		sv.running = sv.admin&anyMaintenance == 0
		return "Update for the current server address family is only supported through configuration file" + by + "\n"
	case sv.addr == "":
		return "Update for the current server address family is only supported through configuration file.\n"
	}
	var parts []string
	next := pending{addr: ip.String(), port: sv.port, mapped: sv.mapped}
	if next.addr != sv.addr {
		shown := next.addr
		if old {
			shown = addr
		}
		parts = append(parts, fmt.Sprintf("IP changed from '%s' to '%s'", sv.addr, shown))
	} else if old {
		parts = append(parts, "no need to change the addr")
	}
	if hasPort {
		text, good := portChange(sv, &next, port, old)
		if !good && !old && !strings.HasPrefix(text, "can't") {
			return text + "\n"
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	s.apply(sv, next)
	if len(parts) == 0 {
		return "nothing changed\n"
	}
	return strings.Join(parts, ", ") + by + "\n"
}

// portChange reads a port as HAProxy does: modulo 65536, with a sign an offset.
// The text says what it comes to.
func portChange(sv *server, next *pending, port string, old bool) (text string, good bool) {
	digits, _ := leadingNumber(port)
	n, err := strconv.Atoi(digits)
	if err != nil {
		return fmt.Sprintf("problem converting port '%s' to an int", port), false
	}
	mapped := port[0] == '+' || port[0] == '-'
	if mapped && (old || sv.checked) {
		end := ")."
		if old {
			end = "."
		} else {
			// refused, and set all the same
			next.port = n
		}
		return "can't change <port> to port map because it is incompatible with current health check port configuration" +
			" (use 'port' statement from the 'server' directive" + end, false
	}
	if !mapped {
		n = int(uint16(n))
	}
	if n == sv.port && (old || mapped == sv.mapped) {
		if old {
			return "no need to change the port", true
		}
		return "", true
	}
	was := sv.signedPort()
	next.port, next.mapped = n, mapped
	is := strconv.Itoa(n)
	if mapped {
		is = fmt.Sprintf("%+d", n)
	}
	return fmt.Sprintf("port changed from '%s' to '%s'", was, is), true
}

// apply puts the new address in force, now or, in new versions, later.
func (s *session) apply(sv *server, next pending) {
	if next.addr == sv.addr && next.port == sv.port && next.mapped == sv.mapped {
		return
	}
	f := s.fake
	if f.lose > 0 {
		f.lose--
		return
	}
	next.due = time.Now()
	if f.version != "2.6" {
		next.due = next.due.Add(f.delay)
	}
	sv.pending = append(sv.pending, next)
	if f.version == "2.6" {
		sv.settle(next.due)
	}
}
