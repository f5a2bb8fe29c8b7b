package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
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

// An accepted is a hold that was ended.
type accepted struct {
	Backend string `json:"backend"`
}

func newAcceptCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "accept BACKEND",
		Short: "Let what the guard holds back happen",
		Long: `End the hold of a backend: the removal, the empty set or the takeover that the
guard keeps back happens now. slotsync status shows what it would remove.`,
		Example: `  slotsync status
  slotsync accept web
  slotsync accept web -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf("accept takes the name of one backend (see %s --help)", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd.Context(), a, output, func(c *web.Client) (accepted, error) {
				return accepted{args[0]}, acceptFailed(c.Accept(cmd.Context(), args[0]), args[0])
			}, func(done accepted) error {
				_, err := fmt.Fprintf(a.stdout, "%s: accepted\n", shown(done.Backend))
				return err
			})
		},
	}
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}

// acceptFailed adds what to do where nothing could be accepted.
func acceptFailed(err error, backend string) error {
	switch {
	case errors.Is(err, agent.ErrNoBackend):
		return fmt.Errorf("there is no backend %q: slotsync status lists them", shown(backend))
	case errors.Is(err, agent.ErrNothingHeld):
		return fmt.Errorf("nothing of %s is held", shown(backend))
	}
	return err
}
