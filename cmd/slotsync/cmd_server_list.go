package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
)

func newServerListCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list [BACKEND]",
		Short: "List the servers, and what was asked of them",
		Example: `  slotsync server list
  slotsync server list web -o json`,
		Args: oneOrAll,
		RunE: func(cmd *cobra.Command, args []string) error {
			var s api.Status
			return ask(cmd.Context(), a, format, func(c *client.Client) (rows []api.ServerRow, err error) {
				if rows, err = listServers(cmd.Context(), c, nth(args, 0)); err == nil && format == "text" {
					s, err = c.Status(cmd.Context()) // rows do not say who answers
				}
				return rows, err
			}, func(rows []api.ServerRow) error {
				return output.WriteServers(a.stdout, rows, api.Silent(s.Instances))
			})
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// listServers lists those of a backend, or of all if it is "".
func listServers(ctx context.Context, c *client.Client, backend string) ([]api.ServerRow, error) {
	if backend != "" {
		return c.Servers(ctx, backend)
	}
	addresses, err := c.Addresses(ctx)
	rows := []api.ServerRow{}
	for _, a := range addresses {
		rows = append(rows, a.Servers...)
	}
	return rows, err
}
