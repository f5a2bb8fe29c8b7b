package discovery

import (
	"sync"
	"time"
)

// A Diary is what a source does, kept for those who ask. The zero value is that of
// one that has done nothing. It is safe for concurrent use.
type Diary struct {
	mu       sync.Mutex    // guards following
	last     Activity      // but for the question,
	question func() string // which is put into words for who wants to read it; nil at first
	polls    bool
}

// Read returns what was noted. polls says that the source is polled for want of a
// place among the blocking queries.
func (d *Diary) Read() (a Activity, polls bool) {
	d.mu.Lock()
	a, question, polls := d.last, d.question, d.polls
	d.mu.Unlock()
	if question != nil {
		a.Question = question()
	}
	return a, polls
}

// Asked notes a question as it begins. question may be called at any time, from any
// goroutine.
func (d *Diary) Asked(blocking bool, question func() string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.question, d.last.Asked, d.last.Next = question, time.Now(), time.Time{}
	d.polls = d.polls && !blocking
}

// Answered notes what came of it: err, or if that is nil, answer.
func (d *Diary) Answered(answer string, err error) {
	if err != nil {
		answer = Printable(err.Error(), 230)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last.Answer, d.last.Answered = answer, time.Now()
}

// Polls notes that the source is polled, and when next.
func (d *Diary) Polls(next time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.polls, d.last.Next = true, next
}
