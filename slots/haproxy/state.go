package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// Bits of srv_admin_state, which is decimal (Management Guide, "show servers
// state"). The second of them is set for ever if the configuration says
// "disabled", and is no maintenance by itself.
const (
	maintBits    = 0x23 // FMAINT, IMAINT, RMAINT
	disabledBit  = 0x04 // CMAINT
	drainBits    = 0x18 // FDRAIN, IDRAIN
	resolverBit  = 0x20 // RMAINT
	checkingBits = 0x06 // of srv_check_state: configured and enabled
	agentBits    = 0x12 // of srv_agent_state: it is an agent, and configured
	enabledBit   = 0x04 // of both
)

// column is one that the agent reads; the order is that of stateColumns.
type column int

const (
	colBackend column = iota
	colServer
	colAddr
	colOp
	colAdmin
	colWeight
	colInitial
	colSince
	colCheck
	colFQDN
	colPort
	colID
	colTLS
	colAgent
	colRecord
	colBackendID
	columns = iota
)

var stateColumns = [columns]string{
	"be_name", "srv_name", "srv_addr", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight",
	"srv_time_since_last_change", "srv_check_state", "srv_fqdn", "srv_port", "srv_id",
	"srv_use_ssl", "srv_agent_state", "srvrecord", "be_id",
}

// maxFields bounds the fields of a line of a dump that are looked at.
const maxFields = 64

// parseState understands "show servers state" by the names in its header: it
// has 20 columns up to HAProxy 2.3 and 25 from 2.4 on. Servers whose name, or whose
// backend's name, is longer than [slots.MaxName] are left out. Errors name the line.
func parseState(text string, each func(backend string, id int, s slots.Server) error) error {
	version, rest, _ := strings.Cut(text, "\n")
	if version != "1" {
		return fmt.Errorf("show servers state: line 1: %q; want format version 1", printable(version))
	}
	header, rest, _ := strings.Cut(rest, "\n")
	at, err := stateHeader(header)
	if err != nil {
		return fmt.Errorf("show servers state: line 2: %w", err)
	}
	var fields [maxFields]string
	for n := 3; rest != ""; n++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		backend, id, s, err := parseServer(splitFields(fields[:0], line), &at)
		if errors.Is(err, errLongName) {
			continue
		}
		if err == nil {
			err = each(backend, id, s)
		}
		if err != nil {
			return fmt.Errorf("show servers state: line %d: %w", n, err)
		}
	}
	return nil
}

// errLongName: a backend or server has a name that commands cannot hold; it can be no
// slot, and what stands beside it is read as always.
var errLongName = errors.New("name too long")

// splitFields appends the words of line to fields, as far as its capacity goes.
func splitFields(fields []string, line string) []string {
	for more := true; more && len(fields) < cap(fields); {
		var f string
		if i := strings.IndexByte(line, ' '); i >= 0 {
			f, line = line[:i], line[i+1:]
		} else {
			f, more = line, false
		}
		fields = append(fields, f)
	}
	return fields
}

func stateHeader(line string) (at [columns]int, err error) {
	names, ok := strings.CutPrefix(line, "# ")
	if !ok {
		return at, fmt.Errorf("%q is no header", printable(line))
	}
	fields := splitFields(make([]string, 0, maxFields), names)
	for c, name := range stateColumns {
		at[c] = -1
		for i, f := range fields {
			if f == name {
				at[c] = i
			}
		}
		if at[c] < 0 && column(c) < colTLS { // what follows may be absent
			return at, fmt.Errorf("no column %s", name)
		}
	}
	return at, nil
}

// parseServer understands one line; id is the number of the backend. The names in the result share no memory
// with it, so that a kept server does not keep the dump.
func parseServer(fields []string, at *[columns]int) (backend string, id int, s slots.Server, err error) {
	var f [columns]string
	for c, i := range at {
		if i < 0 {
			continue
		}
		if i >= len(fields) {
			return "", 0, s, fmt.Errorf("%d fields; %s is missing", len(fields), stateColumns[c])
		}
		f[c] = fields[i]
	}
	for _, c := range [...]column{colBackend, colServer} {
		if len(f[c]) > slots.MaxName {
			return "", 0, s, errLongName
		}
		if err := slots.CheckName(f[c]); err != nil {
			return "", 0, s, fmt.Errorf("%s: %w", stateColumns[c], err)
		}
	}
	s = slots.Server{Name: strings.Clone(f[colServer]), Sessions: -1}
	if f[colFQDN] != "-" {
		s.FQDN = strings.Clone(printable(f[colFQDN]))
	}
	if s.Addr, err = parseAddr(f[colAddr], f[colPort]); err != nil {
		return "", 0, s, err
	}
	id, _ = strconv.Atoi(f[colBackendID]) // 0: it is not known
	return f[colBackend], max(id, 0), s, parseNumbers(&f, &s)
}

func parseNumbers(f *[columns]string, s *slots.Server) error {
	var n [columns]int
	for _, b := range [...]struct {
		c        column
		min, max int
	}{
		{colID, 0, 1 << 31}, {colOp, 0, 3}, {colAdmin, 0, 1 << 16}, {colWeight, 0, 256}, {colInitial, 0, 256}, {colCheck, 0, 1 << 16}, {colAgent, 0, 1 << 16},
		// the clock of a machine may step back
		{colSince, -1 << 40, 1 << 40},
	} {
		if f[b.c] == "" && b.c >= colTLS {
			continue
		}
		v, err := strconv.Atoi(f[b.c])
		if err != nil || v < b.min || v > b.max {
			return fmt.Errorf("%s: %q is not within %d..%d", stateColumns[b.c], printable(f[b.c]), b.min, b.max)
		}
		n[b.c] = v
	}
	s.Class = classOf(n[colAdmin])
	s.Weight, s.Initial = n[colWeight], n[colInitial]
	s.Since = time.Duration(min(max(n[colSince], 0), 1<<33)) * time.Second
	s.Disabled = n[colAdmin]&disabledBit != 0
	s.NoAddress = n[colAdmin]&resolverBit != 0
	s.Checked = n[colCheck]&checkingBits == checkingBits
	s.Agent = n[colAgent]&agentBits == agentBits
	s.AgentOn = s.Agent && n[colAgent]&enabledBit != 0
	s.Resolved = f[colRecord] != "-" && f[colRecord] != ""
	s.TLS = f[colTLS] == "1"
	s.Off = n[colID] == 0
	s.Up = n[colOp] != 0
	return nil
}

func classOf(admin int) slots.Class {
	switch {
	case admin&maintBits != 0:
		return slots.Maint
	case admin&drainBits != 0:
		return slots.Drain
	}
	return slots.Ready
}

// parseAddr returns the zero AddrPort if HAProxy shows no address. One endpoint
// has one address: IPv4 in IPv6 is IPv4.
func parseAddr(addr, port string) (netip.AddrPort, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("srv_port: %q is no port", printable(port))
	}
	if addr == "-" {
		return netip.AddrPort{}, nil
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("srv_addr: %q is no address", printable(addr))
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}
