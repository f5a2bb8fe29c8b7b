package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A dumpCommand is how one kind of dump is shown.
type dumpCommand struct {
	what, short string
	columns     []string // shown unless others are asked for
	narrow      []string // columns by which rows can be chosen: backend and server
	example     string
}

func dumpCommands() []dumpCommand {
	return []dumpCommand{
		{what: "info", short: "Show every HAProxy's own figures, side by side",
			example: "  slotsync haproxy info\n  slotsync haproxy info --columns Version,Uptime,CurrConns --instance edge-1"},
		{what: "stat", short: "Show the counters of frontends, backends and servers", narrow: []string{"pxname", "svname"},
			columns: []string{"pxname", "svname", "status", "check_status", "weight", "qcur", "scur", "smax", "stot", "bin", "bout", "econ", "eresp", "lastchg"},
			example: "  slotsync haproxy stat --backend web\n  slotsync haproxy stat --backend web --server websrv1 --columns all -o json"},
		{what: "sess", short: "Show the sessions",
			columns: []string{"id", "proto", "src", "fe", "be", "srv", "age"},
			example: "  slotsync haproxy sess\n  slotsync haproxy sess --instance edge-1 --columns all"},
		{what: "servers", short: "Show the state of all servers", narrow: []string{"be_name", "srv_name"},
			columns: []string{"be_name", "srv_name", "srv_addr", "srv_port", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight", "srv_check_result"},
			example: "  slotsync haproxy servers --backend web\n  slotsync haproxy servers --columns all -o json"},
	}
}

func newDumpCommand(a *app, d dumpCommand) *cobra.Command {
	var format, instance, backend, server string
	var columns []string
	cmd := &cobra.Command{
		Use:   d.what,
		Short: d.short,
		Long: d.short + `: asked now, of all instances at the same time, or of one. The
columns have HAProxy's own names; --columns chooses others, or all of them. What an
instance cannot say is told on standard error, and the exit code is 1 then` + d.exits() + `.`,
		Example: d.example,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			got, err := everyInstance(cmd.Context(), c, instance, func(ctx context.Context, name string) (agent.Dump, error) {
				dump, err := c.Dump(ctx, name, d.what)
				return d.choose(dump, backend, server), err
			})
			if err != nil {
				return err
			}
			if err := d.known(got, columns); err != nil {
				return err
			}
			if len(columns) == 0 && format == "text" {
				columns = d.columns
			}
			return errors.Join(output.WriteDumps(a.stdout, d.what, got, columns, format), output.Unanswered(got), d.found(got, backend, server))
		},
	}
	cmd.Flags().StringSliceVar(&columns, "columns", nil, `columns to show, or "all"`)
	if d.narrow != nil {
		cmd.Flags().StringVar(&backend, "backend", "", "only what belongs to this backend of HAProxy's")
		cmd.Flags().StringVar(&server, "server", "", "only servers of this name")
	}
	instanceFlag(cmd, &instance)
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

func instanceFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().Var(nameFlag{name}, "instance", "ask only this one")
}

// choose returns the rows of a backend and a server; "" for any.
func (d dumpCommand) choose(dump agent.Dump, backend, server string) agent.Dump {
	for i, want := range []string{backend, server} {
		if want != "" {
			dump.Rows = slices.DeleteFunc(dump.Rows, func(r map[string]string) bool { return r[d.narrow[i]] != want })
		}
	}
	return dump
}

// exits says when else it fails.
func (d dumpCommand) exits() string {
	if d.narrow == nil || d.what == "sess" {
		return ""
	}
	return ", and\nwhere none has the backend or server that was named"
}

// found fails if somebody answers, and nobody has what was asked for. No sessions are none.
func (d dumpCommand) found(got []output.Answer[agent.Dump], backend, server string) error {
	if backend == "" && server == "" || d.what == "sess" {
		return nil
	}
	answered := false
	for _, g := range got {
		if len(g.Value.Rows) > 0 {
			return nil
		}
		answered = answered || g.Error == ""
	}
	if !answered {
		return nil
	}
	return fmt.Errorf("no HAProxy has %s: slotsync haproxy stat lists all", strings.Trim(textfmt.Clip(backend)+"/"+textfmt.Clip(server), "/"))
}

// known refuses columns that no instance has. Sessions bring their own, and are not judged.
func (d dumpCommand) known(got []output.Answer[agent.Dump], wanted []string) error {
	all := []string{"all"}
	for _, g := range got {
		all = append(all, g.Value.Columns...)
	}
	if d.what == "sess" || len(all) == 1 {
		return nil
	}
	for _, c := range wanted {
		if !slices.Contains(all, c) {
			return usageErrorf("there is no column %q%s", textfmt.Clip(c), textfmt.DidYouMean(c, all))
		}
	}
	return nil
}

// everyInstance asks all instances at the same time, or the one that is named.
func everyInstance[T any](ctx context.Context, c *client.Client, only string, ask func(context.Context, string) (T, error)) ([]output.Answer[T], error) {
	names := []string{only}
	if only == "" {
		status, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		names = nil
		for _, in := range status.Instances {
			names = append(names, in.Name)
		}
	}
	got := make([]output.Answer[T], len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			answer, err := ask(ctx, name)
			got[i] = output.Answer[T]{Instance: name, Value: answer}
			if err != nil {
				got[i].Error = textfmt.OneLine(err.Error())
			}
		})
	}
	group.Wait()
	return got, nil
}
