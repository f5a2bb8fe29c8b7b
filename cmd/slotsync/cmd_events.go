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

func newEventsCommand(a *app) *cobra.Command {
	var format string
	var follow bool
	cmd := &cobra.Command{
		Use:   "events [BACKEND]",
		Short: "Show what happened: changes, holds, instances, operators",
		Long: `Show the last events of the running agent, at most 1000, oldest first: what changed,
where and why. With --follow it goes on with what comes, until interrupted, also over
a restart of the agent. With BACKEND only what is about it. -o json prints one event a
line.`,
		Example: `  slotsync events
  slotsync events web --follow
  slotsync events -o json | jq -c 'select(.kind == "hold_begun")'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageErrorf("%s takes one backend at most", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			show := func(e api.Event) error {
				if len(args) == 1 && e.Backend != args[0] && e.Kind != api.EventGap {
					return nil
				}
				if format == "json" {
					return output.WriteIndented(a.stdout, e, "")
				}
				return output.WriteEvent(a.stdout, e)
			}
			list, last, err := c.KeptEvents(cmd.Context())
			if err != nil {
				return err
			}
			for _, e := range list {
				if err := show(e); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return a.followEvents(cmd.Context(), c, last, show)
		},
	}
	outputFlag(cmd, &format)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	a.agentFlags(cmd)
	return cmd
}

// followPace is how long an agent that does not answer is left alone.
const followPace = time.Second

// followEvents shows what comes after that ID, until ctx is done. An agent that stops is
// asked again; that it does not answer is said once.
func (a *app) followEvents(ctx context.Context, c *client.Client, last uint64, show func(api.Event) error) error {
	said := false
	for {
		for e, err := range c.Events(ctx, last) {
			if err != nil {
				if !said {
					fmt.Fprintf(a.stderr, "slotsync: %v; asking again\n", err)
				}
				said = true
				break
			}
			said, last = false, e.ID
			if err := show(e); err != nil {
				return err
			}
		}
		pause(ctx, followPace)
		if ctx.Err() != nil {
			return nil
		}
	}
}
