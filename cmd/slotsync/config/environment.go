package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// ourVariables is what the names of our variables begin with, and perhaps others.
const ourVariables = "SLOTSYNC_"

// An Environment is the variables that a command was started with.
type Environment map[string]string

// NewEnvironment returns the variables of a list as os.Environ returns them.
func NewEnvironment(list []string) Environment {
	env := Environment{}
	for _, pair := range list {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// knownVariables are the names that something is looked up by, without the beginning
// that all of them have.
func knownVariables() []string {
	known := []string{"AGENT", "TOKEN_FILE", "USER", "PASSWORD_FILE", "CA_FILE", "CERT_FILE", "KEY_FILE", "DEPS"}
	for _, s := range scalars(File(), "") {
		known = append(known, strings.TrimPrefix(variable(s.path), ourVariables))
	}
	return known
}

// A Misspelt is a variable that nobody looks up, and the one that was perhaps meant.
type Misspelt struct{ Name, Meant string }

// String says so. The value is not shown: it may be a secret.
func (m Misspelt) String() string {
	return textfmt.Clip(m.Name) + " is set, and there is no such variable; did you mean " + m.Meant + "?"
}

// Misspelt returns the variables whose names are nearly known, in their order. Others
// that begin like ours belong to others: Kubernetes makes some for a service named
// slotsync.
func (env Environment) Misspelt() []Misspelt {
	kubernetes := regexp.MustCompile(`(^|_)(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
	known := knownVariables()
	var found []Misspelt
	for _, name := range slices.Sorted(maps.Keys(env)) {
		word, ours := strings.CutPrefix(name, ourVariables)
		if !ours || slices.Contains(known, word) || kubernetes.MatchString(word) {
			continue
		}
		if meant := discovery.Nearest(strings.ToUpper(word), known); meant != "" {
			found = append(found, Misspelt{name, ourVariables + meant})
		}
	}
	return found
}
