package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

func newPauseCommand(a *app) *cobra.Command {
	var w wish
	var hard bool
	cmd := &cobra.Command{
		Use:   "pause [BACKEND]",
		Short: "Stop writing to HAProxy's slots",
		Long: `Stop writing to the slots of a backend, or of all: for an hour, or as long as --for
says. Sources are watched on, and what they say is made up for at the end. An
instance that is restarted meanwhile is filled, unless --hard is given.`,
		Example: `  slotsync pause web --for 15m --reason "I am looking at it"
  slotsync pause
  slotsync resume`,
		Args: oneOrAll,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(); err != nil {
				return err
			}
			return ask(cmd.Context(), a, w.output, func(c *client.Client) (api.Pause, error) {
				return c.Pause(cmd.Context(), api.PauseBody{Backend: nth(args, 0), Hard: hard, WhoBody: w.body()})
			}, func(p api.Pause) error {
				_, err := fmt.Fprintf(a.stdout, "%s: paused until %s\n", output.BackendName(p.Backend), p.Until.UTC().Format(time.RFC3339))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&w.duration, "for", "", "how long, as in 10m (default 1h)")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for whoever looks next")
	cmd.Flags().BoolVar(&hard, "hard", false, "do not even fill an instance that is restarted")
	outputFlag(cmd, &w.output)
	a.agentFlags(cmd)
	return cmd
}

func newResumeCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "resume [BACKEND]",
		Short: "Go on writing to HAProxy's slots",
		Long:  "End the pause of a backend, or every pause. What was missed is made up for at once.",
		Example: `  slotsync resume web
  slotsync resume
  slotsync resume web -o json`,
		Args: oneOrAll,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd.Context(), a, format, func(c *client.Client) (output.Resumed, error) {
				return resume(cmd.Context(), c, nth(args, 0))
			}, func(done output.Resumed) error { return output.WriteResumed(a.stdout, done) })
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// resume ends a pause. An agent that does not say which are left has ended it all the same.
func resume(ctx context.Context, c *client.Client, backend string) (output.Resumed, error) {
	done := output.Resumed{Backend: backend, Pauses: []api.Pause{}}
	if err := c.Resume(ctx, backend); err != nil {
		return done, err
	}
	if s, err := c.Status(ctx); err == nil {
		done.Pauses = append(done.Pauses, s.Pauses...)
	}
	return done, nil
}
