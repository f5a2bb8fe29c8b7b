package dns

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

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
