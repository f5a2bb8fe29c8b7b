package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newHAProxyConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "HAProxy's configuration and its kept versions",
		Example: `  slotsync haproxy config show
  slotsync haproxy config diff
  slotsync haproxy config history
  slotsync haproxy config restore 20301121T101500.000Z-1f0c9a2b`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShowCommand(a), newConfigHistoryCommand(a), newConfigDiffCommand(a), newConfigRestoreCommand(a),
		newConfigSectionCommand(a))
	return cmd
}

// versionArgs takes so many versions, and as many as the usage says.
func versionArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageErrorf("%s takes %s (see %s --help)", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" "), cmd.CommandPath())
		}
		return nil
	}
}

func newConfigShowCommand(a *app) *cobra.Command {
	return a.fileCommand(cobra.Command{
		Use:   "show [VERSION]",
		Short: "Print HAProxy's configuration, or a kept version of it",
		Example: `  slotsync haproxy config show
  slotsync haproxy config show 20301121T101500.000Z-1f0c9a2b`,
		Args: versionArgs(0, 1),
	}, func(ctx context.Context, c *client.Client, name string, args []string) (string, error) {
		return c.HAProxyConfig(ctx, name, nth(args, 0))
	})
}

// fileCommand makes cmd print what the agent is asked for.
func (a *app) fileCommand(cmd cobra.Command, ask func(ctx context.Context, c *client.Client, name string, args []string) (string, error)) *cobra.Command {
	var name string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context())
		if err != nil {
			return err
		}
		text, err := ask(cmd.Context(), c, name, args)
		if err != nil {
			return versionFailed(err)
		}
		return a.printFile(text)
	}
	reloadNameFlag(&cmd, &name)
	a.agentFlags(&cmd)
	return &cmd
}

// versionFailed adds where versions are found, if that is what is wrong.
func versionFailed(err error) error {
	if errors.Is(err, api.ErrNoVersion) {
		return fmt.Errorf("%w: slotsync haproxy config history lists them", err)
	}
	return err
}

// printFile prints text as it is, unless a terminal would obey it.
func (a *app) printFile(text string) error {
	if textfmt.IsTerminal(a.stdout) {
		text = textfmt.Printable(text)
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

func nth(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func newConfigHistoryCommand(a *app) *cobra.Command {
	var name, format string
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the kept versions, newest first",
		Example: `  slotsync haproxy config history
  slotsync haproxy config history -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, format, func(c *client.Client) ([]api.ConfigVersion, error) {
				return c.HAProxyVersions(cmd.Context(), name)
			}, func(kept []api.ConfigVersion) error { return output.WriteVersions(a.stdout, kept) })
		},
	}
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

func newConfigDiffCommand(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "diff [FROM [TO]]",
		Short: "Show what changed between two versions, or a version and the file as it is",
		Long: `Show what changed between two versions, or between one and the file as it is. Without
FROM it is the newest good version: what comes is what was edited by hand since, and
nothing if nothing was. Exit 0 if there is no difference, 3 if there is one.`,
		Example: `  slotsync haproxy config diff
  slotsync haproxy config history
  slotsync haproxy config diff 20301121T101500.000Z-1f0c9a2b`,
		Args: versionArgs(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			text, err := configDiff(cmd.Context(), c, name, args)
			if err != nil {
				return versionFailed(err)
			}
			if err := a.printFile(text); err != nil || text == "" {
				return err
			}
			return &exitError{code: exitDiffers}
		},
	}
	reloadNameFlag(cmd, &name)
	a.agentFlags(cmd)
	return cmd
}

func configDiff(ctx context.Context, c *client.Client, name string, args []string) (string, error) {
	from := nth(args, 0)
	if from == "" {
		kept, err := c.HAProxyVersions(ctx, name)
		if err != nil {
			return "", err
		}
		if from, err = newestGood(kept); err != nil {
			return "", err
		}
	}
	return c.HAProxyDiff(ctx, name, from, nth(args, 1))
}

// newestGood returns the newest version that HAProxy ran with; kept has the newest first.
func newestGood(kept []api.ConfigVersion) (id string, err error) {
	for _, v := range kept {
		if v.Good {
			return v.ID, nil
		}
	}
	return "", errors.New("no version is known to be good, to compare the file with: slotsync haproxy config history lists what is kept")
}

func newConfigRestoreCommand(a *app) *cobra.Command {
	var name, format string
	cmd := &cobra.Command{
		Use:   "restore VERSION",
		Short: "Put a kept version in force: checked, replaced, HAProxy reloaded",
		Example: `  slotsync haproxy config history
  slotsync haproxy config restore 20301121T101500.000Z-1f0c9a2b`,
		Args: versionArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			done, err := c.RestoreHAProxy(cmd.Context(), name, args[0], whoami())
			if err != nil {
				return versionFailed(err)
			}
			return output.WriteReloads(a.stdout, restored(done, name), format)
		},
	}
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}
