package consul

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A diary is what a source does, kept for those who ask.
type diary struct {
	mu    sync.Mutex         // guards following
	last  discovery.Activity // but for the question,
	asked ask                // which is put into words for who wants to read it
	polls bool               // for want of a place among the blocking queries
	fresh time.Time          // until when Stale is left out
	lies  int                // answers that lacked what the leader had
}

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	now := time.Now()
	s.diary.mu.Lock()
	a, asked, polls, fresh, lies := s.diary.last, s.diary.asked, s.diary.polls, s.diary.fresh, s.diary.lies
	s.diary.mu.Unlock()
	if !a.Asked.IsZero() {
		a.Question = s.client.question(s.query, asked)
	}
	a.Remarks = nil
	if polls {
		a.Remarks = append(a.Remarks, fmt.Sprintf("polled every %s: all %d places for blocking queries over HTTP/1 are taken; https shares connections",
			s.client.opts.PollInterval, queries))
	}
	if left := s.client.budget.brake.left(now); left > 0 {
		a.Remarks = append(a.Remarks, fmt.Sprintf("nothing is asked for %s: Consul was too busy", left.Round(100*time.Millisecond)))
	}
	if _, err := s.client.fresh.of(s.client.datacenter(s.query)).holds(); err != nil {
		a.Remarks = append(a.Remarks, discovery.Printable("degraded, nothing is removed: "+err.Error(), 300))
	}
	if now.Before(fresh) {
		a.Remarks = append(a.Remarks, "only the leader is asked: another server's answer was too old")
	}
	if lies > 0 {
		a.Remarks = append(a.Remarks, fmt.Sprintf("%d times an answer lacked instances that the leader had", lies))
	}
	if err := s.client.wire.trust.Problem(); err != nil {
		a.Remarks = append(a.Remarks, discovery.Printable("earlier TLS files are used: "+err.Error(), 300))
	}
	return a
}

func (s *Source) noteAsked(a ask) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.asked, s.diary.last.Asked, s.diary.last.Next = a, time.Now(), time.Time{}
	s.diary.polls = s.diary.polls && a.index == 0
}

func (s *Source) noteAnswered(r reply, err error) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.last.Answer, s.diary.last.Answered = r.summary(), time.Now()
	if err != nil {
		s.diary.last.Answer = discovery.Printable(err.Error(), 230)
	}
}

// notePause says that the service is polled, and when next.
func (s *Source) notePause(until time.Time) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.polls, s.diary.last.Next = true, until
}

func (s *Source) noteFresh(until time.Time) {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.fresh = until
}

// noteFalse says that an answer was not what the leader said then.
func (s *Source) noteFalse() {
	s.diary.mu.Lock()
	defer s.diary.mu.Unlock()
	s.diary.lies++
}

// question is what is asked and of whom. Tokens and passwords are in headers.
func (c *Client) question(q Query, a ask) string {
	address := c.opts.Address
	if !strings.HasPrefix(address, "unix://") {
		address = c.base.String()
	}
	return discovery.Printable("GET "+strings.TrimPrefix(c.url(q, a), c.base.String())+" of "+address, 1000)
}

func (r reply) summary() string {
	s := fmt.Sprintf("200, %d instances, index %d", len(r.entries), r.index)
	if r.streaming {
		s += ", backend streaming"
	}
	return s
}
