package dns

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// An assembly is the reading that a round comes to.
type assembly struct {
	reading discovery.Reading
	ttl     time.Duration
	err     error // no part answered
	records int   // of the name itself
	best    result
	inUse   uint16 // the SRV priority
}

// assemble makes a reading of what is known of each set. It needs s.mu if known does.
func (s *Source) assemble(r round, known func(question) result) assembly {
	out := assembly{ttl: math.MaxInt64}
	var notes, empty []string
	var failed error
	for _, q := range r.roots {
		root := known(q)
		failed = worse(failed, root.err)
		out.count(root)
		switch {
		case root.err != nil:
		case len(root.items) > 0:
			notes = append(notes, root.note)
		default:
			empty = append(empty, root.note)
		}
		if out.best.server == "" || len(out.best.items) == 0 && len(root.items) > 0 {
			out.best = root
		}
		out.records += len(root.items)
		if q.set.qtype == wire.TypeSRV {
			out.services(s, q, root, r.targets, known)
			continue
		}
		out.addresses(part{name: q.set.String()}, root, s.subject.port, label(s.subject.name))
	}
	if len(notes) == 0 {
		notes = empty
	}
	out.reading.Note = oneLine(notes)
	if !slices.ContainsFunc(out.reading.Parts, func(p discovery.Part) bool { return p.State != discovery.Unknown }) {
		out.err = failed
		return out
	}
	total := 0
	for _, p := range out.reading.Parts {
		total += len(p.Endpoints)
	}
	out.err = capped(total)
	return out
}

// worse is the error that tells more: what a server said, before silence.
func worse(a, b error) error {
	if a == nil || b != nil && discovery.ClassOf(a) == discovery.Transport && discovery.ClassOf(b) != discovery.Transport {
		return b
	}
	return a
}

// count takes the TTL of r into account. What is unknown is asked for again soon.
func (a *assembly) count(r result) {
	if r.err != nil {
		r.ttl = 0
	}
	a.ttl = min(a.ttl, r.ttl)
}

// A part is where addresses belong.
type part struct{ name, parent string }

// addresses adds the part that has the addresses of r. It returns those that may be
// endpoints.
func (a *assembly) addresses(p part, r result, port uint16, name string) []discovery.Endpoint {
	out := discovery.Part{Name: p.name, Parent: p.parent, State: r.state, Err: r.err, Why: discovery.Printable(r.why, 300)}
	if r.err == nil {
		addrs := make([]netip.Addr, 0, len(r.items))
		for _, i := range r.items {
			addrs = append(addrs, i.addr)
		}
		var refused []discovery.Rejection
		out.Endpoints, refused = endpoints(addrs, port, name)
		a.reading.Rejected = append(a.reading.Rejected, refused...)
		if len(refused) > 0 && len(out.Endpoints) == 0 && out.State == discovery.Whole {
			out.State, out.Why = discovery.Partial, "every record was refused"
		}
	}
	a.reading.Parts = append(a.reading.Parts, out)
	return out.Endpoints
}

// services adds the part of the SRV records, and those of the targets of the lowest
// priority that has any endpoint (RFC 2782). Where a better one might have some but is
// not known, those after it come into play only if they were before: trouble with DNS
// must not bring in the spare servers, nor take them away.
func (a *assembly) services(s *Source, q question, root result, targets []question, known func(question) result) {
	a.inUse = s.priority
	parent := discovery.Part{Name: q.set.String(), State: root.state, Err: root.err, Why: discovery.Printable(root.why, 300)}
	usable, rejected := screen(root.items)
	a.reading.Rejected = append(a.reading.Rejected, rejected...)
	if len(usable) == 0 && len(rejected) > 0 && parent.State == discovery.Whole && !isAbsent(root.items) {
		parent.State, parent.Why = discovery.Partial, "every record was refused"
	}
	a.reading.Parts = append(a.reading.Parts, parent)
	if root.err != nil {
		return
	}
	hosts := map[string][]question{}
	for _, t := range targets {
		hosts[t.set.name] = append(hosts[t.set.name], t)
	}
	groups := byPriority(usable)
	for i, group := range groups {
		some, unsure := a.group(parent.Name, group, hosts, s.subject.wanted.preferV4, known)
		if some {
			a.inUse = group[0].priority
			return
		}
		if unsure && group[0].priority >= s.priority && i < len(groups)-1 {
			at := slices.IndexFunc(a.reading.Parts, func(p discovery.Part) bool { return p.Name == parent.Name })
			if a.reading.Parts[at].State == discovery.Whole {
				a.reading.Parts[at].State = discovery.Partial
				a.reading.Parts[at].Why = fmt.Sprintf("whether priority %d has servers is not known: the others stay as they are", group[0].priority)
			}
			return
		}
	}
}

// group adds the targets of one priority. some says that there are endpoints, unsure
// that there may be.
func (a *assembly) group(parent string, group []record, hosts map[string][]question, preferV4 bool, known func(question) result) (some, unsure bool) {
	weighted := slices.ContainsFunc(group, func(r record) bool { return r.weight > 0 })
	for _, r := range group {
		results := make([]result, len(hosts[r.target]))
		addrs, failed := map[uint16]int{}, false
		for i, t := range hosts[r.target] {
			results[i] = known(t)
			if !t.extra || !results[i].isNoneYet() {
				a.count(results[i])
			}
			failed = failed || results[i].err != nil
			unsure = unsure || results[i].state != discovery.Whole && !results[i].isNoneYet()
			addrs[t.set.qtype] = len(results[i].items)
			if results[i].err != nil {
				addrs[t.set.qtype] = results[i].had
			}
		}
		any := false
		for i, t := range hosts[r.target] {
			name := fmt.Sprintf("%v:%d", t.set, r.port)
			eps := a.addresses(part{name, parent}, results[i], r.port, label(r.target))
			n := addrs[wire.TypeA] + addrs[wire.TypeAAAA]
			if preferV4 {
				n = addrs[t.set.qtype]
			}
			for j := range eps {
				if weighted {
					eps[j].Weight = share(r.weight, n)
				}
			}
			any = any || len(eps) > 0 || len(results[i].items) > 0
			some = some || len(eps) > 0
		}
		if !any && !failed {
			a.reading.Rejected = append(a.reading.Rejected, reject(discovery.Unresolved, r.target, "no address"))
		}
	}
	return some, unsure
}

// share is the part of a target's weight that each of its n addresses gets. 0
// means "hardly any" in SRV records, and "none" here: it becomes 1.
func share(weight uint16, n int) int { return max(1, int(weight)/max(1, n)) }

// isAbsent says that the service is decidedly not there (RFC 2782).
func isAbsent(items []item) bool { return len(items) == 1 && items[0].srv.target == "." }

// screen parts the records that can lead to endpoints from those that cannot.
func screen(items []item) (usable []record, rejected []discovery.Rejection) {
	if isAbsent(items) {
		return nil, nil
	}
	for _, i := range items {
		switch r := i.srv; {
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

// oneLine joins what differs.
func oneLine(notes []string) string {
	slices.Sort(notes)
	return strings.Join(slices.Compact(notes), ", ")
}
