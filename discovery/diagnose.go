package discovery

import (
	"context"
	"fmt"
)

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
