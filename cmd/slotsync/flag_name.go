package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// A nameFlag is a flag for the name of one thing, where there would be all of them without
// it: an empty name, as of a variable that is not set, must not stand for all.
type nameFlag struct{ to *string }

// Set implements [pflag.Value].
func (n nameFlag) Set(text string) error {
	if text == "" {
		return errors.New("the name is empty: leave the flag out for all")
	}
	*n.to = text
	return nil
}

// String implements [pflag.Value].
func (n nameFlag) String() string {
	if n.to == nil {
		return ""
	}
	return *n.to
}

// Type implements [pflag.Value].
func (nameFlag) Type() string { return "string" }

// oneOrAll takes the name of one backend, or nothing for all.
func oneOrAll(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] == "" {
		return usageErrorf("the name is empty: leave it out for all backends (see %s --help)", cmd.CommandPath())
	}
	return versionArgs(0, 1)(cmd, args)
}
