package dnstest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Zone is what a [Real] server answers for one domain. Names are absolute, with
// or without the dot at their end, and lie within the zone.
type Zone struct {
	// Name is the domain itself, as in "slots.example".
	Name string
	// TTL is that of every record, and of the proof that there is none, in whole
	// seconds.
	TTL time.Duration
	// Services are the SRV records by name. The addresses of a target become
	// address records of the target's name.
	Services map[string][]Target
	// Addrs are address records by name, A or AAAA as each address needs.
	Addrs map[string][]netip.Addr
	// Aliases are CNAME records: from a name to another one of the zone.
	Aliases map[string]string
}

// hosts returns all address records, those of the targets included.
func (z Zone) hosts() map[string][]netip.Addr {
	all := map[string][]netip.Addr{}
	for name, addrs := range z.Addrs {
		all[name] = slices.Clone(addrs)
	}
	for _, targets := range z.Services {
		for _, t := range targets {
			all[t.Name] = append(all[t.Name], t.Addrs...)
		}
	}
	for name, addrs := range all {
		slices.SortFunc(addrs, netip.Addr.Compare)
		all[name] = slices.Compact(addrs)
	}
	return all
}

func (z Zone) seconds() int { return int(z.TTL / time.Second) }

// sorted iterates over m in the order of its keys, so that equal zones are equal
// files.
func sorted[V any](m map[string]V, f func(name string, v V)) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		f(name, m[name])
	}
}

// master renders z as a master file (RFC 1035 5). Its serial number is version,
// and so is the text of the name that tells which version is served.
func (z Zone) master(version int) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s %d IN %s\n", dot(name), z.seconds(), fmt.Sprintf(format, args...))
	}
	line(z.Name, "SOA ns.%s nobody.%[1]s %d 3600 600 86400 %d", dot(z.Name), version, z.seconds())
	line(z.Name, "NS ns.%s", dot(z.Name))
	line("ns."+z.Name, "A 127.0.0.1")
	line(z.versionName(), "TXT %q", fmt.Sprint(version))
	sorted(z.Services, func(name string, targets []Target) {
		for _, t := range targets {
			line(name, "SRV %d %d %d %s", t.Priority, t.Weight, t.Port, dot(t.Name))
		}
	})
	sorted(z.hosts(), func(name string, addrs []netip.Addr) {
		for _, a := range addrs {
			line(name, "%s %s", typeOf(a), a)
		}
	})
	sorted(z.Aliases, func(name, target string) { line(name, "CNAME %s", dot(target)) })
	return b.String()
}

// hostsFile renders the address records of z as hosts(5) does.
func (z Zone) hostsFile() string {
	var b strings.Builder
	sorted(z.hosts(), func(name string, addrs []netip.Addr) {
		for _, a := range addrs {
			fmt.Fprintf(&b, "%s %s\n", a, undot(name))
		}
	})
	return b.String()
}

// versionName is the name of the record that tells which version is served.
func (z Zone) versionName() string { return "version." + undot(z.Name) }

func typeOf(a netip.Addr) string {
	if a.Is4() {
		return "A"
	}
	return "AAAA"
}

func dot(name string) string   { return undot(name) + "." }
func undot(name string) string { return strings.TrimSuffix(name, ".") }
