package consul

import (
	"fmt"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A diary is what a source does, kept for those who ask.
type diary struct {
	discovery.Diary

	mu    sync.Mutex // guards following
	fresh time.Time  // until when Stale is left out
	lies  int        // answers that lacked what the leader had
}

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	now := time.Now()
	a, polls := s.diary.Read()
	s.diary.mu.Lock()
	fresh, lies := s.diary.fresh, s.diary.lies
	s.diary.mu.Unlock()
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
	if s.rights.isNarrowed() {
		a.Remarks = append(a.Remarks, "nothing is removed: "+hidden)
	}
	if now.Before(fresh) {
		a.Remarks = append(a.Remarks, "only the leader is asked: another server's answer was too old")
	}
	if lies > 0 {
		a.Remarks = append(a.Remarks, fmt.Sprintf("%d times an answer lacked instances that the leader had", lies))
	}
	a.Remarks = append(a.Remarks, s.client.wire.trust.Remarks()...)
	return a
}

// noteAsked notes a question. Tokens and passwords are in headers.
func (s *Source) noteAsked(a ask) {
	s.diary.Asked(a.index > 0, func() string { return s.client.at.Question(s.client.url(s.query, a)) })
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

func (r reply) summary() string {
	s := fmt.Sprintf("200, %d instances, index %d", len(r.entries), r.index)
	if r.streaming {
		s += ", backend streaming"
	}
	return s
}
