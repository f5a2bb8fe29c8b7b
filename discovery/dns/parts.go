package dns

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const (
	partAnswers = 3           // of one size and with different members are parts
	partChance  = 1e-6        // of taking one for gone that is there: with 20 known, asked for every 5s, once in weeks
	longestHold = time.Hour   // for an endpoint that parts do not show
	sameAnswer  = time.Second // two answers that expire so close together are one in a cache
	streakParts = 256         // how many times the members of one answer are remembered of a streak
)

// Parts put together a set whose answers are random parts of it, as those of
// Route 53 are, and find out whether they are. A part has as many members as the
// one before and other ones; and since that is also what a deployment looks like,
// which takes away one after the other, parts are only those that bring
// something back, or change more than the half each time.
type parts struct {
	mode string        // Auto, Full or Partial
	hold time.Duration // at least, for what is not shown
	on   bool          // answers are taken for parts

	last     []discovery.Endpoint
	server   string // that gave it
	ttl      time.Duration
	expires  time.Time // when a cache that gave it would ask again
	interval time.Duration
	count    int // of answers, without repetitions
	size     int // of the last one that was not empty

	streak   int  // answers in a row that may be parts
	changed  int  // members of the last that the one before had not
	returned bool // within the streak, a member was missing and came back
	most     bool // each change within the streak was of more than the half
	doubted  bool // two answers at one time differed

	seen  map[netip.AddrPort]int // the streak's members, and the number of their last answer
	known map[netip.AddrPort]sighting
}

// A sighting is an endpoint, and when an answer had it last.
type sighting struct {
	endpoint discovery.Endpoint
	at       time.Time
	count    int
}

// A sample is a set that a server gave for complete.
type sample struct {
	endpoints []discovery.Endpoint // normalized
	server    string
	ttl       time.Duration
	interval  time.Duration // after which the next one is asked for that is not a repetition
	second    bool          // it was asked for because of the one before
}

// hear takes an answer into account. published is what becomes the first known
// set, if with this answer they turn out to be parts.
func (p *parts) hear(a sample, published []discovery.Endpoint, now time.Time) {
	if p.mode == Full {
		return
	}
	if !p.repeats(a, now) {
		p.count++
		p.follow(a)
		p.last, p.server, p.ttl, p.expires = a.endpoints, a.server, a.ttl, now.Add(a.ttl)
	}
	p.interval = a.interval
	if !p.on && (p.mode == Partial || p.areParts()) {
		p.on = true
		p.sight(published, now)
	}
	if p.on {
		p.sight(a.endpoints, now)
	}
}

// repeats says whether a is the last answer again, out of a cache: that says
// nothing about what it lacks. A cache may round what is left of a TTL to 0.
func (p *parts) repeats(a sample, now time.Time) bool {
	return p.count > 0 && (a.ttl > 0 || p.ttl > 0) && a.server == p.server && sameAddrs(a.endpoints, p.last) &&
		now.Add(a.ttl).Sub(p.expires) <= sameAnswer
}

// follow goes on with the streak or begins a new one.
func (p *parts) follow(a sample) {
	p.changed = len(lacking(p.last, a.endpoints))
	p.doubted = p.changed > 0 && a.second
	if n := len(a.endpoints); n > 0 {
		p.size = n
	}
	like := len(a.endpoints) == len(p.last) && p.changed > 0 && len(p.seen) < streakParts*max(1, len(a.endpoints))
	if !like {
		p.streak, p.returned, p.most, p.seen = 0, false, true, map[netip.AddrPort]int{}
	}
	p.streak++
	for _, e := range a.endpoints {
		before, ok := p.seen[e.Addr]
		p.returned = p.returned || ok && before < p.streak-1
		p.seen[e.Addr] = p.streak
	}
	if like {
		p.most = p.most && len(p.last) > 1 && 2*p.changed > len(p.last)
	}
}

func (p *parts) areParts() bool {
	return p.streak >= partAnswers && (p.returned || p.most)
}

// suspects says whether the last answers may be parts, so that what they lack
// may be there. One in and one out is obeyed: deployments do that.
func (p *parts) suspects() bool {
	return p.mode == Auto && p.streak >= 2 && (p.doubted || p.changed >= max(2, p.size/4))
}

func (p *parts) sight(eps []discovery.Endpoint, now time.Time) {
	if p.known == nil {
		p.known = map[netip.AddrPort]sighting{}
	}
	for _, e := range eps {
		if _, ok := p.known[e.Addr]; ok || len(p.known) <= discovery.MaxEndpoints { // one more is an error
			p.known[e.Addr] = sighting{e, now, p.count}
		}
	}
}

// whole returns what is known to be there, without what answers have not shown
// for too long.
func (p *parts) whole(now time.Time) []discovery.Endpoint {
	misses := needed(p.size, len(p.known), p.interval)
	maps.DeleteFunc(p.known, func(_ netip.AddrPort, s sighting) bool {
		return p.count-s.count >= misses && now.Sub(s.at) >= p.hold
	})
	out := make([]discovery.Endpoint, 0, len(p.known))
	for _, s := range p.known {
		out = append(out, s.endpoint)
	}
	return discovery.Normalize(out)
}

// needed is how many answers that show size of known endpoints at random, and
// come interval after interval, must lack one before it is taken for gone.
func needed(size, known int, interval time.Duration) int {
	within := max(2, int(longestHold/max(interval, time.Second)))
	if size <= 0 || size >= known {
		return min(2, within)
	}
	n := math.Ceil(math.Log(partChance) / math.Log1p(-float64(size)/float64(known)))
	return min(max(2, int(n)), within)
}

// remark says what the answers are taken for, if it is parts.
func (p *parts) remark() string {
	if !p.on {
		return ""
	}
	misses := needed(p.size, len(p.known), p.interval)
	hold := max(p.hold, time.Duration(misses)*p.interval)
	s := fmt.Sprintf("partial answers: %d of %d known; one goes when unseen for %s", p.size, len(p.known), hold.Round(time.Second))
	if hold >= longestHold && p.hold < longestHold {
		s += "; that is too short to see each: an interface that lists them all is needed"
	}
	return s
}

func sameAddrs(a, b []discovery.Endpoint) bool {
	return slices.EqualFunc(a, b, func(x, y discovery.Endpoint) bool { return x.Addr == y.Addr })
}
