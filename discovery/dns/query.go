package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"
)

// The types of a [Query].
const (
	TypeSRV  = "SRV"
	TypeA    = "A"
	TypeAAAA = "AAAA"
	TypeBoth = "A+AAAA"
)

// A Query says which records make the endpoints of a service.
type Query struct {
	// Record is a domain name. It is absolute, with or without the dot at its
	// end; no search list applies.
	Record string
	// Type is [TypeSRV], [TypeA], [TypeAAAA] or [TypeBoth]. Empty is SRV for
	// names that begin with "_", and both address types for others.
	Type string
	// Port of the endpoints, 1..65535, for address records. SRV records bring
	// their own: it is 0 with them.
	Port uint16
}

// subject checks q and completes it.
func (q Query) subject() (s subject, err error) {
	if s.name, err = absolute(q.Record); err != nil {
		return subject{}, fmt.Errorf("dns record %q: %w", q.Record, err)
	}
	q.Type = q.kind()
	switch q.Type {
	case TypeSRV:
		s.qtypes = []uint16{wire.TypeSRV}
	case TypeA:
		s.qtypes = []uint16{wire.TypeA}
	case TypeAAAA:
		s.qtypes = []uint16{wire.TypeAAAA}
	case TypeBoth:
		s.qtypes = bothFamilies[:]
	default:
		return subject{}, fmt.Errorf("dns type %q: want SRV, A, AAAA or A+AAAA", q.Type)
	}
	s.port = q.Port
	if isSRV := q.Type == TypeSRV; isSRV == (q.Port != 0) {
		return subject{}, fmt.Errorf("dns record %q: a port is needed for address records, and only for them", q.Record)
	}
	return s, nil
}

func (q Query) kind() string {
	switch {
	case q.Type != "":
		return q.Type
	case strings.HasPrefix(q.Record, "_"):
		return TypeSRV
	}
	return TypeBoth
}

// absolute returns name in the one form that it is asked for and compared in.
func absolute(name string) (string, error) {
	if _, err := netip.ParseAddr(name); err == nil {
		return "", errors.New("this is an address, not a name")
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r) {
			return "", fmt.Errorf("%q cannot be part of a name (write international names in their xn-- form)", r)
		}
	}
	relative := strings.TrimSuffix(name, ".")
	if _, ok := wire.IsDomainName(relative); !ok || relative == "" || len(relative) > 253 {
		return "", errors.New("this is no domain name: labels have 1 to 63 characters, a name at most 253")
	}
	return wire.CanonicalName(name), nil
}
