package discovery

import (
	"context"
	"fmt"
	"time"
)

// An Acceptor is a [Source] with parts that may stay [Partial] until somebody says that
// what they lack is gone, as a list that a token may read less of than before.
type Acceptor interface {
	// Accept says that an operator takes for gone what the parts of the source lack.
	// From now on the source judges them by what they are now: the next reading may
	// say Whole where the last one said Partial. It changes nothing for parts that are
	// partial for a reason that ends by itself. It may be called at any time, from any
	// goroutine, and does not block. What it changes is in [Rememberer.Memory] when it
	// returns.
	Accept()
}

// Accept tells src that what its parts lack is gone, and reports whether it is an [Acceptor]. It is
// called after an operator accepted the end of all that was kept of src.
func Accept(src Source) bool {
	a, ok := src.(Acceptor)
	if ok {
		a.Accept()
	}
	return ok
}

// An Activity is what a source does now, for people. Every field may be empty.
type Activity struct {
	// Question is what was asked last, and of whom, as in "GET
	// /v1/health/service/web?index=42&stale&wait=60s of http://127.0.0.1:8500". It
	// holds no secret.
	Question string    `json:"question,omitempty"`
	Asked    time.Time `json:"asked,omitzero"`
	// Answer is what came back, in a line, as in "200, 12 instances, index 43".
	Answer   string    `json:"answer,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
	// Next is when it is asked again; zero: it is being asked, or this is not known.
	Next time.Time `json:"next,omitzero"`
	// Remarks are what one should know besides, as in "polled every 10s: more
	// services than connections".
	Remarks []string `json:"remarks,omitempty"`
}

// Active is a [Source] that tells what it does. Activity may be called at any
// time, from any goroutine, and does not block.
type Active interface{ Activity() Activity }

// ActivityOf returns what src does, as far as it tells.
func ActivityOf(src Source) Activity {
	if a, ok := src.(Active); ok {
		return a.Activity()
	}
	return Activity{}
}

// How a [Finding] is to be taken.
const (
	Fine    = "ok"
	Dubious = "warn"
	Faulty  = "fail"
)

// A Finding is one thing that was looked at.
type Finding struct {
	Verdict string // [Fine], [Dubious] or [Faulty]
	// Text says what is and, if that is not fine, what to do about it. It holds no
	// secret.
	Text string
}

// Findingf returns a finding; format is as for [fmt.Sprintf].
func Findingf(verdict, format string, args ...any) Finding {
	return Finding{Verdict: verdict, Text: fmt.Sprintf(format, args...)}
}

// A Diagnoser is a [Source] that can look at what it rests on more closely than
// watching it does.
type Diagnoser interface {
	// Diagnose asks, once, and returns when ctx is done at the latest. It may be
	// called at any time, and changes nothing that Next goes by.
	Diagnose(ctx context.Context) []Finding
}

// Diagnose returns what src finds, as far as it looks. A panic of the source is a
// finding.
func Diagnose(ctx context.Context, src Source) (list []Finding) {
	d, ok := src.(Diagnoser)
	if !ok {
		return nil
	}
	_, err := recoverPanic(src, func() (Reading, error) { list = d.Diagnose(ctx); return Reading{}, nil })
	if err != nil {
		return []Finding{{Faulty, err.Error()}}
	}
	return list
}

// A Rememberer is a [Source] that goes on better after a restart with what it learnt
// before it: which server had a name, or since when a list is filtered.
type Rememberer interface {
	// Memory returns what is worth keeping, nil if nothing is: text of at most
	// [MaxMemory] bytes that holds no secret. It may be called at any time, from any
	// goroutine, does not block, and returns equal text while nothing changed.
	Memory() []byte
	// Remember takes what Memory returned in another process. It is called before
	// Next, at most once. Text that cannot be used is ignored.
	Remember(text []byte)
}

// MaxMemory bounds what is kept of one source, in bytes.
const MaxMemory = 64 << 10

// MemoryOf returns what src wants to be kept; nil if that is nothing, or too much.
func MemoryOf(src Source) []byte {
	r, ok := src.(Rememberer)
	if !ok {
		return nil
	}
	text := r.Memory()
	if len(text) > MaxMemory {
		return nil
	}
	return text
}

// Remind hands src what was kept of it.
func Remind(src Source, text []byte) {
	if r, ok := src.(Rememberer); ok && len(text) > 0 && len(text) <= MaxMemory {
		r.Remember(text)
	}
}
