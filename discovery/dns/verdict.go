package dns

import (
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/discovery"
)

// A verdict is what the answers of one reading come to.
type verdict struct {
	finding
	note string
}

func (v verdict) reading() discovery.Reading {
	r := discovery.Reading{
		Endpoints: slices.Clone(v.endpoints), Weak: v.weak != "", Rejected: v.rejected, Note: v.note,
	}
	if r.Weak {
		r.Note += "; weak: " + discovery.Printable(v.weak, 200)
	}
	return r
}

// alone is the verdict on an answer that needs no second one.
func alone(f finding) verdict { return verdict{f, f.says()} }

// agreed is the verdict on two answers: what either shows is there.
func agreed(first, second finding) verdict {
	if first.outcome == found && second.outcome == found && first.name != second.name {
		return nearer(first, second)
	}
	v := verdict{finding: first, note: first.says() + ", " + second.says()}
	switch same := first.outcome == second.outcome; {
	case same && first.server == second.server:
		v.note = string(first.outcome) + " twice from " + first.server
	case same:
		v.note = string(first.outcome) + " from 2 servers"
	}
	v.endpoints = union(first.endpoints, second.endpoints)
	if len(first.endpoints) == 0 {
		v.rejected = second.rejected
	}
	if first.outcome != found && second.outcome == found {
		v.outcome, v.name, v.rank, v.records = second.outcome, second.name, second.rank, second.records
	}
	if v.weak == "" {
		v.weak = second.weak
	}
	v.ttl = min(first.ttl, second.ttl)
	v.known = memory{}
	v.known.add(first.known)
	v.known.add(second.known)
	return v
}

// nearer is the verdict on two answers that found records under different names
// of the search list. The earlier name exists, whatever the other server says,
// and what is under the later one is another service.
func nearer(first, second finding) verdict {
	if second.rank < first.rank {
		first = second
	}
	return alone(first)
}

// unconfirmed is the verdict on an answer that lacks something and that nobody
// confirmed: nothing is missing yet.
func unconfirmed(first finding, published []discovery.Endpoint, err error) verdict {
	v := alone(first)
	v.endpoints = boundedUnion(first.endpoints, published)
	v.weak = "no second answer: " + err.Error()
	v.ttl = 0
	return v
}

// unsettled is v soon after trouble: nothing is missing yet.
func unsettled(v verdict, published []discovery.Endpoint) verdict {
	v.endpoints = boundedUnion(v.endpoints, published)
	v.weak = "the servers failed until shortly before, and may not know everything yet"
	v.ttl = 0
	return v
}

// doubtful is v while it is not clear whether the answers are parts of a larger
// set: nothing is missing yet.
func doubtful(v verdict, published []discovery.Endpoint) verdict {
	v.endpoints = boundedUnion(v.endpoints, published)
	v.weak = "the answers may be parts of a larger set"
	return v
}

// assembled is v with the set that partial answers were put together to.
func assembled(v verdict, whole []discovery.Endpoint) verdict {
	v.endpoints = whole
	v.note = fmt.Sprintf("%s; partial answers, %d known", v.note, len(whole))
	return v
}

// remains is what the next reading is compared with. What a weak reading lacks
// is not gone.
func (v verdict) remains(published []discovery.Endpoint) []discovery.Endpoint {
	if v.weak == "" {
		return v.endpoints
	}
	return boundedUnion(v.endpoints, published)
}

func (f finding) says() string { return string(f.outcome) + " from " + f.server }

// lacking lists the endpoints of want whose address have lacks.
func lacking(have, want []discovery.Endpoint) []discovery.Endpoint {
	var out []discovery.Endpoint
	for _, w := range want {
		_, ok := slices.BinarySearchFunc(have, w, func(a, b discovery.Endpoint) int { return a.Addr.Compare(b.Addr) })
		if !ok {
			out = append(out, w)
		}
	}
	return out
}

// union is a and what it lacks of b; where both have an endpoint it is a's.
func union(a, b []discovery.Endpoint) []discovery.Endpoint {
	return discovery.Normalize(slices.Concat(a, lacking(a, b)))
}

// boundedUnion is the union, or a alone if that would be too many: what is kept
// for want of proof must not grow for ever.
func boundedUnion(a, b []discovery.Endpoint) []discovery.Endpoint {
	if all := union(a, b); capped(all) == nil {
		return all
	}
	return a
}
