package discovery

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	minInterval    = 100 * time.Millisecond // between the starts of two calls of Next
	intervalJitter = 20 * time.Millisecond  // added to it, so that many sources do not ask in step
	sameEvery      = time.Second            // calls after answers that equal the last one: so often,
	sameBurst      = 5                      // after so many at once
	newsRate       = 20                     // calls after news: so many a second,
	newsBurst      = 50                     // after so many at once
	newsPause      = 2 * time.Millisecond   // after news, which leaves the processor to the goroutines that act on it
	minPause       = 50 * time.Millisecond  // after an error
)

// An Update is one answer of a source, or why there is none.
type Update struct {
	// Reading holds if Err is nil. It is normalized.
	Reading Reading
	// Err says that nothing is known now. It is an [Error] unless the source
	// breaks its contract.
	Err error
	// At is when the answer came.
	At time.Time
	// Again is when the source is asked again, at the latest.
	Again time.Time
}

// Watch calls src.Next until ctx is done and hands every answer to publish, in
// order and from one goroutine, the caller's. Answers that equal the last one
// are published too, since they prove that it still holds.
//
// A source whose answers differ is asked again after 2 ms, in which the news has the
// processor to itself; after 50 such answers in a row at most 20 times a second. One whose
// answers are equal is asked not sooner than 100 ms after it was last asked, and at most
// once a second. After an error it is asked again after a random part of a pause that
// doubles from the first to the longest of [Class.Backoff], or as soon as a
// [Recoverer] says so; Watch never gives up. A panic of the source is an error of class [Protocol].
func Watch(ctx context.Context, src Source, publish func(Update)) {
	p := pace{same: rate.NewLimiter(rate.Every(sameEvery), sameBurst), news: rate.NewLimiter(newsRate, newsBurst)}
	for ctx.Err() == nil {
		asked := time.Now()
		r, err := requireParts(src, func() (Reading, error) { return src.Next(ctx) })
		if ctx.Err() != nil {
			return
		}
		u := Update{Reading: r.Normalized(), Err: err, At: time.Now()}
		if err != nil {
			u.Reading = Reading{}
		}
		pause := p.after(u, asked)
		u.Again = u.At.Add(pause)
		publish(u)
		pauseAfter(ctx, src, u.Err, pause)
	}
}

// pauseAfter returns after d, or sooner when ctx is done or a source that failed may be
// asked again.
func pauseAfter(ctx context.Context, src Source, failed error, d time.Duration) {
	if failed == nil {
		Sleep(ctx, d)
		return
	}
	Sleep(ctx, minPause)
	brief, cancel := context.WithTimeout(ctx, d-minPause)
	defer cancel()
	_, err := recoverPanic(src, func() (Reading, error) { recovered(brief, src, failed); return Reading{}, nil })
	if err != nil { // it panicked: the whole pause, then
		<-brief.Done()
	}
}

// Confirm calls src.Confirm. What it returns is normalized, and
// a panic of the source is an error of class [Protocol].
func Confirm(ctx context.Context, src Source) (Reading, error) {
	r, err := requireParts(src, func() (Reading, error) { return src.Confirm(ctx) })
	if err != nil {
		return Reading{}, err
	}
	return r.Normalized(), nil
}

// recoverPanic turns a panic of src into an error: one broken source must not end the
// watching of the others.
func recoverPanic(src Source, ask func() (Reading, error)) (r Reading, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = Reading{}, Errorf(Protocol, "%s panicked: %v", src, p)
		}
	}()
	return ask()
}

// requireParts is recoverPanic for readings: one without a part is an error.
func requireParts(src Source, ask func() (Reading, error)) (Reading, error) {
	r, err := recoverPanic(src, ask)
	if err == nil && len(r.Parts) == 0 {
		return r, Errorf(Protocol, "%s answered without saying of what", src)
	}
	return r, err
}

// pace decides how long a source is left alone after an update.
type pace struct {
	same  *rate.Limiter
	news  *rate.Limiter
	last  *Reading // nil before the first one
	fails int
}

func (p *pace) after(u Update, asked time.Time) time.Duration {
	if u.Err != nil {
		p.fails++
		return jittered(backoff(ClassOf(u.Err), p.fails))
	}
	p.fails = 0
	same := p.last != nil && p.last.Equal(u.Reading)
	p.last = &u.Reading
	if !same {
		return max(newsPause, p.news.ReserveN(u.At, 1).DelayFrom(u.At))
	}
	return max(minInterval+rand.N(intervalJitter)-u.At.Sub(asked), p.same.ReserveN(u.At, 1).DelayFrom(u.At), 0)
}

// backoff returns the pause after that many errors in a row, the last of class c.
func backoff(c Class, fails int) time.Duration {
	first, most := c.Backoff()
	return min(first<<min(fails-1, 16), most)
}

// Sleep returns after d, or when ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func jittered(d time.Duration) time.Duration { return max(minPause, rand.N(d)) }
