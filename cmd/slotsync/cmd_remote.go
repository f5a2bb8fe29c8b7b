package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newReloadCommand(a *app) *cobra.Command {
	var drainRemoved bool
	cmd := &cobra.Command{
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.Reload(cmd.Context(), drainRemoved); err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, "the configuration is read again")
			return nil
		},
	}
	cmd.Flags().BoolVar(&drainRemoved, "drain-removed", false, "empty the slots of what is no longer configured")
	a.agentFlags(cmd)
	return cmd
}
