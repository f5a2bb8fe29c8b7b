package longpoll

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/slotsync/slotsync/discovery"
)

// A Reply is what a 200 says.
type Reply interface {
	// Index is the index of the reply; 0 if there is none that can be read.
	Index() uint64
	// Len is the number of instances.
	Len() int
	// String sums it up in a line.
	fmt.Stringer
}

// A Service is one service of one system, whose replies are of type R.
type Service[R Reply] interface {
	// URL is where q is asked.
	URL(q Request) string
	// Get asks once, by [Ask].
	Get(ctx context.Context, q Request) (R, error)
	// Judge says what r, the reply to q, is worth. had is how many instances the last
	// reply had that was applied; -1: there was none.
	Judge(q Request, had int, r R) (Disposition, error)
	// Reading makes endpoints of r.
	Reading(r R) discovery.Reading
	// Believe is called before a reply is told that is to be applied, applied partly, or
	// unchanged: reading is what it says, last what was applied before it. It returns a
	// weaker disposition if there is a reason to, and what is told: reading, with what is
	// doubtful about it. An error has the next read be a plain one.
	Believe(ctx context.Context, q Request, d Disposition, r R, last, reading discovery.Reading) (Disposition, discovery.Reading, error)
}

// A Disposition says what is done about a reply.
type Disposition uint8

const (
	// Apply: the set is as the reply says.
	Apply Disposition = iota
	// ApplyPartly: what is in it may be added; a plain read comes next.
	ApplyPartly
	// Unchanged: the last set still holds; the payload is not used.
	Unchanged
	// Reseed: the payload is not used; a plain read comes next.
	Reseed
	// TooOld: as Reseed, and only the leader is asked for a while.
	TooOld
	// Doubtful: so much is gone that the strongest read has to say so.
	Doubtful
	// ReadPlainly: the payload is not used; a plain read says more.
	ReadPlainly
)

// A Source watches one service. It has what a [discovery.Source] of both systems shares.
// A source may be watched once at a time.
type Source[R Reply] struct {
	client   *Client
	service  Service[R]
	state    state        // of Next
	place    *place       // of Next; nil at first
	had      atomic.Int64 // 1 + the instances in the last reply that was applied; 0: none was
	retries  retryBudget
	activity activityLog
}

// NewSource returns a source for what s asks of c.
func NewSource[R Reply](c *Client, s Service[R]) *Source[R] {
	return &Source[R]{client: c, service: s, retries: retryBudget{rate.NewLimiter(rate.Every(retryEvery), retryBurst)}}
}

// Next implements [discovery.Source]. It begins with a plain read, the only one
// that fails where there are no servers, and goes on with blocking queries, or with plain
// reads where there is no place for one. An unchanged set is returned again when a
// blocking query ends: it proves that the set still holds. The index is kept over errors,
// so that a server that is behind blocks instead of answering with old data.
func (s *Source[R]) Next(ctx context.Context) (discovery.Reading, error) {
	for {
		q, err := s.turn(ctx)
		if err != nil {
			return discovery.Reading{}, err
		}
		told, known, err := s.step(ctx, q)
		if err != nil {
			s.fail()
			return discovery.Reading{}, err
		}
		if s.state.failed && known && told.Whole() {
			s.client.back()
		}
		s.state.failed = false
		if known {
			return told, nil
		}
	}
}

// fail gives up the place among the blocking queries: the pause may be long.
func (s *Source[R]) fail() {
	s.state.failed, s.state.failedAt = true, time.Now()
	s.place.release()
}

// step asks once. known is false if there is nothing to say yet.
func (s *Source[R]) step(ctx context.Context, q Request) (told discovery.Reading, known bool, err error) {
	st := &s.state
	epoch, over := s.client.epochs.now()
	r, err := s.ask(ctx, q, over)
	if err != nil && q.Blocking() && over.Err() != nil && ctx.Err() == nil {
		return told, false, nil // another source found that the indexes began anew
	}
	if err != nil {
		return told, false, err
	}
	d, r, err := s.judge(ctx, q, r)
	if err != nil {
		return told, false, err
	}
	reading := st.last
	switch d {
	case Reseed:
		st.index = 0
		return told, false, st.resets.add(time.Now())
	case TooOld:
		st.index, st.fresh = 0, time.Now().Add(freshFor)
		s.activity.note(func(l *activityLog) { l.leader = st.fresh })
		return told, false, nil
	case Apply, ApplyPartly:
		reading = s.service.Reading(r)
	}
	d, told, err = s.service.Believe(ctx, q, d, r, st.last, reading)
	switch {
	case err != nil:
		st.index = 0
		return discovery.Reading{}, false, err
	case d == ReadPlainly:
		st.index = 0
		return discovery.Reading{}, false, nil
	case d == ApplyPartly:
		st.index = 0 // its absences are not believed: a plain read fails if there is no leader
	case d == Unchanged:
		st.resets.end()
	case d == Apply:
		if r.Index() < st.top {
			s.client.epochs.close(st.epoch)
			epoch, _ = s.client.epochs.now()
		}
		st.apply(q, r.Index(), reading, epoch)
		s.had.Store(int64(r.Len()) + 1)
	}
	return told, true, nil
}

// ask notes question and answer. A blocking query ends with the epoch.
func (s *Source[R]) ask(ctx context.Context, q Request, over context.Context) (R, error) {
	limited := ctx
	if q.Blocking() {
		var cancel context.CancelFunc
		limited, cancel = either(ctx, over)
		defer cancel()
	}
	s.activity.asked(q.Blocking(), func() string { return s.client.At.question(s.service.URL(q)) })
	s.place.begin(q.Wait)
	r, err := s.service.Get(limited, q)
	if limited.Err() == nil {
		s.place.end()
		s.activity.answeredBy(r.String(), err)
	}
	return r, err
}

// judge says what r, the reply to q, is worth. Where that is doubtful the strongest read
// takes its place.
func (s *Source[R]) judge(ctx context.Context, q Request, r R) (Disposition, R, error) {
	d, err := s.service.Judge(q, s.instances(), r)
	if err == nil && !q.Blocking() && r.Index() < s.state.top {
		// A leader that has just started answers before it knows all that it wrote
		// down (seen with Consul 1.8.7); only a consistent read waits for that.
		d = Doubtful
	}
	if err != nil || d != Doubtful {
		return d, r, err
	}
	confirmed, err := s.Strongest(ctx)
	if err == nil && confirmed.Len() > r.Len() {
		s.activity.note(func(l *activityLog) { l.refuted++ })
	}
	return Apply, confirmed, err
}

// Strongest asks in the strongest way there is, now, also while Next blocks.
func (s *Source[R]) Strongest(ctx context.Context) (R, error) {
	return s.readAndJudge(ctx, Request{Mode: s.client.opts.Confirm})
}

// readAndJudge returns the reply to q if it can be believed. It may be called while Next
// blocks.
func (s *Source[R]) readAndJudge(ctx context.Context, q Request) (R, error) {
	r, err := s.service.Get(ctx, q)
	if err != nil {
		return r, err
	}
	_, err = s.service.Judge(q, s.instances(), r)
	return r, err
}

// instances is how many the last reply had that was applied; -1: there was none.
func (s *Source[R]) instances() int { return int(s.had.Load()) - 1 }
