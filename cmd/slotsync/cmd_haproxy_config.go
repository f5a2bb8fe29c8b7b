package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

func newHAProxyConfigCommand(a *app) *cobra.Command {
	return group(cobra.Command{
		Use:   "config",
		Short: "HAProxy's configuration and its kept versions",
		Example: `  slotsync haproxy config show
  slotsync haproxy config diff
  slotsync haproxy config history
  slotsync haproxy config restore 20301121T101500.000Z-1f0c9a2b`,
	}, newConfigShowCommand(a), newConfigHistoryCommand(a), newConfigDiffCommand(a), newConfigRestoreCommand(a), newConfigSectionCommand(a))
}

func newConfigShowCommand(a *app) *cobra.Command {
	return a.fileCommand(cobra.Command{
		Use:   "show [VERSION]",
		Short: "Print HAProxy's configuration, or a kept version of it",
		Example: `  slotsync haproxy config show
  slotsync haproxy config show 20301121T101500.000Z-1f0c9a2b`,
		Args: takes(0, 1, ""),
	}, func(ctx context.Context, c *client.Client, name string, args []string) (string, error) {
		return c.HAProxyConfig(ctx, name, nth(args, 0))
	})
}

// fileCommand makes cmd print what the agent is asked for.
func (a *app) fileCommand(cmd cobra.Command, ask func(ctx context.Context, c *client.Client, name string, args []string) (string, error)) *cobra.Command {
	var name string
	made := a.agentCommand(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		text, err := ask(ctx, c, name, args)
		if err != nil {
			return err
		}
		return a.printFile(text)
	})
	reloadNameFlag(made, &name)
	return made
}

func newConfigHistoryCommand(a *app) *cobra.Command {
	var name string
	cmd := askCommand(a, cobra.Command{
		Use:   "history",
		Short: "List the kept versions, newest first",
		Example: `  slotsync haproxy config history
  slotsync haproxy config history -o json`,
		Args: noArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) ([]api.ConfigVersion, error) {
		return c.HAProxyVersions(ctx, name)
	}, output.WriteVersions)
	reloadNameFlag(cmd, &name)
	return cmd
}

func newConfigDiffCommand(a *app) *cobra.Command {
	var name string
	cmd := a.agentCommand(cobra.Command{
		Use:   "diff [FROM [TO]]",
		Short: "Show what changed between two versions, or a version and the file as it is",
		Long: `Show what changed between two versions, or between one and the file as it is. Without
FROM it is the newest good version: what comes is what was edited by hand since, and
nothing if nothing was. Exit 0 if there is no difference, 3 if there is one.`,
		Example: `  slotsync haproxy config diff
  slotsync haproxy config history
  slotsync haproxy config diff 20301121T101500.000Z-1f0c9a2b`,
		Args: takes(0, 2, ""),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		text, err := remote.DiffVersions(ctx, c, name, nth(args, 0), nth(args, 1))
		if err != nil {
			return err
		}
		if err := a.printFile(text); err != nil || text == "" {
			return err
		}
		return &exitError{code: exitDiffers}
	})
	reloadNameFlag(cmd, &name)
	return cmd
}

func newConfigRestoreCommand(a *app) *cobra.Command {
	var name string
	cmd := a.agentCommand(cobra.Command{
		Use:   "restore VERSION",
		Short: "Put a kept version in force: checked, replaced, HAProxy reloaded",
		Example: `  slotsync haproxy config history
  slotsync haproxy config restore 20301121T101500.000Z-1f0c9a2b`,
		Args: takes(1, 1, ""),
	}, func(ctx context.Context, c *client.Client, args []string) error {
		done, err := c.RestoreHAProxy(ctx, name, args[0], remote.User())
		if err != nil {
			return err
		}
		return show(a, restored(done, name), output.WriteReloads)
	})
	reloadNameFlag(cmd, &name)
	a.outputFlag(cmd)
	return cmd
}
