package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// askTime bounds one question to a source.
const askTime = 20 * time.Second

// examineSource asks the source of b once, in the strongest way.
func examineSource(ctx context.Context, b backendConfig, source discovery.Source) findings {
	f := findings{subject: fmt.Sprintf("source of %s (%s)", b.name, source)}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	reading, err := source.Confirm(ctx)
	if err != nil {
		f.add(verdictFail, "%s", sourceAdvice(err))
		return f
	}
	f.judgeReading(reading)
	return f
}

func (f *findings) judgeReading(r discovery.Reading) {
	n := map[discovery.State]int{}
	for _, e := range r.Endpoints {
		n[e.State]++
	}
	text := fmt.Sprintf("%s: %d ready, %d draining, %d down", count(len(r.Endpoints), "endpoint"),
		n[discovery.Ready], n[discovery.Drain], n[discovery.Down])
	if r.Note != "" {
		text += " (" + r.Note + ")"
	}
	switch {
	case len(r.Endpoints) == 0:
		f.add(verdictWarn, "it answers and knows no endpoint: is the name right, and may the token read it?%s", note(r.Note))
	case r.Weak:
		f.add(verdictWarn, "%s; the answer is weak: it may add endpoints, and removes none", text)
	default:
		f.add(verdictOK, "%s", text)
	}
	for i, rejection := range r.Rejected {
		if i == 5 {
			f.add(verdictWarn, "%d more are rejected", len(r.Rejected)-i)
			break
		}
		f.add(verdictWarn, "rejected: %s (%s)", strings.TrimSpace(rejection.Name+" "+rejection.Value), strings.ReplaceAll(rejection.Reason, "_", " "))
	}
}

func note(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// sourceAdvice is err and what to do about it.
func sourceAdvice(err error) string {
	what := map[discovery.Class]string{
		discovery.Transport: "is it running, and the address right?",
		discovery.Busy:      "it refuses for its load: fewer watches, or more servers",
		discovery.Server:    "it is up and does not know: look at its own log",
		discovery.Auth:      "give it a token that may read the service and its nodes",
		discovery.Config:    "correct what is asked for",
		discovery.Protocol:  "is this the right address?",
	}[discovery.ClassOf(err)]
	return err.Error() + ": " + what
}
