package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

func newPauseCommand(a *app) *cobra.Command {
	var body api.PauseBody
	cmd := askCommand(a, cobra.Command{
		Use:   "pause [BACKEND]",
		Short: "Stop writing to HAProxy's slots",
		Long: `Stop writing to the slots of a backend, or of all: for an hour, or as long as --for
says. Sources are watched on, and what they say is made up for at the end. An
instance that is restarted meanwhile is filled, unless --hard is given.`,
		Example: `  slotsync pause web --for 15m --reason "I am looking at it"
  slotsync pause
  slotsync resume`,
		Args: oneOrAll,
	}, func(ctx context.Context, c *client.Client, args []string) (api.Pause, error) {
		body.Backend, body.By = nth(args, 0), remote.User()
		return c.Pause(ctx, body)
	}, output.WritePaused)
	durationFlag(cmd, &body.For, "for", "how long, as in 10m (default 1h)")
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why, for whoever looks next")
	cmd.Flags().BoolVar(&body.Hard, "hard", false, "do not even fill an instance that is restarted")
	return cmd
}

func newResumeCommand(a *app) *cobra.Command {
	return askCommand(a, cobra.Command{
		Use:   "resume [BACKEND]",
		Short: "Go on writing to HAProxy's slots",
		Long:  "End the pause of a backend, or every pause. What was missed is made up for at once.",
		Example: `  slotsync resume web
  slotsync resume
  slotsync resume web -o json`,
		Args: oneOrAll,
	}, func(ctx context.Context, c *client.Client, args []string) (output.Resumed, error) {
		return remote.Resume(ctx, c, nth(args, 0))
	}, output.WriteResumed)
}
