package dns

import (
	"context"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A question is what is asked about one set.
type question struct {
	of    key      // that is asked for, which differs from the set's with a search list
	set   key      // where it is remembered
	child bool     // another record named it
	glue  *verdict // that came along with it, or nil
	extra bool     // its other family came along
	idle  bool     // it is not asked now
}

// grace is how long a reading waits for a set that was unknown before.
const grace = 100 * time.Millisecond

// gather asks for all of these at the same time, and returns when they are answered.
// Where answered says that something is known, or as soon as it is, those that were
// unknown before are not waited for longer than grace, and the others for the time of
// one try after the last answer, of two and a half at most: no set waits for the
// trouble of another. What comes late is there for the next reading, which
// [Source.Next] returns then.
func (s *Source) gather(ctx context.Context, l lookup, questions []question, answered bool) error {
	s.start(ctx, l, questions)
	try := l.settings.timeout
	limit, most := time.NewTimer(try), time.NewTimer(5*try/2)
	defer limit.Stop()
	defer most.Stop()
	known, last := 0, false // last: only those that were unknown before are missing
	for {
		p := s.progress(questions)
		if p.missing == 0 {
			return ctx.Err()
		}
		if !answered && p.known > 0 {
			answered = true
			most.Reset(5 * try / 2)
		}
		switch {
		case p.healthy == 0 && !last:
			last = true
			limit.Reset(grace)
		case p.healthy > 0 && p.known > known:
			limit.Reset(try)
		}
		known = p.known
		over, end := limit.C, most.C
		if !answered {
			over, end = nil, nil
		}
		select {
		case <-p.changed:
		case <-over:
			return ctx.Err()
		case <-end:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A progress is how far a gathering has come.
type progress struct {
	missing int // sets that are waited for,
	healthy int // of which so many were not unknown before
	known   int // of the others
	changed <-chan struct{}
}

func (s *Source) progress(questions []question) progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := progress{changed: s.changed}
	for _, q := range questions {
		switch st := s.set(q.set); {
		case !st.busy && st.result.err == nil:
			p.known++
		case !st.busy:
		case st.wasUnknown:
			p.missing++
		default:
			p.missing++
			p.healthy++
		}
	}
	return p
}

// start begins the lookups of those sets that are not being asked for: at once of what
// came along, and as many of the others at a time as there may be, those that were
// unknown apart, so that they take nobody's place.
func (s *Source) start(ctx context.Context, l lookup, questions []question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var healthy, sick []question
	for _, q := range questions {
		st := s.set(q.set)
		if st.busy {
			continue
		}
		if s.useGlue(st, q) {
			continue
		}
		st.busy, st.wasUnknown, st.missed, st.asked = true, st.result.err != nil, false, time.Now()
		if st.wasUnknown {
			sick = append(sick, q)
		} else {
			healthy = append(healthy, q)
		}
	}
	for _, q := range healthy {
		go s.run(ctx, l, q, s.slots)
	}
	for _, q := range sick {
		go s.run(ctx, l, q, s.spare)
	}
}

// useGlue takes what came along with another answer, if it lacks nothing.
func (s *Source) useGlue(st *set, q question) bool {
	parts := st.partial.on || st.partial.mode == Partial
	if q.glue == nil || q.glue.cut || parts || st.trouble || len(missingFrom(q.glue.items, st.last)) > 0 {
		return false
	}
	st.update(result{verdict: *q.glue}, 0)
	return true
}

// run looks a set up and says so.
func (s *Source) run(ctx context.Context, l lookup, q question, slots chan struct{}) {
	var r result
	select {
	case slots <- struct{}{}:
		r = s.lookLimited(ctx, l, q)
		<-slots
	case <-ctx.Done():
		r = unknown(verdict{err: discovery.Errorf(discovery.Transport, "%w", ctx.Err())})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.set(q.set)
	pace := s.client.pace(r.ttl)
	if r.isNoneYet() && r.ttl == 0 {
		pace = s.client.options.MaxRefresh
	}
	st.update(r, pace)
	s.news = s.news || st.missed && r.err == nil
	st.busy, st.missed = false, false
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Source) lookLimited(ctx context.Context, l lookup, q question) (r result) {
	defer func() {
		// Nothing else recovers a panic in this goroutine: it would end the program.
		if p := recover(); p != nil {
			r = unknown(verdict{err: discovery.Errorf(discovery.Protocol, "looking up %v panicked: %v", q.of, p)})
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	s.mu.Lock()
	st := s.set(q.set)
	s.mu.Unlock()
	return orSpelled(q, s.look(ctx, l.asker, st, q))
}

// forget drops the sets that nothing names any more, and who has had them. It needs
// s.mu.
func (s *Source) forget(questions []question) {
	named := map[key]bool{}
	for _, q := range questions {
		named[q.set] = true
	}
	for k, st := range s.sets {
		if !st.busy && !named[k] {
			delete(s.sets, k)
			s.holders.forget(k)
		}
	}
}
