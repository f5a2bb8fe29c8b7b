package main

import "strings"

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
