package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/slots/haproxy"
)

func newSyncCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Make one round now",
		Long: `Make one round now: by the running agent if there is one, else by this command,
which needs the configuration. Exit 0 if every instance is in sync then.`,
		Example: `  slotsync sync
  slotsync sync -o json
  slotsync sync --agent unix:///run/slotsync/slotsync.sock`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			status, err := c.Sync(cmd.Context())
			if err == nil {
				return errors.Join(output.WriteRound(a.stdout, status, format), status.Undone())
			}
			if !nobodyThere(err) || !a.needsConfig() {
				return err
			}
			return a.syncAlone(cmd, err, format)
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// syncAlone makes the round by itself, since no agent answers where the
// configuration says that it listens.
func (a *app) syncAlone(cmd *cobra.Command, unreachable error, format string) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	err = a.syncOnce(cmd.Context(), cfg, format)
	if _, ok := errors.AsType[*haproxy.LockedError](err); ok {
		return fmt.Errorf("%w, and %w: name it with --agent", err, unreachable)
	}
	return err
}
