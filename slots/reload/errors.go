package reload

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// An Error says which step failed, why, what was done about it, and what to do.
type Error struct {
	Step Step
	Err  error
	// RolledBack: the file from before is in place again.
	RolledBack bool
	// Words are what the program or the master had to say, whole.
	Words string

	done   string // what was done about it
	advice string // what to do
}

// Error returns one line. Of the words it has the first that HAProxy marks as
// fatal, or the first one if they are of the step that failed; Words has all.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %s failed: %v", e.Step, e.Err)
	if line := worst(e.Words); line != "" && (e.Step != StepWorker || strings.Contains(line, "[ALERT]")) {
		fmt.Fprintf(&b, ": %s", line)
	}
	for _, more := range []string{e.done, e.advice} {
		if more != "" {
			fmt.Fprintf(&b, "; %s", more)
		}
	}
	return strings.ReplaceAll(b.String(), "\n", ": ")
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// worst returns the line of words that says most: what HAProxy found before that it found
// something, an alert before a warning, and notices as of its version last.
func worst(words string) string {
	best, at := "", 0
	for line := range strings.Lines(words) {
		line = strings.TrimSpace(line)
		if n := weight(line); n > at {
			best, at = line, n
		}
	}
	return shorten(best)
}

// weight says how much a line tells of what is wrong.
func weight(line string) int {
	summary := slices.ContainsFunc([]string{"Error(s) found in configuration file", "Fatal errors found in configuration",
		"Some warnings were found and 'zero-warning' is set", "Some warnings were found and -dW"},
		func(s string) bool { return strings.Contains(line, s) })
	switch {
	case line == "":
		return 0
	case strings.Contains(line, "[NOTICE]"):
		return 1
	case strings.Contains(line, "[ALERT]") && summary:
		return 3
	case strings.Contains(line, "[ALERT]"):
		return 5
	case strings.Contains(line, "[WARNING]"):
		return 4
	}
	return 2
}

func shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// clean returns what a program said without what a terminal would obey.
func clean(said string) string {
	said = strings.ToValidUTF8(said[:min(len(said), maxWords)], "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, said))
}

// byHandAdvice says what to do about a file that somebody else changed.
func (t *Transaction) byHandAdvice() string {
	if !t.Renders() {
		return "read it again, and make the change to what it is now"
	}
	return "take the change over into " + t.o.Template + ", then reload with `slotsync haproxy reload --force`: what is overwritten is kept as a version"
}

func (t *Transaction) advice(s Step) string {
	switch s {
	case StepRender:
		return "see to the template " + t.o.Template
	case StepCheck:
		if t.Renders() {
			return "see to the template " + t.o.Template
		}
		return "see to " + t.o.File
	case StepKeep:
		return "see to the space and the rights of " + t.o.Dir
	case StepReplace:
		return "see to the space and the rights of the folder of " + t.o.File
	case StepReload:
		return fmt.Sprintf("see to the log of HAProxy and to %q", t.o.Reloader)
	case StepWorker:
		return "see to the log of HAProxy"
	}
	return ""
}
