package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// The types of a [Query].
const (
	TypeSRV  = "SRV"
	TypeA    = "A"
	TypeAAAA = "AAAA"
	TypeBoth = "A+AAAA"
)

const maxName = 254 // characters of a name with the dot at its end

// A Query says which records make the endpoints of a service.
type Query struct {
	// Record is a domain name. It is absolute if there is a dot at its end, or
	// without [Options].Search.
	Record string
	// Type is [TypeSRV], [TypeA], [TypeAAAA] or [TypeBoth]. Empty is SRV for
	// names that begin with "_", and both address types for others.
	Type string
	// Port of the endpoints, 1..65535, for address records. SRV records bring
	// their own: it is 0 with them.
	Port uint16
	// Family is [discovery.AnyFamily] (also if empty), [discovery.OnlyV4] or
	// [discovery.OnlyV6], which do not ask for the other family, or
	// [discovery.PreferV4], which asks for both: [discovery.Policy] prefers among what
	// is known of all parts.
	Family string
}

// A subject is what a source asks about.
type subject struct {
	name     string // absolute
	relative bool   // to the search list, where there is one
	srv      bool
	wanted   families // of addresses: the name's, or those of its SRV targets
	port     uint16   // for address records
}

// Families are the types of address records that are asked for.
type families struct {
	qtypes   []uint16
	preferV4 bool
}

// without drops IPv6 as the option no-aaaa has it, which is about questions that
// are asked along: who wants only that is asked for it.
func (w families) without(noAAAA bool) families {
	if noAAAA && len(w.qtypes) > 1 {
		return families{qtypes: []uint16{wire.TypeA}}
	}
	return w
}

func (q Query) subject(search bool) (s subject, err error) {
	if s.name, err = absolute(q.Record); err != nil {
		return subject{}, fmt.Errorf("dns record %q: %w", q.Record, err)
	}
	s.relative = search && !strings.HasSuffix(q.Record, ".")
	switch q.kind() {
	case TypeSRV:
		s.srv = true
		s.wanted.qtypes = []uint16{wire.TypeA, wire.TypeAAAA}
	case TypeA:
		s.wanted.qtypes = []uint16{wire.TypeA}
	case TypeAAAA:
		s.wanted.qtypes = []uint16{wire.TypeAAAA}
	case TypeBoth:
		s.wanted.qtypes = []uint16{wire.TypeA, wire.TypeAAAA}
	default:
		return subject{}, fmt.Errorf("dns type %q: want SRV, A, AAAA or A+AAAA", q.Type)
	}
	s.port = q.Port
	if s.srv == (q.Port != 0) {
		return subject{}, fmt.Errorf("dns record %q: a port is needed for address records, and only for them", q.Record)
	}
	if s.wanted, err = s.wanted.restrict(q.Family); err != nil {
		return subject{}, fmt.Errorf("dns record %q: %w", q.Record, err)
	}
	return s, nil
}

func (w families) restrict(family string) (families, error) {
	refused := uint16(wire.TypeNone)
	switch family {
	case "", discovery.AnyFamily:
	case discovery.PreferV4:
		w.preferV4 = len(w.qtypes) > 1
	case discovery.OnlyV4:
		refused = wire.TypeAAAA
	case discovery.OnlyV6:
		refused = wire.TypeA
	default:
		return w, fmt.Errorf("family %q: want any, v4, v6 or prefer-v4", family)
	}
	w.qtypes = slices.DeleteFunc(w.qtypes, func(t uint16) bool { return t == refused })
	if len(w.qtypes) == 0 {
		return w, fmt.Errorf("family %s leaves nothing of this type to ask for", family)
	}
	return w, nil
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
	if _, ok := wire.IsDomainName(relative); !ok || relative == "" || strings.HasSuffix(relative, ".") || len(relative) >= maxName {
		return "", errors.New("this is no domain name: labels have 1 to 63 characters, a name at most 253")
	}
	return wire.CanonicalName(name), nil
}
