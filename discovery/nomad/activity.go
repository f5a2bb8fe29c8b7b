package nomad

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A diary is what a source does, kept for those who ask.
type diary struct {
	mu    sync.Mutex // guards following
	last  discovery.Activity
	polls bool // for want of a place among the blocking queries
}

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	s.diary.mu.Lock()
	a, polls := s.diary.last, s.diary.polls
	s.diary.mu.Unlock()
	a.Remarks = []string{"Nomad does not know which instances are healthy: HAProxy's checks decide"}
	if polls {
		a.Remarks = append(a.Remarks, fmt.Sprintf("polled every %s: all %d places for blocking queries are taken", s.client.opts.PollInterval, queries))
	}
	if err := s.client.wire.trust.Problem(); err != nil {
		a.Remarks = append(a.Remarks, discovery.Printable("earlier TLS files are used: "+err.Error(), 300))
	}
	return a
}

func (s *Source) noteAsked(a ask) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.last.Question, s.diary.last.Asked, s.diary.last.Next = s.client.question(s.query, a), time.Now(), time.Time{}
	s.diary.polls = s.diary.polls && a.index == 0
}

func (s *Source) noteAnswered(r reply, err error) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.last.Answer, s.diary.last.Answered = fmt.Sprintf("200, %d instances, index %d", len(r.list), r.index), time.Now()
	if err != nil {
		s.diary.last.Answer = discovery.Printable(err.Error(), 230)
	}
}

// notePoll says that the service is polled, and when next.
func (s *Source) notePoll(next time.Time) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.polls, s.diary.last.Next = true, next
}

// question is what is asked and of whom. The token is in a header.
func (c *Client) question(q Query, a ask) string {
	address := c.opts.Address
	if !strings.HasPrefix(address, "unix://") {
		address = c.base.String()
	}
	return discovery.Printable("GET "+strings.TrimPrefix(c.url(q, a), c.base.String())+" of "+address, 1000)
}
