package dns

import (
	"fmt"
	"maps"
	"math"
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

// A partialSet puts together a set whose answers are random parts of it, as those of
// Route 53 are, and finds out whether they are. Without that a backend would lose and gain
// endpoints with each answer until somebody sets answers: partial, and nothing tells who
// needs to: from one answer it cannot be seen. A part has as many members as the
// one before and other ones; and since that is also what a deployment looks like,
// which takes away one after the other, parts are only those that bring
// something back, or change more than the half each time.
type partialSet struct {
	mode string        // Auto, Full or Partial
	hold time.Duration // at least, for what is not shown
	on   bool          // answers are taken for parts,
	cut  bool          // since they come over UDP from a server that cuts without a sign
	// fresh says that nothing was known when the first part came: until each had its
	// chance to be shown, what was not shown may be there.
	fresh bool
	begun time.Time // when the first part came

	last     []item
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

	seen  map[item]int // the streak's members by id, and the number of their last answer
	known map[item]lastSeen
}

type lastSeen struct {
	item  item
	at    time.Time
	count int
}

// A sample is a set that a server gave for complete.
type sample struct {
	items    []item // normalized
	server   string
	ttl      time.Duration
	interval time.Duration // after which the next one is asked for that is not a repetition
	second   bool          // it was asked for because of the one before
	cut      bool          // it may be a part, whatever it looks like
}

// resume says that answers were parts in another process.
func (p *partialSet) resume() {
	if p.mode == Auto {
		p.on, p.fresh = true, true
	}
}

// add takes an answer into account. before is what becomes the first known set, if
// with this answer they turn out to be parts.
func (p *partialSet) add(a sample, before []item, now time.Time) {
	if p.cut && !a.cut {
		*p = partialSet{mode: p.mode, hold: p.hold}
	}
	if p.mode == Full && !a.cut {
		return
	}
	if !p.repeats(a, now) {
		p.count++
		p.follow(a)
		p.last, p.server, p.ttl, p.expires = a.items, a.server, a.ttl, now.Add(a.ttl)
	}
	p.interval = a.interval
	if !p.on && (a.cut || p.mode == Partial || p.areParts()) {
		p.on, p.cut, p.fresh = true, a.cut, len(before) == 0
		p.see(before, now)
	}
	if !p.on {
		return
	}
	if p.begun.IsZero() {
		p.begun = now
	}
	p.see(a.items, now)
}

// repeats says whether a is the last answer again, out of a cache: that says
// nothing about what it lacks. A cache may round what is left of a TTL to 0.
func (p *partialSet) repeats(a sample, now time.Time) bool {
	return p.count > 0 && (a.ttl > 0 || p.ttl > 0) && a.server == p.server && sameIDs(a.items, p.last) &&
		now.Add(a.ttl).Sub(p.expires) <= sameAnswer
}

// follow goes on with the streak or begins a new one.
func (p *partialSet) follow(a sample) {
	p.changed = len(missingFrom(p.last, a.items))
	p.doubted = p.changed > 0 && a.second
	if n := len(a.items); n > 0 {
		p.size = n
	}
	like := len(a.items) == len(p.last) && p.changed > 0 && len(p.seen) < streakParts*max(1, len(a.items))
	if !like {
		p.streak, p.returned, p.most, p.seen = 0, false, true, map[item]int{}
	}
	p.streak++
	for _, i := range a.items {
		before, ok := p.seen[i.id()]
		p.returned = p.returned || ok && before < p.streak-1
		p.seen[i.id()] = p.streak
	}
	if like {
		p.most = p.most && len(p.last) > 1 && 2*p.changed > len(p.last)
	}
}

func (p *partialSet) areParts() bool {
	return p.streak >= partAnswers && (p.returned || p.most)
}

// suspects says whether the last answers may be parts, so that what they lack
// may be there. One in and one out is obeyed: deployments do that.
func (p *partialSet) suspects() bool {
	return p.mode == Auto && p.streak >= 2 && (p.doubted || p.changed >= max(2, p.size/4))
}

func (p *partialSet) see(items []item, now time.Time) {
	if p.known == nil {
		p.known = map[item]lastSeen{}
	}
	for _, i := range items {
		if _, ok := p.known[i.id()]; ok || len(p.known) <= discovery.MaxEndpoints { // one more is an error
			p.known[i.id()] = lastSeen{i, now, p.count}
		}
	}
}

// assembled returns what is known to be there, without what answers have not shown
// for too long.
func (p *partialSet) assembled(now time.Time) []item {
	misses := needed(p.size, len(p.known), p.interval)
	maps.DeleteFunc(p.known, func(_ item, s lastSeen) bool {
		return p.count-s.count >= misses && now.Sub(s.at) >= p.hold
	})
	out := make([]item, 0, len(p.known))
	for _, s := range p.known {
		out = append(out, s.item)
	}
	return normalized(out)
}

// complete reports whether what was never shown is not there.
func (p *partialSet) complete(now time.Time) bool {
	return !p.fresh || p.count > needed(p.size, len(p.known), p.interval) && now.Sub(p.begun) >= p.hold
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
func (p *partialSet) remark() string {
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
