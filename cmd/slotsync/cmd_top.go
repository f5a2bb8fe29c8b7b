package main

import (
	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/cmd/slotsync/top"
)

func newTopCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch instances, servers, sources and events, and act on them",
		Long: `Watch what the agent and every HAProxy show, once a second: instances, servers with
their counters, sources and holds, and events. Servers can be drained, stopped, started
and weighed from there, and holds accepted, each after a question; ? lists the keys. NO_COLOR is obeyed.`,
		Example: `  slotsync top
  slotsync top --agent http://127.0.0.1:9750`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !textfmt.IsTerminal(a.stdout) {
				return usageErrorf("top needs a terminal: slotsync status --watch writes to anything")
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			c.Slow = nil // it would write into the picture, which says so itself
			return top.Run(cmd.Context(), c, top.Options{Out: a.stdout, Colour: a.env["NO_COLOR"] == "", By: whoami()})
		},
	}
	a.agentFlags(cmd)
	return cmd
}
