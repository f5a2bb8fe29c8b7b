package dns

import (
	"fmt"
	"slices"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	c := s.client
	name, a := s.ownActivity()
	if c.file != nil {
		if r := c.file.remark(); r != "" {
			a.Remarks = append(a.Remarks, r)
		}
	}
	a.Remarks = append(a.Remarks, c.servers.remarks()...)
	if d, ok := c.preferTCP.of(name); ok {
		a.Remarks = append(a.Remarks, fmt.Sprintf("asked over TCP until %s: %s", clock(d.until), d.why))
	}
	return a
}

// ownActivity returns what is known of this source, without what its client shares, and
// the name that it asks for.
func (s *Source) ownActivity() (name string, a discovery.Activity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, a = s.subject.name, s.activity
	a.Remarks = nil
	if s.pinned != "" {
		name = s.pinned
		a.Remarks = append(a.Remarks, "stays with the name that first had records: "+label(s.pinned))
	}
	var parts []string
	for k, st := range s.sets {
		if r := st.partial.remark(); r != "" {
			parts = append(parts, fmt.Sprintf("%v: %s", k, r))
		}
	}
	slices.Sort(parts)
	a.Remarks = append(a.Remarks, few(parts)...)
	a.Remarks = append(a.Remarks, few(s.gaps)...)
	return name, a
}

// few is the first of lines, and how many there are besides.
func few(lines []string) []string {
	const most = 20
	if len(lines) <= most {
		return lines
	}
	return append(slices.Clone(lines[:most]), fmt.Sprintf("and %d more of the kind", len(lines)-most))
}

func (s *Source) noteQuestion(l lookup) {
	question := s.question(l.names[0], l.client.servers.first(l.settings.servers), l.client.network(l.settings, l.names[0]))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activity.Question, s.activity.Asked = question, time.Now()
	s.activity.Next = time.Time{}
}

// noteAnswer notes what came of it, and what the question was in the end. It needs s.mu.
func (s *Source) noteAnswer(got assembly, late bool) {
	s.gaps = notable(got.reading.Normalized())
	if got.err == nil {
		s.priority = got.inUse
	}
	if late {
		return
	}
	s.activity.Answered = time.Now()
	if got.err != nil {
		s.activity.Answer, s.gaps = discovery.Printable(got.err.Error(), 200), nil
		return
	}
	if got.best.server != "" {
		s.activity.Question = s.question(s.round.roots[0].of.name, got.best.server, got.best.network)
	}
	s.activity.Answer = got.summary()
}

func (s *Source) question(name, server, network string) string {
	return fmt.Sprintf("%s %s of %s over %s", s.kind, label(name), server, network)
}

// summary is what came, in the words of dig.
func (a assembly) summary() string {
	ttl := fmt.Sprintf(", TTL %v", a.best.ttl)
	switch {
	case a.records > 0:
		return "NOERROR, " + discovery.Count(a.records, "record") + ttl
	case a.best.outcome == nxDomain:
		return "NXDOMAIN" + ttl
	}
	return "NOERROR, no records" + ttl
}
