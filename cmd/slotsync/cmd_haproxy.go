package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newHAProxyCommand(a *app) *cobra.Command {
	cmd := group(cobra.Command{
		Use:   "haproxy",
		Short: "Look at every HAProxy, reload it, and see to its configuration",
		Long: `Look at what every HAProxy shows of itself, reload it through the running agent,
as a transaction, and see to its configuration. HAProxy's process is started and
stopped by your service manager.`,
		Example: `  slotsync haproxy info
  slotsync haproxy stat --backend web
  slotsync haproxy reload --needed
  slotsync haproxy config history`,
	}, newHAProxyReloadCommand(a), newHAProxyConfigCommand(a), newRawCommand(a))
	for _, d := range dumpCommands() {
		cmd.AddCommand(newDumpCommand(a, d))
	}
	return cmd
}

func newHAProxyReloadCommand(a *app) *cobra.Command {
	var check, needed bool
	var body api.ReloadBody
	cmd := a.agentCommand(cobra.Command{
		Use:   "reload",
		Short: "Reload HAProxy, as a transaction",
		Long: `Reload HAProxy: render its configuration if there is a template, check it, keep
the last good one, replace it, reload, and wait for the new worker. If that fails,
what was is put back, and the error says which step it was.

--check renders and checks only. --needed only says whether slots have run out:
exit 0 if not, 3 if so.`,
		Example: `  slotsync haproxy reload
  slotsync haproxy reload --check
  slotsync haproxy reload --needed
  slotsync haproxy reload --force --reason "my edit of haproxy.cfg may go"`,
		Args:    noArgs,
		PreRunE: func(*cobra.Command, []string) error { return checkReloadFlags(check, needed, body) },
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		switch {
		case needed:
			return a.reloadNeeded(ctx, c)
		case check:
			return a.checkHAProxy(ctx, c, body.Name)
		}
		body.By = remote.User()
		done, err := c.ReloadHAProxy(ctx, body)
		if err != nil {
			return err
		}
		return show(a, ofReload(done, body.Name), output.WriteReloads)
	})
	flags := cmd.Flags()
	flags.BoolVar(&check, "check", false, "render and check only; nothing is changed")
	flags.BoolVar(&needed, "needed", false, "only say whether a reload is needed: exit 0 or 3")
	flags.BoolVar(&body.Force, "force", false, "overwrite a configuration that was changed by hand")
	flags.StringVar(&body.Reason, "reason", "", "why, for the history")
	reloadNameFlag(cmd, &body.Name)
	a.outputFlag(cmd)
	return cmd
}

// checkReloadFlags refuses what a question has no use for.
func checkReloadFlags(check, needed bool, body api.ReloadBody) error {
	switch {
	case check && needed:
		return usageErrorf("--check and --needed are two questions: ask one")
	case (check || needed) && (body.Force || body.Reason != ""):
		return usageErrorf("--force and --reason are for a reload, and --check and --needed do none")
	case needed && body.Name != "":
		return usageErrorf("--needed is about all backends: leave out --name")
	}
	return nil
}

// reloadNeeded says whether slots have run out, and fails with a code of its own if so.
func (a *app) reloadNeeded(ctx context.Context, c *client.Client) error {
	n, err := c.Needed(ctx)
	if err != nil {
		return err
	}
	if err := show(a, n, output.WriteNeeds); err != nil || !n.Needed {
		return err
	}
	return &exitError{code: exitDiffers}
}

func (a *app) checkHAProxy(ctx context.Context, c *client.Client, name string) error {
	answer, err := c.CheckHAProxy(ctx, name)
	if err != nil {
		return err
	}
	return show(a, answer, func(w io.Writer, answer api.CheckAnswer) error {
		_, err := fmt.Fprintln(w, textfmt.Printable(strings.TrimSpace(answer.Words+"\nno fault is found")))
		return err
	})
}

// ofReload are the reloads that were asked for by name, "" for all.
func ofReload(all []api.ReloadStatus, name string) []api.ReloadStatus {
	if name == "" {
		return all
	}
	return slices.DeleteFunc(all, func(r api.ReloadStatus) bool { return r.Name != name })
}

// restored is the reload whose version was restored: the first, if none was
// named.
func restored(all []api.ReloadStatus, name string) []api.ReloadStatus {
	if name == "" {
		return all[:min(len(all), 1)]
	}
	return ofReload(all, name)
}

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
