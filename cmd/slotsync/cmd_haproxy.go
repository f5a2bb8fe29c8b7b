package main

import (
	"fmt"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/discovery"
)

func newHAProxyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "haproxy",
		Short: "Reload HAProxy, and look at its configuration",
		Long: `Reload HAProxy through the running agent, as a transaction, and look at the
configuration that the agent renders. HAProxy's process is started and stopped by
your service manager.`,
		Example: `  slotsync haproxy reload --needed
  slotsync haproxy config history`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHAProxyReloadCommand(a), newHAProxyConfigCommand(a))
	return cmd
}

func newHAProxyReloadCommand(a *app) *cobra.Command {
	var check, needed bool
	var name, output string
	var body web.ReloadBody
	cmd := &cobra.Command{
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
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(output); err != nil {
				return err
			}
			if check && needed {
				return usageErrorf("--check and --needed are two questions: ask one")
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case needed:
				return a.reloadNeeded(cmd, c, output)
			case check:
				return a.checkHAProxy(cmd, c, name)
			}
			body.Name, body.By = name, whoami()
			done, err := c.ReloadHAProxy(cmd.Context(), body)
			if err != nil {
				return err
			}
			return a.reloadsDone(done, output)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&check, "check", false, "render and check only; nothing is changed")
	flags.BoolVar(&needed, "needed", false, "only say whether a reload is needed: exit 0 or 3")
	flags.BoolVar(&body.Force, "force", false, "overwrite a configuration that was changed by hand")
	flags.StringVar(&body.Reason, "reason", "", "why, for the history")
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}

func reloadNameFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "name", "", `which reload, if there are several: "haproxy" or an instance`)
}

// whoami is who asks, for the history.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "the command line"
}

func (a *app) reloadNeeded(cmd *cobra.Command, c *web.Client, output string) error {
	n, err := c.Needed(cmd.Context())
	if err != nil {
		return err
	}
	switch {
	case output == "json":
		err = printJSON(a.stdout, n)
	case !n.Needed:
		fmt.Fprintln(a.stdout, "no reload is needed")
	}
	if err != nil || !n.Needed {
		return err
	}
	if output != "json" {
		for name, need := range n.Needs {
			fmt.Fprintf(a.stdout, "%s: %d endpoints, %d slots: %s\n", name, need.Wanted, need.Slots, discovery.Printable(need.Why, 300))
		}
	}
	return &exitError{code: exitDiffers}
}

func (a *app) checkHAProxy(cmd *cobra.Command, c *web.Client, name string) error {
	answer, err := c.CheckHAProxy(cmd.Context(), name)
	if err != nil {
		return err
	}
	if words := strings.TrimSpace(answer.Words); words != "" {
		fmt.Fprintln(a.stdout, discovery.Printable(words, 4000))
	}
	fmt.Fprintln(a.stdout, "the configuration is valid")
	return nil
}

func (a *app) reloadsDone(done []agent.ReloadStatus, output string) error {
	if output == "json" {
		return printJSON(a.stdout, done)
	}
	for _, r := range done {
		if r.Last == nil {
			continue
		}
		fmt.Fprintf(a.stdout, "%s: HAProxy is reloaded (%s)", r.Name, strings.Join(r.Instances, ", "))
		if r.Version != "" {
			fmt.Fprintf(a.stdout, ", version %s", r.Version)
		}
		fmt.Fprintln(a.stdout)
	}
	return nil
}

func newHAProxyConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "HAProxy's configuration and its kept versions",
		Example: `  slotsync haproxy config show
  slotsync haproxy config history
  slotsync haproxy config diff 20261121T101500Z-1
  slotsync haproxy config restore 20261121T101500Z-1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShowCommand(a), newConfigHistoryCommand(a), newConfigDiffCommand(a), newConfigRestoreCommand(a))
	return cmd
}

// upTo takes at most so many versions, and at least so few.
func versionArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageErrorf("%s takes %s (see %s --help)", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" "), cmd.CommandPath())
		}
		return nil
	}
}

func newConfigShowCommand(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:     "show [VERSION]",
		Short:   "Print HAProxy's configuration, or a kept version of it",
		Example: "  slotsync haproxy config show",
		Args:    versionArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			text, err := c.HAProxyConfig(cmd.Context(), name, nth(args, 0))
			if err == nil {
				_, err = fmt.Fprint(a.stdout, text)
			}
			return err
		},
	}
	reloadNameFlag(cmd, &name)
	a.agentFlags(cmd)
	return cmd
}

func nth(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func newConfigHistoryCommand(a *app) *cobra.Command {
	var name, output string
	cmd := &cobra.Command{
		Use:     "history",
		Short:   "List the kept versions, newest first",
		Example: "  slotsync haproxy config history\n  slotsync haproxy config history -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(output); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			kept, err := c.HAProxyVersions(cmd.Context(), name)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(a.stdout, kept)
			}
			return a.history(kept)
		},
	}
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}

func (a *app) history(kept []agent.ConfigVersion) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tWHEN\tBYTES\tSTATE\tBY\tREASON")
	for _, v := range kept {
		state := "not proved"
		if v.Good {
			state = "good"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", v.ID, v.At.UTC().Format(time.RFC3339), v.Bytes, state,
			dash(discovery.Printable(v.By, 40)), dash(discovery.Printable(v.Reason, 80)))
	}
	return table.Flush()
}

func newConfigDiffCommand(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "diff FROM [TO]",
		Short: "Show what changed between two versions, or a version and the file as it is",
		Example: `  slotsync haproxy config history
  slotsync haproxy config diff 20261121T101500Z-1`,
		Args: versionArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			diff, err := c.HAProxyDiff(cmd.Context(), name, args[0], nth(args, 1))
			if err == nil {
				_, err = fmt.Fprint(a.stdout, diff)
			}
			return err
		},
	}
	reloadNameFlag(cmd, &name)
	a.agentFlags(cmd)
	return cmd
}

func newConfigRestoreCommand(a *app) *cobra.Command {
	var name, output string
	cmd := &cobra.Command{
		Use:   "restore VERSION",
		Short: "Put a kept version in force: checked, replaced, HAProxy reloaded",
		Example: `  slotsync haproxy config history
  slotsync haproxy config restore 20261121T101500Z-1`,
		Args: versionArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownOutput(output); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			done, err := c.RestoreHAProxy(cmd.Context(), name, args[0], whoami())
			if err != nil {
				return err
			}
			return a.reloadsDone(done, output)
		},
	}
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &output)
	a.agentFlags(cmd)
	return cmd
}
