package dns

import (
	"context"
	"sync"

	"github.com/slotsync/slotsync/discovery"
)

// Confirm asks, for each part, a server other than the one that is asked first, or, if
// there is no other alive that has it, that one over TCP. It takes 8s at most.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	asking, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	l := s.begin()
	var r round
	var known map[key]result
	for i, name := range l.names {
		r.roots = l.questions(s.subject.name, name)
		known = s.confirm(asking, l, r.roots)
		absent, failed := nonexistent(r.roots, known)
		if failed != nil && len(l.names) > 1 {
			return discovery.Reading{}, failed
		}
		if !absent || i == len(l.names)-1 {
			break
		}
	}
	if root := known[r.roots[0].set]; s.subject.srv && root.err == nil {
		s.mu.Lock()
		targets, err := l.targets(root, s.sets)
		s.mu.Unlock()
		if err != nil {
			return discovery.Reading{}, err
		}
		r.targets = targets
		for k, t := range s.confirm(asking, l, asked(targets)) {
			known[k] = t
		}
	}
	if ctx.Err() != nil {
		return discovery.Reading{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.assemble(r, func(q question) result {
		if known, ok := known[q.set]; ok {
			return known
		}
		return s.set(q.set).view() // it is not asked for now
	})
	if got.err != nil {
		return discovery.Reading{}, got.err
	}
	return got.reading, nil
}

// confirm asks all of these, some at a time.
func (s *Source) confirm(ctx context.Context, l lookup, questions []question) map[key]result {
	out := map[key]result{}
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	turn := make(chan struct{}, 2*maxParallel)
	for _, q := range questions {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			r := orSpelled(q, s.confirmed(ctx, l, q))
			mu.Lock()
			defer mu.Unlock()
			out[q.set] = r
		})
	}
	wg.Wait()
	return out
}

func (s *Source) confirmed(ctx context.Context, l lookup, q question) result {
	s.mu.Lock()
	st := s.set(q.set)
	last := st.last
	s.mu.Unlock()
	var a verdict
	if q.glue != nil {
		a = *q.glue
	}
	if q.glue == nil || len(missingFrom(a.items, last)) > 0 {
		tries := l.others(q.of, l.client.servers.first(l.settings.servers))
		direct := l.ask(ctx, q, tries, false)
		if q.glue != nil && direct.outcome == found {
			direct = merged(a, direct)
		}
		a = direct
	}
	switch {
	case a.err != nil:
		return unknown(a)
	case a.proved:
		return result{verdict: a}
	case a.outcome != found:
		return result{verdict: a, state: discovery.Partial, why: a.why}
	}
	s.addSample(st, a, true)
	return s.resultOf(st, a)
}
