package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// An outcome is how one go test ended.
type outcome struct {
	by     []string // tests that failed; empty: all passed
	broken error    // it could not be tried
	said   string
}

var (
	errNotCompiled = errors.New("does not compile")
	errUnknownEnd  = errors.New("go test failed, and no test did")

	failedTest = regexp.MustCompile(`(?m)^--- FAIL: (Test\w+)`)
	failedSeed = regexp.MustCompile(`(?m)^\s*(?:\S+\.go:\d+: )?seed (\d+):`)
	panicked   = regexp.MustCompile(`(?m)^(panic|fatal error): `)
)

const (
	outOfTime = "ran into the time limit"
	inPanic   = "ended by a panic"
)

// understand reads what go test said; err is how it ended.
func understand(said string, err error) outcome {
	out := outcome{said: said}
	if err == nil {
		return out
	}
	switch {
	case strings.Contains(said, "[build failed]"), strings.Contains(said, "[setup failed]"):
		out.broken = errNotCompiled
		return out
	case strings.Contains(said, "panic: test timed out after"), strings.Contains(err.Error(), "signal: killed"):
		out.by = []string{outOfTime}
		return out
	}
	for _, found := range failedTest.FindAllStringSubmatch(said, -1) {
		if !slices.Contains(out.by, found[1]) {
			out.by = append(out.by, found[1])
		}
	}
	switch {
	case len(out.by) > 0:
	case panicked.MatchString(said):
		out.by = []string{inPanic}
	default:
		out.broken = errUnknownEnd
	}
	return out
}

// seedIn names the first seed that the simulation says has failed; "" for none.
func seedIn(said string) string {
	if found := failedSeed.FindStringSubmatch(said); found != nil {
		return "seed " + found[1] + " of the simulation"
	}
	return ""
}

func hasNoTests(said string) bool { return strings.Contains(said, "no tests to run") }
