package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// maxNamed bounds the instances that are named together.
const maxNamed = 20

// A shownBy is what one instance answered.
type shownBy[T any] struct {
	Instance string `json:"instance"`
	Error    string `json:"error,omitempty"`
	Answer   T      `json:"answer"`
}

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
	var output, instance, backend, server string
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
			if err := knownOutput(output); err != nil {
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
			if len(columns) == 0 && output == "text" {
				columns = d.columns
			}
			return errors.Join(a.dumped(d.what, got, columns, output), silent(got), d.found(got, backend, server))
		},
	}
	cmd.Flags().StringSliceVar(&columns, "columns", nil, `columns to show, or "all"`)
	if d.narrow != nil {
		cmd.Flags().StringVar(&backend, "backend", "", "only what belongs to this backend of HAProxy's")
		cmd.Flags().StringVar(&server, "server", "", "only servers of this name")
	}
	instanceFlag(cmd, &instance)
	outputFlag(cmd, &output)
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
func (d dumpCommand) found(got []shownBy[agent.Dump], backend, server string) error {
	if backend == "" && server == "" || d.what == "sess" {
		return nil
	}
	answered := false
	for _, g := range got {
		if len(g.Answer.Rows) > 0 {
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
func (d dumpCommand) known(got []shownBy[agent.Dump], wanted []string) error {
	all := []string{"all"}
	for _, g := range got {
		all = append(all, g.Answer.Columns...)
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
func everyInstance[T any](ctx context.Context, c *web.Client, only string, ask func(context.Context, string) (T, error)) ([]shownBy[T], error) {
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
	got := make([]shownBy[T], len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			answer, err := ask(ctx, name)
			got[i] = shownBy[T]{Instance: name, Answer: answer}
			if err != nil {
				got[i].Error = textfmt.OneLine(err.Error())
			}
		})
	}
	group.Wait()
	return got, nil
}

// dumped prints what the instances showed.
func (a *app) dumped(what string, got []shownBy[agent.Dump], columns []string, output string) error {
	for i := range got {
		got[i].Answer.Columns = chosenColumns(got[i].Answer.Columns, columns)
	}
	if output == "json" {
		for i := range got {
			keepColumns(&got[i].Answer)
		}
		return printJSON(a.stdout, got)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if what == "info" {
		sideBySide(table, got)
	} else {
		rows(table, got)
	}
	return table.Flush()
}

// chosenColumns are those of all that are wanted, in the order in which they are.
func chosenColumns(all, wanted []string) []string {
	if len(wanted) == 0 || slices.Contains(wanted, "all") {
		return all
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return !slices.Contains(all, c) })
}

// keepColumns drops the values of other columns. Lists are there also where there is
// nothing in them.
func keepColumns(d *agent.Dump) {
	d.Columns, d.Rows = append([]string{}, d.Columns...), append([]map[string]string{}, d.Rows...)
	for i, row := range d.Rows {
		kept := map[string]string{}
		for _, c := range d.Columns {
			if v, ok := row[c]; ok {
				kept[c] = v
			}
		}
		d.Rows[i] = kept
	}
}

// sideBySide writes one line for each figure, with a column for each instance.
func sideBySide(table *tabwriter.Writer, got []shownBy[agent.Dump]) {
	heads, lines := []string{"FIGURE"}, []string{}
	for _, g := range got {
		heads = append(heads, g.Instance)
		for _, c := range g.Answer.Columns {
			if !slices.Contains(lines, c) {
				lines = append(lines, c)
			}
		}
	}
	tableLine(table, heads...)
	for _, line := range lines {
		values := []string{line}
		for _, g := range got {
			value := ""
			for _, row := range g.Answer.Rows {
				value = row[line]
			}
			values = append(values, dash(value))
		}
		tableLine(table, values...)
	}
}

// rows writes the rows of every instance under one head.
func rows(table *tabwriter.Writer, got []shownBy[agent.Dump]) {
	var columns []string
	for _, g := range got {
		for _, c := range g.Answer.Columns {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
	}
	heads := []string{"INSTANCE"}
	for _, c := range columns {
		heads = append(heads, strings.ToUpper(c))
	}
	tableLine(table, heads...)
	for _, g := range got {
		for _, row := range g.Answer.Rows {
			values := []string{g.Instance}
			for _, c := range columns {
				values = append(values, dash(row[c]))
			}
			tableLine(table, values...)
		}
	}
}

// silent reports the instances that did not answer, those with the same reason together.
func silent[T any](got []shownBy[T]) error {
	var reasons []string
	names := map[string][]string{} // by reason
	for _, g := range got {
		if g.Error == "" {
			continue
		}
		if names[g.Error] == nil {
			reasons = append(reasons, g.Error)
		}
		names[g.Error] = append(names[g.Error], textfmt.Clip(g.Instance))
	}
	var errs []error
	for _, reason := range reasons {
		errs = append(errs, fmt.Errorf("%s: %s", textfmt.List(names[reason], maxNamed), reason))
	}
	return errors.Join(errs...)
}
