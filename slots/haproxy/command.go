package haproxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/slotsync/slotsync/slots"
)

// Commands are built here and nowhere else, from numbers, addresses and names
// that cannot hold a separator. Each function appends one command to b, without
// an end, or returns an error and b as it was.

// checkAddr returns an error unless a server may be sent to a. The ports of
// HAProxy wrap at 65536 and 0 is one of them, which is why both are typed here.
func checkAddr(a netip.AddrPort) error {
	ip := a.Addr()
	if !ip.IsValid() || ip.Zone() != "" || ip.Unmap().IsUnspecified() || a.Port() == 0 {
		return fmt.Errorf("address %s is not one for a server", a)
	}
	return nil
}

func checkWeight(weight int) error {
	if weight < 0 || weight > slots.MaxWeight {
		return fmt.Errorf("weight %d is not within 0..%d", weight, slots.MaxWeight)
	}
	return nil
}

// appendServer appends a verb, "backend/server" and, formatted as by [fmt.Appendf], the rest.
func appendServer(b []byte, verb, backend, server, rest string, args ...any) ([]byte, error) {
	if err := errors.Join(slots.CheckName(backend), slots.CheckName(server)); err != nil {
		return b, err
	}
	b = append(append(append(b, verb...), ' '), backend...)
	return fmt.Appendf(append(append(b, '/'), server...), rest, args...), nil
}

// appendAddr sets address and port in one command, IPv6 without brackets.
func appendAddr(b []byte, backend, server string, a netip.AddrPort) ([]byte, error) {
	if err := checkAddr(a); err != nil {
		return b, err
	}
	return appendServer(b, "set server", backend, server, " addr %s port %d", a.Addr().Unmap(), a.Port())
}

func appendWeight(b []byte, backend, server string, weight int) ([]byte, error) {
	if err := checkWeight(weight); err != nil {
		return b, err
	}
	return appendServer(b, "set server", backend, server, " weight %d", weight)
}

func appendState(b []byte, backend, server string, class slots.Class) ([]byte, error) {
	if class > slots.Ready {
		return b, fmt.Errorf("state %s is not one of HAProxy's", class)
	}
	return appendServer(b, "set server", backend, server, " state %s", class)
}

// appendShowState dumps the servers of one backend, of all if it is "".
func appendShowState(b []byte, backend string) ([]byte, error) {
	if backend == "" {
		return append(b, "show servers state"...), nil
	}
	if err := slots.CheckName(backend); err != nil {
		return b, err
	}
	return append(append(b, "show servers state "...), backend...), nil
}

// appendShowStat shows the counters of the servers (type 4) of the backend with
// this number, of all if it is 0. Names do not do: one that a frontend has too
// stands for the frontend, which has no servers.
func appendShowStat(b []byte, id int) ([]byte, error) {
	if id < 0 {
		return b, fmt.Errorf("backend number %d", id)
	}
	return fmt.Appendf(b, "show stat %d 4 -1", cmp.Or(id, -1)), nil
}
