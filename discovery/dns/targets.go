package dns

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const (
	maxTargets  = 256 // SRV targets that are asked for in one lookup
	maxParallel = 16  // of them at a time
)

// targets lists the questions that the SRV records of root lead to: one for each
// target and family. What came along answers them, for a family of which anything
// came: a server leaves out what does not fit, and does not say so (RFC 2181 9). Of
// those whose other family came along not more are asked for at a time than of those
// of which nothing did. It needs the mutex of sets.
func (l lookup) targets(root result, sets map[key]*set) ([]question, error) {
	usable, _ := screen(root.items)
	names := make([]string, 0, len(usable))
	for _, r := range usable {
		names = append(names, r.target)
	}
	slices.Sort(names)
	var questions []question
	bare := 0
	for _, name := range slices.Compact(names) {
		along := byFamily(root.glue[name].addrs)
		if len(along) == 0 {
			bare++
		}
		for _, qtype := range l.families.spelled(name) {
			q := question{of: key{name, qtype}, set: key{name, qtype}, child: true}
			if addrs := along[qtype]; len(addrs) > 0 {
				glue := root.reply
				glue.outcome, glue.glue, glue.records, glue.alias = found, nil, nil, ""
				glue.host = host{addrs, root.glue[name].ttl}
				q.glue = &verdict{reply: glue, items: itemsOf(glue), note: says(glue)}
				l.holders.add(q.of, root.server)
			}
			q.extra = q.glue == nil && len(along) > 0
			questions = append(questions, q)
		}
	}
	if bare > maxTargets {
		return nil, discovery.Errorf(discovery.Protocol, "cap: %d SRV targets without an address in the answer, %d are asked for at most",
			bare, maxTargets)
	}
	postpone(questions, sets)
	return questions, nil
}

// postpone leaves out, for now, questions for a family that did not come along: those
// whose last answer, that there are none, still holds, and those that are too many.
func postpone(questions []question, sets map[key]*set) {
	var extra []int
	for i, q := range questions {
		st := sets[q.set]
		switch {
		case !q.extra:
		case st != nil && st.result.isNoneYet() && time.Now().Before(st.until):
			questions[i].idle = true
		default:
			extra = append(extra, i)
		}
	}
	if len(extra) <= maxTargets {
		return
	}
	lastAsked := func(i int) time.Time {
		if st := sets[questions[i].set]; st != nil {
			return st.asked
		}
		return time.Time{}
	}
	slices.SortStableFunc(extra, func(a, b int) int { return cmp.Compare(lastAsked(a).UnixNano(), lastAsked(b).UnixNano()) })
	for _, i := range extra[maxTargets:] {
		questions[i].idle = true
	}
}

func asked(questions []question) []question {
	return slices.DeleteFunc(slices.Clone(questions), func(q question) bool { return q.idle })
}

func byFamily(addrs []netip.Addr) map[uint16][]netip.Addr {
	out := map[uint16][]netip.Addr{}
	for _, a := range addrs {
		if a.IsValid() {
			out[qtypeOf(a)] = append(out[qtypeOf(a)], a)
		}
	}
	return out
}

// spelled leaves the family of the address that name spells out, if it does.
func (w families) spelled(name string) []uint16 {
	a, ok := spelled(name)
	if !ok {
		return w.qtypes
	}
	return slices.DeleteFunc(slices.Clone(w.qtypes), func(t uint16) bool { return t != qtypeOf(a) })
}

// spelled returns the address that Consul has spelled out in name, as in
// 0a090001.addr.dc1.consul.
func spelled(name string) (netip.Addr, bool) {
	digits, rest, _ := strings.Cut(name, ".")
	if !strings.HasPrefix(rest, "addr.") {
		return netip.Addr{}, false
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}

// orSpelled is r, or where that is unknown the address that the name itself tells.
func orSpelled(q question, r result) result {
	a, ok := spelled(q.of.name)
	if r.err == nil || !q.child || !ok || qtypeOf(a) != q.of.qtype {
		return r
	}
	why := "as its name spells it: " + r.err.Error()
	return result{verdict: verdict{items: []item{{addr: a}}}, state: discovery.Partial, why: why}
}

func qtypeOf(a netip.Addr) uint16 {
	if a.Is4() {
		return wire.TypeA
	}
	return wire.TypeAAAA
}

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
