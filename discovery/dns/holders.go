package dns

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const maxHeld = 4096 // sets whose holders are remembered of one source

// Holders remember which servers have shown records of a set: they alone may say that
// there are none. The zero value is empty.
type holders struct {
	mu    sync.Mutex // guards following
	by    map[key][]string
	asked map[key]bool // of these, in this process
}

func (h *holders) add(k key, server string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.use(k)
	h.put(k, server)
}

// restore is add for what was so in another process.
func (h *holders) restore(k key, server string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(k, server)
}

// put needs mu.
func (h *holders) put(k key, server string) {
	had, ok := h.by[k]
	if slices.Contains(had, server) || !ok && !h.hasRoom() {
		return
	}
	if h.by == nil {
		h.by = map[key][]string{}
	}
	had = append(slices.Clone(had), server)
	h.by[k] = had[max(0, len(had)-maxServers):]
}

// hasRoom drops what nobody asked for in this process, if that is needed. It needs mu.
func (h *holders) hasRoom() bool {
	if len(h.by) >= maxHeld {
		maps.DeleteFunc(h.by, func(k key, _ []string) bool { return !h.asked[k] })
	}
	return len(h.by) < maxHeld
}

// use needs mu.
func (h *holders) use(k key) {
	if h.asked == nil {
		h.asked = map[key]bool{}
	}
	if len(h.asked) < 2*maxHeld {
		h.asked[k] = true
	}
}

// of lists those of servers that have shown records of k.
func (h *holders) of(k key, servers []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.use(k)
	var out []string
	for _, s := range servers {
		if slices.Contains(h.by[k], s) {
			out = append(out, s)
		}
	}
	return out
}

func (h *holders) forget(k key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.by, k)
	delete(h.asked, k)
}

// A memory is what a source goes on with after a restart.
type memory struct {
	// Servers are named by their place here.
	Servers []string `json:"servers"`
	// Had lists, by "TYPE name", the servers that have shown records.
	Had map[string][]int `json:"had"`
	// Pinned is the name that was found along the search list.
	Pinned string `json:"pinned,omitempty"`
	// Partial lists the sets whose answers are random parts, as "TYPE name".
	Partial []string `json:"partial,omitempty"`
}

var _ discovery.Rememberer = (*Source)(nil)

// Memory implements [discovery.Rememberer]: which server has had which records, the
// name found along the search list, and which answers are parts of a larger set. What
// does not fit is left out, the services before their targets.
func (s *Source) Memory() []byte {
	m := memory{Had: map[string][]int{}}
	s.mu.Lock()
	m.Pinned = s.pinned
	for k, st := range s.sets {
		if st.partial.on && !st.partial.cut {
			m.Partial = append(m.Partial, written(k))
		}
	}
	s.mu.Unlock()
	slices.Sort(m.Partial)
	s.holders.mu.Lock()
	defer s.holders.mu.Unlock()
	if len(s.holders.by) == 0 && m.Pinned == "" && len(m.Partial) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(s.holders.by), func(a, b key) int { return strings.Compare(written(b), written(a)) })
	for _, had := range s.holders.by {
		m.Servers = append(m.Servers, had...)
	}
	slices.Sort(m.Servers)
	m.Servers = slices.Compact(m.Servers)
	room := discovery.MaxMemory/2 - len(m.Pinned)
	for _, k := range keys {
		places := make([]int, 0, 2)
		for _, server := range s.holders.by[k] {
			place, _ := slices.BinarySearch(m.Servers, server)
			places = append(places, place)
		}
		if room -= len(k.name) + 12 + 4*len(places); room < 0 {
			break
		}
		slices.Sort(places)
		m.Had[written(k)] = places
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return text
}

// Remember implements [discovery.Rememberer].
func (s *Source) Remember(text []byte) {
	var m memory
	if json.Unmarshal(text, &m) != nil {
		return
	}
	for what, places := range m.Had {
		k, ok := readKey(what)
		if !ok {
			continue
		}
		for _, place := range places {
			if place < 0 || place >= len(m.Servers) {
				continue
			}
			if _, err := netip.ParseAddrPort(m.Servers[place]); err == nil {
				s.holders.restore(k, m.Servers[place])
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, err := absolute(m.Pinned); err == nil && s.subject.relative {
		s.pinned = name
	}
	for _, what := range m.Partial {
		if k, ok := readKey(what); ok && len(s.sets) < maxHeld {
			s.set(k).partial.resume()
		}
	}
}

// written is k in a memory; keys are compared as text so that SRV sorts last.
func written(k key) string { return wire.TypeToString[k.qtype] + " " + k.name }

func readKey(what string) (key, bool) {
	kind, name, _ := strings.Cut(what, " ")
	qtype := wire.StringToType[kind]
	known := qtype == wire.TypeA || qtype == wire.TypeAAAA || qtype == wire.TypeSRV
	_, isName := wire.IsDomainName(name)
	return key{name, qtype}, known && isName && name != "" && len(name) <= 4*maxName && name == wire.CanonicalName(name)
}

// searchEvery is how often, ±20 %, every server is asked for every name that it has
// not shown records of. At first it is sooner.
const searchEvery = 5 * time.Minute

// findHolders finds out, if it is time to, which servers have the names besides those that
// answered: when those fail, only the others may say that there are none. It asks one question at a time,
// a server that does not answer no further one, and ends with ctx.
func (s *Source) findHolders(ctx context.Context) {
	l := s.begin()
	if len(l.settings.servers) < 2 || time.Since(s.searched) < searchEvery {
		return
	}
	s.searched = time.Now().Add(searchEvery/5 - rand.N(searchEvery*2/5))
	s.mu.Lock()
	questions := append(slices.Clone(s.round.roots), s.round.targets...)
	s.mu.Unlock()
	go func() {
		for _, server := range l.client.servers.others(l.settings.servers, "") {
			l.askServer(ctx, server, questions)
		}
	}()
}

func (l lookup) askServer(ctx context.Context, server string, questions []question) {
	for _, q := range questions {
		if len(l.holders.of(q.of, []string{server})) > 0 {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, lookupTime)
		r, err := l.client.query(asking, l.settings, try{server: server}, q.of.name, q.of.qtype)
		cancel()
		switch {
		case ctx.Err() != nil, err != nil && discovery.ClassOf(err) == discovery.Transport:
			return
		case err == nil && r.outcome == found:
			l.holders.add(q.of, server)
		}
	}
}
