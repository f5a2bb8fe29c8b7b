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

// followPause is how long an agent that does not answer is left alone.
const followPause = time.Second

func newEventsCommand(a *app) *cobra.Command {
	var follow bool
	cmd := a.agentCommand(cobra.Command{
		Use:   "events [BACKEND]",
		Short: "Show what happened: changes, holds, instances, operators",
		Long: `Show the last events of the running agent, at most 1000, oldest first: what changed,
where and why. With --follow it goes on with what comes, until interrupted, also over
a restart of the agent. With BACKEND only what is about it. -o json prints one event a
line.`,
		Example: `  slotsync events
  slotsync events web --follow
  slotsync events -o json | jq -c 'select(.kind == "hold_begun")'`,
		Args: oneOrAll,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		show := func(e api.Event) error {
			switch {
			case len(args) == 1 && e.Backend != args[0] && e.Kind != api.EventGap:
				return nil
			case a.format == formatJSON:
				return output.WriteIndented(a.stdout, e, "")
			}
			return output.WriteEvent(a.stdout, e)
		}
		list, last, err := c.KeptEvents(ctx)
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
		return c.Follow(ctx, last, followPause, show, func(err error) { fmt.Fprintf(a.stderr, "slotsync: %v; asking again\n", err) })
	})
	a.outputFlag(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	return cmd
}
