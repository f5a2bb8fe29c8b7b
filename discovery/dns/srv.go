package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/discovery"
)

// screen parts the records that can lead to endpoints from those that cannot.
func screen(records []record) (usable []record, rejected []discovery.Rejection) {
	for _, r := range records {
		switch {
		case r.target == ".":
			rejected = append(rejected, reject(discovery.Incomplete, r.target, "no target"))
		case r.port == 0:
			rejected = append(rejected, reject(discovery.BadPort, r.target, "0"))
		default:
			usable = append(usable, r)
		}
	}
	return usable, rejected
}

// place makes endpoints of the records of the lowest priority that has any
// (RFC 2782). The weak error says whose addresses are missing from them. Where
// a better group might have endpoints but could not be asked, that is an error:
// trouble with DNS must not bring the spare servers into play.
func place(records []record, hosts map[string]resolved) (eps []discovery.Endpoint, rejected []discovery.Rejection, weak, err error) {
	for _, group := range byPriority(records) {
		eps, refused, unknown := placeGroup(group, hosts)
		rejected = append(rejected, refused...)
		switch {
		case len(eps) > 0:
			return discovery.Normalize(eps), rejected, unknown, nil
		case unknown != nil:
			return nil, rejected, nil, unknown
		}
	}
	return nil, rejected, nil, nil
}

func byPriority(records []record) [][]record {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.target, b.target),
			cmp.Compare(a.port, b.port), cmp.Compare(a.weight, b.weight))
	})
	var groups [][]record
	for i, r := range records {
		if i == 0 || records[i-1].priority != r.priority {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], r)
	}
	return groups
}

func placeGroup(group []record, hosts map[string]resolved) (eps []discovery.Endpoint, rejected []discovery.Rejection, unknown error) {
	weighted := slices.ContainsFunc(group, func(r record) bool { return r.weight > 0 })
	for _, r := range group {
		h := hosts[r.target]
		unknown = cmp.Or(unknown, h.err, h.partial)
		if len(h.addrs) == 0 && h.err == nil {
			rejected = append(rejected, reject(discovery.Unresolved, r.target, "no address"))
		}
		accepted, refused := endpoints(h.addrs, r.port, label(r.target))
		for i := range accepted {
			if weighted {
				accepted[i].Weight = share(r.weight, len(accepted))
			}
		}
		eps = append(eps, accepted...)
		rejected = append(rejected, refused...)
	}
	return eps, rejected, unknown
}

// share is the part of a target's weight that each of its n addresses gets. 0
// means "hardly any" in SRV records, and "none" here: it becomes 1.
func share(weight uint16, n int) int { return max(1, int(weight)/n) }

// endpoints makes one of each address that may be one, once.
func endpoints(addrs []netip.Addr, port uint16, name string) (eps []discovery.Endpoint, rejected []discovery.Rejection) {
	for _, a := range addrs {
		at := netip.AddrPortFrom(a.Unmap(), port)
		if reason := discovery.Check(at); reason != "" {
			rejected = append(rejected, reject(reason, name, at.String()))
			continue
		}
		eps = append(eps, discovery.Endpoint{Addr: at, Name: name})
	}
	return discovery.Normalize(eps), rejected
}

func reject(reason, name, value string) discovery.Rejection {
	return discovery.Rejection{Reason: reason, Name: discovery.Printable(label(name), 100), Value: discovery.Printable(value, 100)}
}

// label is a name as people write it.
func label(name string) string {
	if name == "." {
		return name
	}
	return discovery.Printable(strings.TrimSuffix(name, "."), 255)
}
