package nomad

import (
	"fmt"

	"github.com/slotsync/slotsync/discovery"
)

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	a, polls := s.diary.Read()
	a.Remarks = []string{"Nomad does not know which instances are healthy: HAProxy's checks decide"}
	if polls {
		a.Remarks = append(a.Remarks, fmt.Sprintf("polled every %s: all %d places for blocking queries are taken", s.client.opts.PollInterval, queries))
	}
	a.Remarks = append(a.Remarks, s.client.wire.trust.Remarks()...)
	return a
}

// noteAsked notes a question. The token is in a header.
func (s *Source) noteAsked(a ask) {
	s.diary.Asked(a.index > 0, func() string { return s.client.at.Question(s.client.url(s.query, a)) })
}
