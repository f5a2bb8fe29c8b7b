package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/slots/haproxy"
)

func newSyncCommand(a *app) *cobra.Command {
	cmd := a.agentCommand(cobra.Command{
		Use:   "sync",
		Short: "Make one round now",
		Long: `Make one round now: by the running agent if there is one, else by this command,
which needs the configuration. Exit 0 if every instance is in sync then, and no source,
backend or pause has left anything undone.`,
		Example: `  slotsync sync
  slotsync sync -o json
  slotsync sync --agent unix:///run/slotsync/slotsync.sock`,
		Args: noArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		status, err := c.Sync(ctx)
		if err == nil {
			return errors.Join(a.showRound(status), status.Undone())
		}
		if !remote.IsAbsent(err) || !a.place.NeedsConfig() {
			return err
		}
		return a.syncAlone(ctx, err)
	})
	a.outputFlag(cmd)
	return cmd
}

// syncAlone makes the round by itself, since no agent answers where the
// configuration says that it listens.
func (a *app) syncAlone(ctx context.Context, unreachable error) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	err = a.syncOnce(ctx, cfg)
	if _, ok := errors.AsType[*haproxy.LockedError](err); ok {
		return fmt.Errorf("%w, and %w: name it with --agent", err, unreachable)
	}
	return err
}

// showRound prints how every instance is after a round. It fails unless all are in sync.
func (a *app) showRound(status api.Status) error {
	err := show(a, status, output.WriteRound)
	return errors.Join(err, output.OutOfSync(status))
}
