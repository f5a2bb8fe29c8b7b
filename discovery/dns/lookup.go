package dns

import (
	"context"
	"slices"

	wire "github.com/miekg/dns"
)

// A lookup is what one reading begins with.
type lookup struct {
	asker
	names    []string
	qtypes   []uint16 // of the name itself
	families families // of the targets of a service
}

func (s *Source) begin() lookup {
	a := asker{client: s.client, settings: s.client.setup(), holders: &s.holders, subject: s.subject.name}
	l := lookup{asker: a, names: []string{s.subject.name}, families: s.subject.wanted.without(a.settings.noAAAA)}
	l.qtypes = l.families.qtypes
	if s.subject.srv {
		l.qtypes = []uint16{wire.TypeSRV}
	}
	if s.subject.relative {
		l.names = a.settings.candidates(s.subject.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(l.names, s.pinned) {
		l.names = []string{s.pinned}
	}
	return l
}

// roots asks for the records of the name itself, along the search list where there is
// one. Names after the first are asked for only if no server knows those before, for
// the next one may be a wildcard, and somebody else's.
func (s *Source) roots(ctx context.Context, l lookup) (questions []question, err error) {
	for i, name := range l.names {
		questions = l.questions(s.subject.name, name)
		if err := s.gather(ctx, l, questions, false); err != nil {
			return nil, err
		}
		if len(l.names) == 1 {
			break
		}
		for s.busy(questions) { // while one searches, all have to be known
			if err := s.gather(ctx, l, questions, false); err != nil {
				return nil, err
			}
		}
		absent, failed := nonexistent(questions, s.results(questions))
		if failed != nil {
			return nil, failed
		}
		if !absent || i == len(l.names)-1 {
			break
		}
	}
	return questions, nil
}

// questions are those for the records of the name itself, as name.
func (l lookup) questions(own, name string) []question {
	var out []question
	for _, qtype := range l.qtypes {
		out = append(out, question{of: key{name, qtype}, set: key{own, qtype}})
	}
	return out
}

// nonexistent says whether the name of these questions is known not to exist, or why that
// is not known.
func nonexistent(questions []question, known map[key]result) (absent bool, failed error) {
	absent = true
	for _, q := range questions {
		r := known[q.set]
		if len(r.items) > 0 {
			return false, nil
		}
		if r.outcome == nxDomain {
			failed = worse(failed, r.told)
		}
		failed = worse(failed, r.err)
		absent = absent && r.outcome == nxDomain
	}
	return absent && failed == nil, failed
}

func (s *Source) results(questions []question) map[key]result {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[key]result{}
	for _, q := range questions {
		out[q.set] = s.set(q.set).result
	}
	return out
}

func (s *Source) busy(questions []question) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(questions, func(q question) bool { return s.set(q.set).busy })
}
