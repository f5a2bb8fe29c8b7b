package reload

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"regexp"
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

// A hintedError is a refusal of the check with what may be behind it: the check runs as
// this process's user and in its environment, HAProxy itself may have others.
type hintedError struct {
	error
	hint string
}

// Unwrap returns the refusal.
func (e *hintedError) Unwrap() error { return e.error }

// hint adds to err what is probably wrong, by the words of the check and the text that
// was checked.
func hint(err error, words string, text []byte) error {
	if err == nil {
		return nil
	}
	var hints []string
	if strings.Contains(words, "Permission denied") {
		hints = append(hints, fmt.Sprintf("the check runs as %s: let that user read what HAProxy reads, or check by a program that may (sudo)", whoami()))
	}
	if unset := unsetVariables(text); len(unset) > 0 {
		hints = append(hints, fmt.Sprintf("the check has slotsync's environment, which lacks %s: set it there as HAProxy has it, or write check: [env, %s=..., ...]",
			shorten(strings.Join(unset, ", ")), unset[0]))
	}
	if len(hints) == 0 {
		return err
	}
	return &hintedError{err, strings.Join(hints, "; ")}
}

func whoami() string {
	if u, err := user.Current(); err == nil {
		return fmt.Sprintf("user %s", u.Username)
	}
	return fmt.Sprintf("user %d", os.Getuid())
}

// unsetVariables lists the environment variables without a default that a configuration
// uses and this process lacks, but those that it or HAProxy sets itself (HAProxy
// configuration manual, 2.3).
func unsetVariables(text []byte) []string {
	variable := regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)([^}]*)\}`)
	set := map[string]bool{}
	var unset []string
	for raw := range bytes.Lines(text) {
		line, _, _ := strings.Cut(string(raw[:min(len(raw), 4096)]), "#")
		words := strings.Fields(line)
		if len(words) > 1 && (words[0] == "setenv" || words[0] == "presetenv") {
			set[words[1]] = true
		}
		for _, m := range variable.FindAllStringSubmatch(line, -1) {
			name, rest := m[1], m[2]
			_, known := os.LookupEnv(name)
			if !known && !set[name] && !strings.HasPrefix(rest, "-") && !strings.HasPrefix(name, "HAPROXY_") && !slices.Contains(unset, name) {
				unset = append(unset, name)
			}
		}
	}
	return unset
}

// consulTemplateFunctions are those of consul-template that a template of it is likely to use.
func consulTemplateFunctions() []string {
	return []string{"service", "services", "node", "nodes", "datacenters", "key", "keyExists", "keyOrDefault", "ls", "safeLs", "tree", "safeTree",
		"secret", "secrets", "pkiCert", "connect", "caLeaf", "caRoots", "nomadService", "nomadServices", "nomadVar", "env", "scratch", "toJSON", "parseJSON"}
}

// placed takes the package's own name off, so that an error begins with file
// and line, and says whose template it looks like.
func placed(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	for _, name := range consulTemplateFunctions() {
		if strings.Contains(text, fmt.Sprintf("function %q not defined", name)) {
			text += "; it looks like a template of consul-template: here the endpoints are {{range servers \"web\"}}, and a whole line is {{serverTemplate \"web\"}}"
			break
		}
	}
	return fmt.Errorf("%s", text)
}
