package dns

import (
	"cmp"
	"errors"
	"math"
	"net/netip"
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// A memory holds the last known addresses of names, for times when their lookup
// fails. An entry without addresses says that there are known to be none.
// Memories are not changed once they are shared.
type memory map[key][]netip.Addr

type key struct {
	name  string
	qtype uint16
}

// add takes over what other knows; of a name that both know, all addresses.
func (m memory) add(other memory) {
	for k, addrs := range other {
		all := slices.Concat(m[k], addrs)
		slices.SortFunc(all, netip.Addr.Compare)
		m[k] = slices.Compact(all)
	}
}

// recall returns what was last known of name as an answer, if that is enough
// for one: an address, or that there was none of all types.
func (m memory) recall(name string, wanted families) (resolved, bool) {
	h := resolved{learned: memory{}}
	for _, qtype := range wanted.qtypes {
		if addrs, ok := m[key{name, qtype}]; ok {
			h.learned[key{name, qtype}] = addrs
			h.addrs = append(h.addrs, addrs...)
		}
	}
	h.addrs = wanted.of(h.addrs)
	return h, len(h.addrs) > 0 || len(h.learned) == len(wanted.qtypes)
}

// A resolved host is a name's addresses, or why they are not known.
type resolved struct {
	host
	learned memory
	partial error // addresses of one family are not known
	err     error // no address is known
}

// combine makes one host of the replies for the families of name. Where one
// family answers with addresses and another fails, what was known of the other
// still holds. Where none has addresses and one fails, that is an error: the
// addresses may all be there.
func combine(name string, qtypes []uint16, replies []heard, known memory) resolved {
	h := resolved{host: host{ttl: math.MaxInt64}, learned: memory{}}
	var failed error
	for i, r := range replies {
		if r.err != nil {
			failed = cmp.Or(failed, r.err)
			continue
		}
		h.learned[key{name, qtypes[i]}] = r.reply.addrs
		h.addrs = append(h.addrs, r.reply.addrs...)
		h.ttl = min(h.ttl, r.reply.ttl)
	}
	if failed != nil && len(h.addrs) == 0 {
		return resolved{err: failed}
	}
	for i, r := range replies {
		k := key{name, qtypes[i]}
		last, ok := known[k]
		switch {
		case r.err == nil:
		case ok:
			h.learned[k] = last
			h.addrs = append(h.addrs, last...)
		default:
			h.partial = cmp.Or(h.partial, r.err)
		}
	}
	return h
}

// cause is err without its class.
func cause(err error) error {
	if e, ok := errors.AsType[*discovery.Error](err); ok {
		return e.Err
	}
	return err
}
