package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/securedir"
)

func newReloadCommand(a *app) *cobra.Command {
	var drainRemoved bool
	cmd := a.agentCommand(cobra.Command{
		Use:   "reload",
		Short: "Make the agent read its configuration again",
		Long: `Make the running agent read its configuration again. A bad one is refused whole
and the old one stays in force: exit 1. This does not reload HAProxy.

Slots of a backend or an instance that is no longer in the configuration stay as
they are; --drain-removed takes them out of service first (maint: requests that
run finish).`,
		Example: `  slotsync reload
  slotsync reload --drain-removed`,
		Args: noArgs,
		PreRun: func(*cobra.Command, []string) {
			if socket := daemon.NotedSocket(a.place.Env, securedir.Policy{}); socket != "" && a.place.NeedsConfig() {
				a.place.Agent = "unix://" + socket
			}
		},
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		if err := c.Reload(ctx, drainRemoved); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.stdout, "the configuration is read again")
		return err
	})
	cmd.Flags().BoolVar(&drainRemoved, "drain-removed", false, "empty the slots of what is no longer configured")
	return cmd
}
