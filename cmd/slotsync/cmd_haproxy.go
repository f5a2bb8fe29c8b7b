package main

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newHAProxyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "haproxy",
		Short: "Look at every HAProxy, reload it, and see to its configuration",
		Long: `Look at what every HAProxy shows of itself, reload it through the running agent,
as a transaction, and see to its configuration. HAProxy's process is started and
stopped by your service manager.`,
		Example: `  slotsync haproxy info
  slotsync haproxy stat --backend web
  slotsync haproxy reload --needed
  slotsync haproxy config history`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHAProxyReloadCommand(a), newHAProxyConfigCommand(a), newRawCommand(a))
	for _, d := range dumpCommands() {
		cmd.AddCommand(newDumpCommand(a, d))
	}
	return cmd
}

func newHAProxyReloadCommand(a *app) *cobra.Command {
	var check, needed bool
	var name, format string
	var body api.ReloadBody
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
			if err := knownOutput(format); err != nil {
				return err
			}
			if err := onlyAsked(check, needed, body, name); err != nil {
				return err
			}
			c, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case needed:
				return a.reloadNeeded(cmd, c, format)
			case check:
				return a.checkHAProxy(cmd, c, name, format)
			}
			body.Name, body.By = name, whoami()
			done, err := c.ReloadHAProxy(cmd.Context(), body)
			if err != nil {
				return err
			}
			return output.WriteReloads(a.stdout, ofReload(done, name), format)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&check, "check", false, "render and check only; nothing is changed")
	flags.BoolVar(&needed, "needed", false, "only say whether a reload is needed: exit 0 or 3")
	flags.BoolVar(&body.Force, "force", false, "overwrite a configuration that was changed by hand")
	flags.StringVar(&body.Reason, "reason", "", "why, for the history")
	reloadNameFlag(cmd, &name)
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// onlyAsked refuses what a question has no use for.
func onlyAsked(check, needed bool, body api.ReloadBody, name string) error {
	switch {
	case check && needed:
		return usageErrorf("--check and --needed are two questions: ask one")
	case (check || needed) && (body.Force || body.Reason != ""):
		return usageErrorf("--force and --reason are for a reload, and --check and --needed do none")
	case needed && name != "":
		return usageErrorf("--needed is about all backends: leave out --name")
	}
	return nil
}

func reloadNameFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().Var(nameFlag{name}, "name", `which reload, if there are several: "haproxy" or an instance`)
}

// whoami is who asks, for the history. Under sudo it is who has called that.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return "the command line"
	}
	return actor(u.Uid, u.Username, os.Getenv("SUDO_USER"))
}

// actor is the user of a process, or who became root by sudo. To others the variable
// says nothing: they can set it as they like.
func actor(uid, name, sudo string) string {
	if uid == "0" && sudo != "" {
		return sudo
	}
	return name
}

func (a *app) reloadNeeded(cmd *cobra.Command, c *client.Client, format string) error {
	n, err := c.Needed(cmd.Context())
	if err != nil {
		return err
	}
	switch {
	case format == "json":
		err = output.WriteJSON(a.stdout, n)
	case !n.Needed:
		fmt.Fprintln(a.stdout, "no reload is needed")
	}
	if err != nil || !n.Needed {
		return err
	}
	if format != "json" {
		for _, name := range slices.Sorted(maps.Keys(n.Needs)) {
			need := n.Needs[name]
			fmt.Fprintf(a.stdout, "%s: %s, %s: %s\n", textfmt.Clip(name), textfmt.Count(need.Wanted, "endpoint"), textfmt.Count(need.Slots, "slot"), textfmt.OneLine(need.Why))
		}
	}
	return &exitError{code: exitDiffers}
}

func (a *app) checkHAProxy(cmd *cobra.Command, c *client.Client, name, format string) error {
	answer, err := c.CheckHAProxy(cmd.Context(), name)
	if err != nil {
		return err
	}
	if format == "json" {
		return output.WriteJSON(a.stdout, answer)
	}
	for line := range strings.Lines(answer.Words) {
		fmt.Fprintln(a.stdout, textfmt.OneLine(line))
	}
	fmt.Fprintln(a.stdout, "no fault is found")
	return nil
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
