package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
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
			return ask(cmd.Context(), a, output, func(c *web.Client) ([]web.ServerRow, error) {
				return listServers(cmd.Context(), c, nth(args, 0))
			}, a.serverTable)
		},
	}
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}

// serverTable prints rows, with the instances where a server is otherwise than it is
// asked to be.
func (a *app) serverTable(rows []web.ServerRow) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKEND\tENDPOINT\tSLOT\tSTATE\tNAME\tINSTANCES\tASKED FOR")
	for _, r := range rows {
		others := slices.DeleteFunc(slices.Clone(r.Instances), func(in agent.InstanceSlot) bool { return in.HeldBy == "operator" })
		at := instancesOf(agent.SlotStatus{Endpoint: r.Endpoint, Instances: others})
		tableLine(table, r.Backend, r.Endpoint, dash(r.Slot), r.State, dash(r.Name), at, dash(r.Override))
	}
	return table.Flush()
}

// listServers lists those of a backend, or of all if it is "".
func listServers(ctx context.Context, c *web.Client, backend string) ([]web.ServerRow, error) {
	if backend != "" {
		return c.Servers(ctx, backend)
	}
	addresses, err := c.Addresses(ctx)
	rows := []web.ServerRow{}
	for _, a := range addresses {
		rows = append(rows, a.Servers...)
	}
	return rows, err
}
