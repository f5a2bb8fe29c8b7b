package longpoll

import (
	"fmt"
	"sync"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// An activityLog has what a source does, for [discovery.Active]. The zero value is that of
// one that has done nothing. It is safe for concurrent use.
type activityLog struct {
	mu       sync.Mutex         // guards following
	last     discovery.Activity // without the question,
	question func() string      // which is only worded when it is read; nil at first
	polls    bool               // for want of a place among the blocking queries
	leader   time.Time          // until when only the leader is asked
	refuted  int                // answers that lacked what the leader had
}

func (l *activityLog) read() (a discovery.Activity, polls bool, leader time.Time, refuted int) {
	l.mu.Lock()
	a, question, polls, leader, refuted := l.last, l.question, l.polls, l.leader, l.refuted
	l.mu.Unlock()
	if question != nil {
		a.Question = question()
	}
	return a, polls, leader, refuted
}

// asked notes a question as it begins. question may be called at any time, from any
// goroutine.
func (l *activityLog) asked(blocking bool, question func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.question, l.last.Asked, l.last.Next = question, time.Now(), time.Time{}
	l.polls = l.polls && !blocking
}

// answeredBy notes what came of it: err, or if that is nil, answer.
func (l *activityLog) answeredBy(answer string, err error) {
	if err != nil {
		answer = discovery.Printable(err.Error(), 230)
	}
	l.note(func(l *activityLog) { l.last.Answer, l.last.Answered = answer, time.Now() })
}

func (l *activityLog) note(change func(*activityLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *activityLog) pollsAt(next time.Time) {
	l.note(func(l *activityLog) { l.polls, l.last.Next = true, next })
}

// Describe returns what the source does; remarks are those of its system.
func (s *Source[R]) Describe(remarks ...string) discovery.Activity {
	now, c := time.Now(), s.client
	a, polls, leader, refuted := s.activity.read()
	if polls {
		over, advice := "", ""
		if c.opts.HTTP2 {
			over, advice = " over HTTP/1", "; https shares connections"
		}
		a.Remarks = append(a.Remarks, fmt.Sprintf("polled every %s: all %d places for blocking queries%s are taken%s",
			c.opts.PollInterval, c.opts.Queries, over, advice))
	}
	if left := c.budget.cooldown.left(now); left > 0 {
		a.Remarks = append(a.Remarks, fmt.Sprintf("nothing is asked for %s: %s was too busy", left.Round(100*time.Millisecond), c.opts.System))
	}
	a.Remarks = append(a.Remarks, remarks...)
	if now.Before(leader) {
		a.Remarks = append(a.Remarks, "only the leader is asked: another server's answer was too old")
	}
	if refuted > 0 {
		a.Remarks = append(a.Remarks, fmt.Sprintf("%d times an answer lacked instances that the leader had", refuted))
	}
	a.Remarks = append(a.Remarks, c.wire.trust.Remarks()...)
	return a
}
