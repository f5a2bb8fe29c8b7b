package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/cmd/slotsync/top"
)

func newTopCommand(a *app) *cobra.Command {
	return a.agentCommand(cobra.Command{
		Use:   "top",
		Short: "Watch instances, servers, sources and events, and act on them",
		Long: `Watch what the agent and every HAProxy show, once a second: instances, servers with
their counters, sources and holds, and events. Servers can be drained, stopped, started
and weighed from there, and holds accepted, each after a question; ? lists the keys. NO_COLOR is obeyed.`,
		Example: `  slotsync top
  slotsync top --agent http://127.0.0.1:9750`,
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if !textfmt.IsTerminal(a.stdout) {
				return usageErrorf("top needs a terminal: slotsync status --watch writes to anything")
			}
			return nil
		},
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		c.Slow = nil // it would write into the picture, which says so itself
		return top.Run(ctx, c, top.Options{Out: a.stdout, Colour: a.colour(), By: remote.User()})
	})
}
