package reload

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"
)

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
