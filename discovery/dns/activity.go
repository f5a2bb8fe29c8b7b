package dns

import (
	"fmt"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	c := s.client
	name, a := s.told()
	if c.file != nil {
		if r := c.file.remark(); r != "" {
			a.Remarks = append(a.Remarks, r)
		}
	}
	a.Remarks = append(a.Remarks, c.roster.remarks()...)
	if d, ok := c.detours.of(name); ok {
		a.Remarks = append(a.Remarks, fmt.Sprintf("asked over TCP until %s: %s", clock(d.until), d.why))
	}
	return a
}

// told returns what is known of this source alone, and the name that it asks for.
func (s *Source) told() (name string, a discovery.Activity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, a = s.subject.name, s.activity
	a.Remarks = nil
	if s.pinned != "" {
		name = s.pinned
		a.Remarks = append(a.Remarks, "stays with the name that first had records: "+label(s.pinned))
	}
	if r := s.parts.remark(); r != "" {
		a.Remarks = append(a.Remarks, r)
	}
	return name, a
}

// asking notes a question, as it begins.
func (s *Source) asking(l lookup) {
	t := try{server: l.client.roster.order(l.settings.servers, false)[0]}
	question := s.question(l.names[0], t.server, l.client.network(l.settings, t, l.names[0]))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activity.Question, s.activity.Asked = question, time.Now()
	s.activity.Next = time.Time{}
}

// answered notes what came of it, and what the question was in the end.
func (s *Source) answered(f finding, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activity.Answered = time.Now()
	if err != nil {
		s.activity.Answer = discovery.Printable(err.Error(), 200)
		return
	}
	s.activity.Question = s.question(f.name, f.server, f.network)
	s.activity.Answer = f.tells()
}

func (s *Source) question(name, server, network string) string {
	return fmt.Sprintf("%s %s of %s over %s", s.kind, label(name), server, network)
}

// tells is f in the words of dig.
func (f finding) tells() string {
	ttl := fmt.Sprintf(", TTL %v", f.ttl)
	switch f.outcome {
	case nxDomain:
		return "NXDOMAIN" + ttl
	case noData:
		return "NOERROR, no records" + ttl
	case absent:
		return "NOERROR, " + string(absent) + ttl
	}
	if f.records == 1 {
		return "NOERROR, 1 record" + ttl
	}
	return fmt.Sprintf("NOERROR, %d records", f.records) + ttl
}
