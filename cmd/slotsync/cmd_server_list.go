package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

func newServerListCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list [BACKEND]",
		Short: "List the servers, and what was asked of them",
		Example: `  slotsync server list
  slotsync server list web -o json`,
		Args: oneOrAll,
		RunE: func(cmd *cobra.Command, args []string) error {
			var s agent.Status
			return ask(cmd.Context(), a, output, func(c *client.Client) (rows []api.ServerRow, err error) {
				if rows, err = listServers(cmd.Context(), c, nth(args, 0)); err == nil && output == "text" {
					s, err = c.Status(cmd.Context()) // rows do not say who answers
				}
				return rows, err
			}, func(rows []api.ServerRow) error { return a.serverTable(rows, agent.Silent(s.Instances)) })
		},
	}
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}

// serverTable prints rows, with the instances where a server is otherwise than it is
// asked to be, and those that are silent.
func (a *app) serverTable(rows []api.ServerRow, silent []string) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKEND\tENDPOINT\tSLOT\tSTATE\tNAME\tINSTANCES\tASKED FOR")
	for _, r := range rows {
		at := instancesOf(agent.SlotStatus{Endpoint: r.Endpoint, State: r.State, Instances: r.Instances}, silent)
		tableLine(table, r.Backend, r.Endpoint, dash(r.Slot), r.State, dash(r.Name), at, dash(r.Override))
	}
	return table.Flush()
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
