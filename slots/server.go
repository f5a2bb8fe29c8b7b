// Package slots decides which slot of a server-template holds which endpoint,
// and what has to change at one instance to get there. It does no I/O.
package slots

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Class is what a server does with traffic, as far as its administrative state
// goes (srv_admin_state of "show servers state").
type Class uint8

const (
	// Maint takes nothing: FMAINT, IMAINT or RMAINT is set (bits 0x23). The
	// zero value.
	Maint Class = iota
	// Drain keeps its sessions and its persistent clients (bits 0x18).
	Drain
	// Ready takes traffic, as far as health checks let it.
	Ready
)

var classes = [...]string{Maint: "maint", Drain: "drain", Ready: "ready"}

// String returns HAProxy's own word: "maint", "drain" or "ready".
func (c Class) String() string {
	if int(c) < len(classes) {
		return classes[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText returns String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts what MarshalText returns.
func (c *Class) UnmarshalText(b []byte) error {
	i := slices.Index(classes[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown server state %q", b)
	}
	*c = Class(i)
	return nil
}

// A Server is one server of a backend as one instance shows it.
type Server struct {
	// Name is unique within the backend, as in "web7".
	Name string
	// Number is what follows the prefix in Name, once [Own] has said so.
	Number int
	// Addr is where traffic goes; the zero AddrPort if HAProxy shows none.
	Addr netip.AddrPort
	// Class is the administrative state.
	Class Class
	// Weight is the weight in force and Initial the one of the configuration,
	// 0..256; of a Dynamic one the template's, once [MarkDynamic] has said so.
	Weight, Initial int
	// Since is how long ago the state last changed, in whole seconds; HAProxy
	// counts from its own start.
	Since time.Duration
	// Sessions are the current ones; -1 if they were not asked for. Served: there ever was
	// one in this process, as far as they were.
	Sessions int
	Served   bool
	// Disabled: the configuration says so (bit 0x04). It stays set while the
	// server is ready.
	Disabled bool
	// Dynamic: the server was added at run time; see [MarkDynamic].
	Dynamic bool
	// NoAddress: HAProxy's own resolver took the address away (bit 0x20), and
	// it cannot be set.
	NoAddress bool
	// FQDN is the host name of the server line, "" if it has none.
	FQDN string
	// Agent: an agent-check is configured, and AgentOn: it runs. The weight is the
	// agent's then, who may also take the server out and bring it back.
	Agent, AgentOn bool
	// Resolved: HAProxy's own resolver finds the address by an SRV record.
	Resolved bool
	// Checked: HAProxy sends health checks.
	Checked bool
	// Off: the configuration disables the backend as a whole, so that the server takes
	// neither traffic nor changes (srv_id is 0).
	Off bool
	// TLS: HAProxy speaks TLS to it (srv_use_ssl), which versions before 2.4 do not say.
	TLS bool
	// Up: HAProxy sends traffic if the class lets it (srv_op_state is not 0).
	Up bool
}

// ResolvedWords says what is wrong where HAProxy's own resolvers have the slots of a
// backend, and what to do.
func ResolvedWords(backend string) string {
	return "HAProxy's own resolvers find the addresses of the slots of backend " + backend +
		", so that two would write them: remove `resolvers` from the server-template, or if it comes by `default-server` in `defaults`, put the backend under another `defaults` section without it"
}

// A Process is one HAProxy worker process. Two are the same exactly if Pid,
// Started and Node are.
type Process struct {
	Version string // as in "2.6.12-1+deb12u4"
	Pid     int
	Started int64 // Start_time_sec, seconds since 1970
	Node    string
	// Stopping: an old worker, which finishes its sessions and takes no changes.
	Stopping bool
}

// Same reports whether p and q are one process.
func (p Process) Same(q Process) bool {
	return p.Pid == q.Pid && p.Started == q.Started && p.Node == q.Node
}

// A View is what one instance showed.
type View struct {
	Process Process
	// Servers of the backends that were asked for, in the order of the
	// configuration; a backend that the instance lacks is absent.
	Servers map[string][]Server
}
