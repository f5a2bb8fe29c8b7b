package oracle

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A backend is what its sources have said, and what follows from that.
type backend struct {
	Backend
	present bool
	came    time.Time // into the configuration
	used    time.Time // since when all that is listed is in use, or the primary is another one
	feeds   map[string]*feed
	// listed are all addresses that any source ever listed, or an operator added.
	listed map[netip.AddrPort]bool
	// first is when it was listed first.
	first map[netip.AddrPort]time.Time
	// gone is since when no part has the endpoint, or has it as anything but down; an
	// endpoint that is there is not in it.
	gone map[netip.AddrPort]time.Time
	// was is when it was last gone, drained by its source, or refused.
	was map[netip.AddrPort]time.Time
	// there is since when it is listed as ready, without a break.
	there map[netip.AddrPort]time.Time
	// accepted are those that an operator let go.
	accepted map[netip.AddrPort]bool
	// accepting is what the last that was accepted ended.
	accepting []entry
	// confirmed counts the strongest reads that lacked what is gone.
	confirmed map[netip.AddrPort]int
	past      []moment
	failed    time.Time // when a source failed last
	denied    time.Time // until when some were denied
	scarce    time.Time // when there were fewer slots than endpoints, and none could be added
	tight     time.Time // when there were fewer in the template
	taken     int       // slots that are left alone, as it says
	pausedAt  time.Time // when it was last paused, as the agent says
	// stayed is for how long the endpoint had been there when it went, the longest time
	// since it was taken out of service last.
	stayed map[netip.AddrPort]time.Duration
	// told is when the endpoint came, or was listed again after it was lost.
	told map[netip.AddrPort]time.Time
	// lost are endpoints that came so shortly before the agent ended that it may not have
	// stored them, and that were not listed since.
	lost map[netip.AddrPort]bool
}

// A moment is which endpoints were to be in service from then on, which were there, as
// maintenance is no loss, and which of those were listed: for what is only kept, nothing is held.
type moment struct {
	at                 time.Time
	set, there, listed map[netip.AddrPort]bool
	sick               map[netip.AddrPort]bool // registered, and unhealthy
}

type feed struct {
	parts map[string]*part
	heard time.Time // when it answered last
}

// A part is what it listed last, as far as nothing proved that it is gone.
type part struct {
	parent string
	state  string
	has    map[netip.AddrPort]string // with the state
	now    map[netip.AddrPort]bool   // listed by the latest answer
	old    bool                      // it was not whole for a day
	// ever are all that it listed, whole since when it has been so without a break; zero
	// if it is not.
	ever  map[netip.AddrPort]bool
	whole time.Time
}

func newBackend() *backend {
	return &backend{
		feeds: map[string]*feed{}, listed: map[netip.AddrPort]bool{}, first: map[netip.AddrPort]time.Time{}, gone: map[netip.AddrPort]time.Time{},
		was: map[netip.AddrPort]time.Time{}, there: map[netip.AddrPort]time.Time{}, accepted: map[netip.AddrPort]bool{},
		confirmed: map[netip.AddrPort]int{}, stayed: map[netip.AddrPort]time.Duration{}, lost: map[netip.AddrPort]bool{}, told: map[netip.AddrPort]time.Time{},
	}
}

// Failed tells that a source has answered with an error.
func (o *Oracle) Failed(at time.Time, backend, source string) {
	o.keep("Failed", at, backend, source)
	b := o.backends[backend]
	if b == nil || b.feeds[source] == nil {
		return
	}
	for _, p := range b.feeds[source].parts {
		p.state, p.now, p.whole = Unknown, nil, time.Time{}
	}
	b.failed = at
	b.reckon(at)
}

// Listed tells what a source has answered; strongest says that it was asked to confirm.
func (o *Oracle) Listed(at time.Time, backend, source string, parts []Part, strongest bool) {
	o.keep("Listed", at, backend, source, parts, strongest)
	b := o.backends[backend]
	if b == nil || b.feeds[source] == nil {
		return
	}
	f := b.feeds[source]
	f.heard = at
	states := map[string]string{}
	for _, p := range parts {
		states[p.Name] = p.State
	}
	for name, p := range f.parts {
		if _, ok := states[name]; ok {
			continue
		}
		if p.parent == "" || states[p.parent] == Whole {
			delete(f.parts, name) // it has ended
		} else {
			p.state, p.now, p.whole = Unknown, nil, time.Time{}
		}
	}
	for _, p := range parts {
		for _, e := range p.Endpoints {
			if !b.listed[e.Addr] {
				b.listed[e.Addr], b.first[e.Addr] = true, at
			}
			if b.told[e.Addr].IsZero() || b.lost[e.Addr] || b.state(e.Addr) == "" {
				b.told[e.Addr] = at
			}
			delete(b.lost, e.Addr)
		}
		f.hear(at, p)
	}
	b.reckon(at)
	if strongest {
		for a := range b.gone {
			if !slices.ContainsFunc(parts, func(p Part) bool {
				return p.State != Whole && f.parts[p.Name] != nil && f.parts[p.Name].has[a] != ""
			}) {
				b.confirmed[a]++
			}
		}
	}
}

func (f *feed) hear(at time.Time, news Part) {
	p := f.parts[news.Name]
	if p == nil {
		p = &part{has: map[netip.AddrPort]string{}, ever: map[netip.AddrPort]bool{}}
		f.parts[news.Name] = p
	}
	p.parent, p.state, p.now = news.Parent, news.State, map[netip.AddrPort]bool{}
	if news.State != Whole {
		p.whole = time.Time{}
	} else if p.whole.IsZero() {
		p.whole = at
	}
	if news.State == Unknown {
		return
	}
	if news.State == Whole {
		clear(p.has)
		p.old = false
	}
	for _, e := range news.Endpoints {
		if !p.now[e.Addr] || rank(e.State) > rank(p.has[e.Addr]) {
			p.has[e.Addr] = e.State
		}
		p.now[e.Addr], p.ever[e.Addr] = true, true
	}
}

func rank(state string) int { return slices.Index([]string{Down, Drain, Ready}, state) }

// state is how the endpoint is listed, the best of all parts; "" if no part has it. What a
// part lists now counts more than what others listed last.
func (b *backend) state(a netip.AddrPort) string {
	listed, kept := "", ""
	for _, f := range b.feeds {
		for _, p := range f.parts {
			best := &kept
			if p.now[a] {
				best = &listed
			}
			if s := p.has[a]; s != "" && (*best == "" || rank(s) > rank(*best)) {
				*best = s
			}
		}
	}
	return cmp.Or(listed, kept)
}

// wholeWithout reports whether every part that ever listed the endpoint has been whole for
// so long.
func (b *backend) wholeWithout(at time.Time, a netip.AddrPort, d time.Duration) bool {
	for _, f := range b.feeds {
		for _, p := range f.parts {
			if p.ever[a] && (p.whole.IsZero() || at.Sub(p.whole) < d) {
				return false
			}
		}
	}
	return true
}

// everywhere reports whether every feed has the endpoint as ready.
func (b *backend) everywhere(a netip.AddrPort) bool {
	for _, f := range b.feeds {
		has := false
		for _, p := range f.parts {
			has = has || p.has[a] == Ready
		}
		if !has {
			return false
		}
	}
	return true
}

// old reports whether nothing that lists the endpoint has said so for a day.
func (b *backend) old(a netip.AddrPort) bool {
	for _, f := range b.feeds {
		for _, p := range f.parts {
			if p.has[a] != "" && !p.old {
				return false
			}
		}
	}
	return true
}

// kept reports whether no part lists the endpoint now.
func (b *backend) kept(a netip.AddrPort) bool {
	for _, f := range b.feeds {
		for _, p := range f.parts {
			if p.now[a] {
				return false
			}
		}
	}
	return true
}

// refused reports whether the endpoint is denied. Where all are, it may stay.
func (b *backend) refused(a netip.AddrPort) bool {
	within := func(n netip.Prefix) bool { return n.Contains(a.Addr()) }
	return slices.ContainsFunc(b.Deny, within) || len(b.Allow) > 0 && !slices.ContainsFunc(b.Allow, within)
}

// allRefused reports whether a source that lists the endpoint lists nothing that is not
// denied: then it is the denial that is doubted.
func (b *backend) allRefused(a netip.AddrPort) bool {
	for _, f := range b.feeds {
		has, all := false, true
		for _, p := range f.parts {
			for e := range p.has {
				has, all = has || e == a, all && b.refused(e)
			}
		}
		if has && all {
			return true
		}
	}
	return false
}

// reckon works out who is there and who is gone.
func (b *backend) reckon(at time.Time) {
	set, there, listed, sick := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	for a := range b.listed {
		state := b.state(a)
		if state == Down {
			sick[a] = true
		}
		switch {
		case state == "" || state == Down:
			if _, ok := b.gone[a]; !ok {
				b.gone[a] = at
			}
			b.was[a] = at
		case state != Ready, b.refused(a):
			b.was[a] = at
			delete(b.gone, a)
		default:
			if _, ok := b.gone[a]; ok {
				b.was[a] = at
			}
			delete(b.gone, a)
			set[a] = true
		}
		if there[a] = (state == Ready || state == Drain) && !b.refused(a); there[a] && !b.kept(a) {
			listed[a] = true
		}
		if _, ok := b.gone[a]; !ok {
			delete(b.confirmed, a)
			delete(b.accepted, a)
		}
		if set[a] {
			if b.there[a].IsZero() {
				b.there[a] = at
			}
		} else {
			if since, was := b.there[a]; was {
				if since.Before(b.used) {
					since = b.used
				}
				b.stayed[a] = max(b.stayed[a], at.Sub(since))
			}
			delete(b.there, a)
		}
	}
	b.past = append(b.past, moment{at, set, there, listed, sick})
}

// mayGo says why an endpoint that is gone must be held at that time; "" if it need not be.
func (b *backend) mayGo(a netip.AddrPort, at time.Time) string {
	since, gone := b.gone[a]
	if !gone || b.Primary != "" || b.selects() || b.denied.After(at.Add(-max(b.Hold, b.EmptyHold)-Late)) || b.accepted[a] || b.stayed[a] < Calm {
		return "" // one that has just come has not shown that it works
	}
	why := ""
	for _, kind := range b.holdsWithout(a, since, at) {
		hold := b.Hold
		if kind == "empty" {
			hold = b.EmptyHold
		}
		switch {
		case hold == 0, hold > 0 && at.Sub(since) >= hold && b.confirmed[a] >= 3:
			return ""
		case hold < 0:
			why = kind + ", which is held for ever"
		case at.Sub(since) < hold:
			why = fmt.Sprintf("%s, which is held for %s, and it is gone for %s", kind, hold, at.Sub(since))
		default:
			why = kind + ", which was not confirmed three times"
		}
	}
	return why
}

// holdsWithout says which holds there must have been without a break since an endpoint is gone,
// whatever newcomers have shown; none if there was a moment for which that is not certain.
func (b *backend) holdsWithout(a netip.AddrPort, since, at time.Time) []string {
	kinds := []string{b.holds(at)}
	for i, m := range b.past {
		if !m.at.Before(since) && !m.set[a] {
			kinds = append(kinds, b.holdsIn(i, m.at))
		}
	}
	if slices.Contains(kinds, "") {
		return nil
	}
	return kinds
}

// confirm takes an endpoint that left for no loss any more, if that it is gone was accepted,
// held or confirmed; and so all that is gone as long and as surely, in service or not.
func (b *backend) confirm(at time.Time, a netip.AddrPort) {
	since, gone := b.gone[a]
	if !gone || !b.accepted[a] && b.confirmed[a] < 3 && b.holds(at) == "" {
		return
	}
	for other, went := range b.gone {
		if other == a || !went.After(since) && (b.accepted[other] || b.confirmed[other] >= 3) {
			b.drop(other)
		}
	}
}

// drop forgets that an endpoint was there.
func (b *backend) drop(a netip.AddrPort) {
	for _, m := range b.past {
		delete(m.set, a)
		delete(m.there, a)
		delete(m.listed, a)
	}
}

// holds says which hold there must be at that time, whatever newcomers have shown; "" for
// none that is certain.
func (b *backend) holds(at time.Time) string {
	i := len(b.past) - 1
	for i > 0 && b.past[i].at.After(at) {
		i--
	}
	if i < 0 || b.past[i].at.After(at) {
		return ""
	}
	return b.holdsIn(i, at)
}

// holdsIn is that of a moment.
func (b *backend) holdsIn(i int, at time.Time) string {
	now, there, goesOn := b.past[i].set, b.past[i].there, map[netip.AddrPort]bool{}
	if len(now) == 0 {
		if b.Keep { // what is unhealthy may go on
			goesOn = b.past[i].sick
		}
		if len(goesOn) == 0 {
			return "empty"
		}
	}
	sets := b.largest(i, at)
	for _, s := range sets {
		lost, came := 0, 0
		for a := range s {
			if !there[a] && !goesOn[a] {
				lost++
			}
		}
		for a := range now {
			if !s[a] {
				came++
			}
		}
		if loss := lost - came; loss < 3 || float64(loss) <= b.MaxRemoval*float64(len(s)) {
			return ""
		}
	}
	if len(sets) == 0 {
		return ""
	}
	return "removal"
}

// largest are the largest sets that were surely in the window at that time, of which past[i]
// is the newest.
func (b *backend) largest(i int, at time.Time) (sets []map[netip.AddrPort]bool) {
	end := at
	for ; i >= 0 && at.Sub(end) <= b.Window-Grace; i-- {
		s := b.past[i].listed
		switch {
		case len(sets) == 0 || len(s) > len(sets[0]):
			sets = []map[netip.AddrPort]bool{s}
		case len(s) == len(sets[0]):
			sets = append(sets, s)
		}
		end = b.past[i].at
	}
	return sets
}
