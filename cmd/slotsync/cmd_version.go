package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  slotsync version`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.stdout, versionLine())
			return err
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("slotsync %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newCompletionCommand(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print completions for bash, zsh, fish or powershell",
		Long: `Print what a shell needs to complete slotsync's commands and flags, and the backends,
servers, instances, versions and sections that the running agent knows. bash needs its
package bash-completion besides.`,
		Example: `  slotsync completion bash > /etc/bash_completion.d/slotsync
  source <(slotsync completion zsh)`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf("completion takes one shell: bash, zsh, fish or powershell")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return usageErrorf("there are no completions for %q%s", textfmt.Clip(args[0]), textfmt.DidYouMean(args[0], shells))
		},
	}
}

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
