package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

func newServerListCommand(a *app) *cobra.Command {
	var s api.Status
	return askCommand(a, cobra.Command{
		Use:   "list [BACKEND]",
		Short: "List the servers, and what was asked of them",
		Example: `  slotsync server list
  slotsync server list web -o json`,
		Args: oneOrAll,
	}, func(ctx context.Context, c *client.Client, args []string) (rows []api.ServerRow, err error) {
		if rows, err = remote.Servers(ctx, c, nth(args, 0)); err == nil && a.format != formatJSON {
			s, err = c.Status(ctx) // rows do not say who answers
		}
		return rows, err
	}, func(w io.Writer, rows []api.ServerRow) error {
		return output.WriteServers(w, rows, api.Silent(s.Instances))
	})
}
