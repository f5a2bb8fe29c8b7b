package main

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// ourVariables is what the names of our variables begin with, and perhaps others.
const ourVariables = "SLOTSYNC_"

// An environment is the variables that a command was started with.
type environment map[string]string

// newEnvironment takes them as os.Environ returns them.
func newEnvironment(list []string) environment {
	env := environment{}
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
	for path := range scalars(reflect.TypeFor[rawConfig](), "") {
		known = append(known, strings.TrimPrefix(variable(path), ourVariables))
	}
	return known
}

// A misspelt is a variable that nobody looks up, and the one that was perhaps meant.
type misspelt struct{ name, meant string }

// String says so. The value is not shown: it may be a secret.
func (m misspelt) String() string {
	return textfmt.Clip(m.name) + " is set, and there is no such variable; did you mean " + m.meant + "?"
}

// misspelt returns the variables whose names are nearly known, in their order. Others
// that begin like ours are strangers': Kubernetes makes some for a service named
// slotsync.
func (env environment) misspelt() []misspelt {
	kubernetes := regexp.MustCompile(`(^|_)(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
	known := knownVariables()
	var found []misspelt
	for _, name := range slices.Sorted(maps.Keys(env)) {
		word, ours := strings.CutPrefix(name, ourVariables)
		if !ours || slices.Contains(known, word) || kubernetes.MatchString(word) {
			continue
		}
		if meant := nearest(strings.ToUpper(word), known); meant != "" {
			found = append(found, misspelt{name, ourVariables + meant})
		}
	}
	return found
}
