package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
)

// A dumpCommand is how one kind of dump is asked for.
type dumpCommand struct {
	what, short string
	columns     []string // shown unless others are asked for
	byServer    []string // columns by which rows can be chosen: backend and server
	example     string
}

func dumpCommands() []dumpCommand {
	return []dumpCommand{
		{what: "info", short: "Show every HAProxy's own figures, side by side",
			example: "  slotsync haproxy info\n  slotsync haproxy info --columns Version,Uptime,CurrConns --instance edge-1"},
		{what: "stat", short: "Show the counters of frontends, backends and servers", byServer: []string{"pxname", "svname"},
			columns: []string{"pxname", "svname", "status", "check_status", "weight", "qcur", "scur", "smax", "stot", "bin", "bout", "econ", "eresp", "lastchg"},
			example: "  slotsync haproxy stat --backend web\n  slotsync haproxy stat --backend web --server websrv1 --columns all -o json"},
		{what: "sess", short: "Show the sessions",
			columns: []string{"id", "proto", "src", "fe", "be", "srv", "age"},
			example: "  slotsync haproxy sess\n  slotsync haproxy sess --instance edge-1 --columns all"},
		{what: "servers", short: "Show the state of all servers", byServer: []string{"be_name", "srv_name"},
			columns: []string{"be_name", "srv_name", "srv_addr", "srv_port", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight", "srv_check_result"},
			example: "  slotsync haproxy servers --backend web\n  slotsync haproxy servers --columns all -o json"},
	}
}

func newDumpCommand(a *app, d dumpCommand) *cobra.Command {
	q := remote.Dump{What: d.what, ByServer: d.byServer}
	missing := "."
	if d.byServer != nil {
		missing = ", and\nwhere none has the backend or server that was named."
	}
	cmd := a.agentCommand(cobra.Command{
		Use:   d.what,
		Short: d.short,
		Long: d.short + `: asked now, of all instances at the same time, or of one. The
columns have HAProxy's own names; --columns chooses others, or all of them. What an
instance cannot say is told on standard error, and the exit code is 1 then` + missing,
		Example: d.example,
		Args:    noArgs,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		got, err := q.Ask(ctx, c)
		if err != nil {
			return err
		}
		for i := range got {
			if a.bundling {
				got[i].Value = got[i].Value.WithoutCookies()
			}
		}
		if len(q.Columns) == 0 && a.format != formatJSON {
			q.Columns = d.columns
		}
		return errors.Join(output.WriteDumps(a.stdout, d.what, got, q.Columns, a.format), output.Unanswered(got), q.Missing(got))
	})
	cmd.Flags().StringSliceVar(&q.Columns, "columns", nil, `columns to show, or "all"`)
	if d.byServer != nil {
		cmd.Flags().StringVar(&q.Backend, "backend", "", "only what belongs to this backend of HAProxy's")
		cmd.Flags().StringVar(&q.Server, "server", "", "only servers of this name")
	}
	instanceFlag(cmd, &q.Instance)
	a.outputFlag(cmd)
	return cmd
}
