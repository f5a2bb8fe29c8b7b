package reload

import (
	"fmt"
	"net/netip"

	"github.com/slotsync/slotsync/slots"
)

// Data is what a template sees.
type Data struct{ Backends []Backend }

// A Backend is one that is filled.
type Backend struct {
	Name   string // ours
	Proxy  string // HAProxy's
	Prefix string // of its slots' names
	// Offset is the number before that of the first slot: 4 for "web 5-14", -1 for
	// "web 0-9".
	Offset int
	// Slots is how many the rendered file should have, 0..100000.
	Slots int
	// Servers are the endpoints, with or without a slot.
	Servers []Server
}

// A Server is one endpoint.
type Server struct {
	// Name is what people call it, "" if they do not. It is for comments:
	// whatever is not allowed in a name comes as "_".
	Name string
	// Slot is Prefix and the number of a slot, "" if it has none.
	Slot string
	// Addr is the zero AddrPort if the slot has none.
	Addr netip.AddrPort
	// Weight is HAProxy's, 1..256; 0 stands for the weight of the template.
	Weight int
	// State is "ready", "drain" or "maint".
	State string
}

const maxSlots = 100_000

// checked returns d as it may be written into a file, or what is wrong with it.
func (d Data) checked() (Data, error) {
	seen := map[string]bool{}
	out := Data{Backends: make([]Backend, len(d.Backends))}
	for i, b := range d.Backends {
		if seen[b.Name] {
			return Data{}, fmt.Errorf("backend %q is given twice", printable(b.Name))
		}
		seen[b.Name] = true
		c, err := b.checked()
		if err != nil {
			return Data{}, fmt.Errorf("backend %q: %w", printable(b.Name), err)
		}
		out.Backends[i] = c
	}
	return out, nil
}

func (b Backend) checked() (Backend, error) {
	for _, name := range []string{b.Name, b.Proxy, b.Prefix} {
		if err := slots.CheckName(name); err != nil {
			return b, err
		}
	}
	if b.Slots < 0 || b.Slots > maxSlots {
		return b, fmt.Errorf("%d slots are not within 0..%d", b.Slots, maxSlots)
	}
	if b.Offset < -1 || b.Offset > maxSlots {
		return b, fmt.Errorf("the first slot has number %d, which is not within 0..%d", b.first(), maxSlots)
	}
	taken := map[string]bool{}
	servers := make([]Server, len(b.Servers))
	for i, s := range b.Servers {
		if s.Slot != "" && taken[s.Slot] {
			return b, fmt.Errorf("slot %q is given twice", printable(s.Slot))
		}
		taken[s.Slot] = true
		c, err := b.server(s)
		if err != nil {
			return b, fmt.Errorf("server %q: %w", printable(s.Slot), err)
		}
		servers[i] = c
	}
	b.Servers = servers
	return b, nil
}

func (b Backend) server(s Server) (Server, error) {
	if s.Slot != "" {
		if _, err := b.number(s.Slot); err != nil {
			return s, err
		}
	}
	if s.Weight < 0 || s.Weight > 256 {
		return s, fmt.Errorf("weight %d is not within 0..256", s.Weight)
	}
	switch s.State {
	case "ready", "drain", "maint":
	default:
		return s, fmt.Errorf("state %q is none of ready, drain, maint", printable(s.State))
	}
	if s.Addr != (netip.AddrPort{}) {
		addr, err := checkAddr(s.Addr)
		if err != nil {
			return s, err
		}
		s.Addr = addr
	}
	s.Name = slots.AsName(s.Name, slots.MaxName)
	return s, nil
}

func (b Backend) first() int { return b.Offset + 1 }
func (b Backend) last() int  { return b.Offset + b.Slots }

// number returns which slot of b a name stands for.
func (b Backend) number(slot string) (int, error) {
	n, ok := slots.Number(slot, b.Prefix)
	switch {
	case !ok:
		return 0, fmt.Errorf("is not %q and a number", printable(b.Prefix))
	case n < b.first() || n > b.last():
		return 0, fmt.Errorf("is not one of the slots %d to %d", b.first(), b.last())
	}
	return n, nil
}

func checkAddr(a netip.AddrPort) (netip.AddrPort, error) {
	ip := a.Addr().Unmap()
	if !ip.IsValid() || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() || a.Port() == 0 {
		return a, fmt.Errorf("%s is no address of a server", a)
	}
	return netip.AddrPortFrom(ip, a.Port()), nil
}

// printable bounds what an error shows of a value from outside; it is quoted
// there.
func printable(s string) string { return s[:min(len(s), 64)] }
