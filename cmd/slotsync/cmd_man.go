package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newManCommand is not listed: packages bring the pages.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write a manual page for each command",
		Long:    "Write a manual page for each command into a directory.",
		Example: "  slotsync man /usr/local/share/man/man1",
		Hidden:  true,
		Args:    takes(1, 1, "one directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // the day that they were made on
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "slotsync", Manual: "slotsync"}, args[0])
		},
	}
}
