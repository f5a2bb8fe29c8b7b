package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newServerCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Drain, stop, start, weigh, add and remove servers",
		Long: `Ask something of an endpoint, on all instances at once. What is asked for holds until
it is ended, over restarts of the agent and of HAProxy, over reloads and new
registrations; with --for, until the time is over; and no longer than 24 hours after
the endpoint was last listed, unless --keep is given.

A server is BACKEND/ADDRESS:PORT, BACKEND/[IPV6]:PORT or BACKEND/SLOT; with
--address IP it is every endpoint with that address, on all backends.`,
		Example: `  slotsync server list
  slotsync server drain web/10.0.0.1:80 --for 30m --reason "kernel update"
  slotsync server start web/websrv3
  slotsync server stop --address 10.0.0.1
  slotsync server weight web/websrv3 20%`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newServerListCommand(a), newServerAddCommand(a), newServerRemoveCommand(a),
		newServerStateCommand(a, "drain", api.StateDrain, "No new sessions; those that are there go on", `Drain a server: it gets no new sessions, those that it has go on, and clients that
stick to it may come back to it.`),
		newServerStateCommand(a, "stop", api.StateMaint, "Out of service: running requests finish", `Stop a server: it is put into maintenance. Requests that run finish, and clients that
stuck to it go elsewhere.`),
		newServerStateCommand(a, "start", api.StateReady, "What its source says, again", `Start a server: what was asked of its state ends, and so does what somebody did to its
slot behind the agent's back. What its source says counts again.`),
		newServerWeightCommand(a), newServerShutdownCommand(a))
	return cmd
}

// A wish is what the flags of an operator's command say.
type wish struct {
	duration, reason, output string
	keep                     bool
}

func (w *wish) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&w.duration, "for", "", "end it by itself after this time, as in 10m, 24h or 7d")
	f.StringVar(&w.reason, "reason", "", "why, for whoever looks next")
	f.BoolVar(&w.keep, "keep", false, "keep it however long the endpoint is not listed")
	outputFlag(cmd, &w.output)
}

// check refuses what is no output and no duration.
func (w *wish) check() error {
	if err := knownOutput(w.output); err != nil || w.duration == "" {
		return err
	}
	if d, err := api.ParseDuration(w.duration); err != nil || d <= 0 {
		return usageErrorf("--for: %q is no duration, as in 10m, 24h or 7d", textfmt.Clip(w.duration))
	}
	return nil
}

func (w *wish) body() api.WhoBody {
	return api.WhoBody{For: w.duration, Reason: w.reason, By: whoami(), Keep: w.keep}
}

// parseServer takes BACKEND/SERVER apart.
func parseServer(text string) (backend, server string, err error) {
	backend, server, ok := strings.Cut(text, "/")
	if !ok || backend == "" || server == "" {
		return "", "", usageErrorf("%q is not BACKEND/ADDRESS:PORT or BACKEND/SLOT", textfmt.Clip(text))
	}
	return backend, server, nil
}

// oneServer takes one server, and what the usage says besides.
func oneServer(more int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1+more {
			return usageErrorf("%s takes %s (see %s --help)", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" "), cmd.CommandPath())
		}
		return nil
	}
}

func newServerStateCommand(a *app, name, state, short, long string) *cobra.Command {
	var w wish
	var address string
	cmd := &cobra.Command{
		Use:   name + " BACKEND/SERVER | --address IP",
		Short: short,
		Long:  long + "\n\nA server is BACKEND/ADDRESS:PORT, BACKEND/[IPV6]:PORT or BACKEND/SLOT.",
		Example: fmt.Sprintf(`  slotsync server %[1]s web/10.0.0.1:80
  slotsync server %[1]s web/websrv3
  slotsync server %[1]s --address 10.0.0.1`, name),
		Args: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (address != "") || len(args) > 1 {
				return usageErrorf("%s takes one server, or --address (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(); err != nil {
				return err
			}
			body := api.StateBody{State: state, WhoBody: w.body()}
			if address != "" {
				return a.operateAddress(cmd.Context(), address, state, w.output, func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error) {
					return c.SetAddressState(ctx, ip, body)
				})
			}
			return a.operate(cmd.Context(), args[0], state, w.output, func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
				return c.SetState(ctx, backend, server, body)
			})
		},
	}
	if state == api.StateReady {
		outputFlag(cmd, &w.output)
	} else {
		w.flags(cmd)
	}
	cmd.Flags().StringVar(&address, "address", "", "every endpoint with this address, on all backends, now and later")
	a.agentFlags(cmd)
	return cmd
}

// operate asks something of one server, and says which it was and where that is not in
// force yet.
func (a *app) operate(ctx context.Context, name, what, format string, do func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error)) error {
	c, ref, err := a.tell(ctx, name, what, format, do)
	if err != nil {
		return err
	}
	a.warnUnheard(ctx, c, []string{ref.Backend})
	return nil
}

// tell does one thing to one server, and says which it was.
func (a *app) tell(ctx context.Context, name, what, format string, do func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error)) (*client.Client, api.ServerRef, error) {
	backend, server, err := parseServer(name)
	if err != nil {
		return nil, api.ServerRef{}, err
	}
	c, err := a.client(ctx)
	if err != nil {
		return nil, api.ServerRef{}, err
	}
	ref, err := do(ctx, c, backend, server)
	if err != nil {
		return nil, ref, err
	}
	if format == "json" {
		return c, ref, output.WriteJSON(a.stdout, ref)
	}
	output.WriteDone(a.stdout, ref, what)
	return c, ref, nil
}

// operateAddress does one thing to an address on all backends, and says to which
// endpoints that was.
func (a *app) operateAddress(ctx context.Context, address, what, format string, do func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error)) error {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return usageErrorf("--address: %q is no IP address", textfmt.Clip(address))
	}
	c, err := a.client(ctx)
	if err != nil {
		return err
	}
	refs, err := do(ctx, c, ip)
	if err != nil {
		return err
	}
	var backends []string
	for _, ref := range refs {
		backends = append(backends, ref.Backend)
	}
	defer a.warnUnheard(ctx, c, backends)
	if format == "json" {
		return output.WriteJSON(a.stdout, refs)
	}
	for _, ref := range refs {
		output.WriteDone(a.stdout, ref, what)
	}
	if len(refs) == 0 {
		fmt.Fprintf(a.stdout, "%s: %s, and no endpoint has it now\n", ip, what)
	}
	return nil
}

func newServerAddCommand(a *app) *cobra.Command {
	var w wish
	var name, weight string
	cmd := &cobra.Command{
		Use:   "add BACKEND/ADDRESS:PORT",
		Short: "Add an endpoint that no source lists",
		Long: `Add an endpoint that no source lists. It gets a slot as the others do, and stays
until it is removed, or for as long as --for says.`,
		Example: `  slotsync server add web/10.0.0.9:80 --name spare --for 2h
  slotsync server add web/[fd00::9]:80 --weight 10%`,
		Args: oneServer(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(); err != nil {
				return err
			}
			if _, server, err := parseServer(args[0]); err != nil {
				return err
			} else if _, err := netip.ParseAddrPort(server); err != nil {
				return usageErrorf("%q is not ADDRESS:PORT, as in 10.0.0.1:80 or [fd00::1]:80", textfmt.Clip(server))
			}
			if err := checkWeight(weight); weight != "" && err != nil {
				return err
			}
			return a.operate(cmd.Context(), args[0], "added", w.output, func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
				return c.AddServer(ctx, backend, api.ServerBody{Address: server, Name: name, Weight: api.Weight(weight), WhoBody: w.body()})
			})
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "what people call it")
	cmd.Flags().StringVar(&weight, "weight", "", "0 to 256, or a share of the configured weight as in 20%")
	a.agentFlags(cmd)
	return cmd
}

func newServerRemoveCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "remove BACKEND/SERVER",
		Short:   "Remove an endpoint that was added",
		Long:    "Remove an endpoint that was added. One that a source lists can be drained or stopped.",
		Example: `  slotsync server remove web/10.0.0.9:80`,
		Args:    oneServer(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			return a.operate(cmd.Context(), args[0], "removed", format, func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
				return c.RemoveServer(ctx, backend, server)
			})
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

func newServerShutdownCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "shutdown BACKEND/SERVER",
		Short: "End the sessions of a server, on all instances",
		Long: `End the sessions that a server has, on all instances: clients see their connections
break. It wants the unix socket or a token. A server that is ready gets new ones at
once: drain or stop it first.`,
		Example: `  slotsync server drain web/10.0.0.1:80
  slotsync server shutdown web/10.0.0.1:80`,
		Args: oneServer(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			_, _, err := a.tell(cmd.Context(), args[0], "its sessions are ended", format, func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
				return c.ShutSessions(ctx, backend, server)
			})
			return err
		},
	}
	outputFlag(cmd, &format)
	a.agentFlags(cmd)
	return cmd
}

// warnUnheard says on standard error where what was asked of backends (ours) is not in
// force yet. An agent that does not say has taken it all the same.
func (a *app) warnUnheard(ctx context.Context, c *client.Client, backends []string) {
	s, err := c.Status(ctx)
	if err != nil {
		return
	}
	for _, line := range output.Pending(s, backends) {
		fmt.Fprintln(a.stderr, "slotsync: "+line)
	}
}
