package dns

import (
	"cmp"
	"net/netip"
	"slices"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

type key struct {
	name  string // absolute and canonical
	qtype uint16
}

// String is how people write it, as in "A of web.example.org".
func (k key) String() string { return wire.TypeToString[k.qtype] + " of " + label(k.name) }

// An item is the data of one record: an address, or what an SRV record says.
type item struct {
	addr netip.Addr
	srv  record
}

// id is what makes two items the same one: an SRV record may change its priority and
// weight.
func (i item) id() item {
	i.srv.priority, i.srv.weight = 0, 0
	return i
}

func compareIDs(a, b item) int {
	return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.srv.target, b.srv.target), cmp.Compare(a.srv.port, b.srv.port))
}

// itemsOf returns the data of the records of r, each once, sorted. Of SRV records
// with one target and port it is the one of the lowest priority and largest weight.
func itemsOf(r reply) []item {
	out := make([]item, 0, len(r.addrs)+len(r.records))
	for _, a := range r.addrs {
		out = append(out, item{addr: a.Unmap()})
	}
	for _, rec := range r.records {
		out = append(out, item{srv: rec})
	}
	return normalized(out)
}

func normalized(items []item) []item {
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(compareIDs(a, b), cmp.Compare(a.srv.priority, b.srv.priority), cmp.Compare(b.srv.weight, a.srv.weight))
	})
	return slices.CompactFunc(items, func(a, b item) bool { return a.id() == b.id() })
}

func missingFrom(have, want []item) []item {
	var out []item
	for _, w := range want {
		if _, ok := slices.BinarySearchFunc(have, w, compareIDs); !ok {
			out = append(out, w)
		}
	}
	return out
}

// union is a and what it lacks of b; where both have an item it is a's.
func union(a, b []item) []item { return normalized(slices.Concat(a, missingFrom(a, b))) }

// boundedUnion is the union, or a alone if that would be too many: what is remembered
// for want of proof must not grow for ever.
func boundedUnion(a, b []item) []item {
	if all := union(a, b); len(all) <= discovery.MaxEndpoints {
		return all
	}
	return a
}

func sameIDs(a, b []item) bool {
	return slices.EqualFunc(a, b, func(x, y item) bool { return x.id() == y.id() })
}

// capped is the error for more than there may be.
func capped(n int) error {
	if n > discovery.MaxEndpoints {
		return discovery.Errorf(discovery.Protocol, "cap: %d endpoints, %d at most", n, discovery.MaxEndpoints)
	}
	return nil
}
