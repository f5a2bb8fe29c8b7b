package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// noArgs refuses arguments, and knows what may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	if len(known) > 0 {
		return usageErrorf("there is no command %q%s (see %s --help)", textfmt.Clip(args[0]), textfmt.DidYouMean(args[0], known), cmd.CommandPath())
	}
	if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(args[0])) {
		return usageErrorf("%s takes no arguments: a configuration is named with --config %s", cmd.CommandPath(), textfmt.Clip(args[0]))
	}
	return usageErrorf("%s takes no arguments, not %q (see %s --help)", cmd.CommandPath(), textfmt.Clip(args[0]), cmd.CommandPath())
}

// takes wants so many arguments, which are called what: "" for what the usage says.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		if what == "" {
			what = strings.TrimPrefix(cmd.Use, cmd.Name()+" ")
		}
		return usageErrorf("%s takes %s (see %s --help)", cmd.CommandPath(), what, cmd.CommandPath())
	}
}

// oneOrAll takes the name of one backend, or nothing for all.
func oneOrAll(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] == "" {
		return usageErrorf("the name is empty: leave it out for all backends (see %s --help)", cmd.CommandPath())
	}
	return takes(0, 1, "")(cmd, args)
}

// nth is an argument, "" if it is not given.
func nth(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}
