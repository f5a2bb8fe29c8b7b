package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/remote"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func newServerCommand(a *app) *cobra.Command {
	return group(cobra.Command{
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
	}, newServerListCommand(a), newServerAddCommand(a), newServerRemoveCommand(a),
		newServerStateCommand(a, "drain", api.StateDrain, "No new sessions; those that are there go on", `Drain a server: it gets no new sessions, those that it has go on, and clients that
stick to it may come back to it. With --wait, the command ends when none is left on any
HAProxy, also if the source does not list the server any more: an HAProxy that does not
answer is waited for, and so are the old workers that a reload has left, of which nobody
can tell whose sessions they have. Old workers are known where reload.master is
configured, and not elsewhere. Exit 1 if that takes longer than --timeout; the drain
stays.`),
		newServerStateCommand(a, "stop", api.StateMaint, "Put a server into maintenance (maint)", `Stop a server: it is put into maintenance, HAProxy's state maint, which slotsync status
shows as down. Requests that run finish, and clients that stuck to it go elsewhere.`),
		newServerStateCommand(a, "start", api.StateReady, "End drain and stop: its source says the state again", `Start a server: drain and stop end, and so does what somebody did to its slot behind the
agent's back. It gets the state that its source says.`),
		newServerWeightCommand(a), newServerShutdownCommand(a))
}

func newServerStateCommand(a *app, name, state, short, long string) *cobra.Command {
	body := api.StateBody{State: state}
	change := &serverChange{
		who: &body.WhoBody,
		what: func([]string) string {
			return cmp.Or(map[string]string{api.StateMaint: "stopped (maint)"}[state], state)
		},
		one: func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
			return c.SetState(ctx, backend, server, body)
		},
		all: func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error) {
			return c.SetAddressState(ctx, ip, body)
		},
	}
	cmd := a.serverCommand(cobra.Command{
		Use:   name + " BACKEND/SERVER | --address IP",
		Short: short,
		Long:  long + "\n\nA server is BACKEND/ADDRESS:PORT, BACKEND/[IPV6]:PORT or BACKEND/SLOT.",
		Example: fmt.Sprintf(`  slotsync server %[1]s web/10.0.0.1:80
  slotsync server %[1]s web/websrv3
  slotsync server %[1]s --address 10.0.0.1`, name),
	}, change)
	if state == api.StateDrain {
		waitFlags(cmd, change)
	}
	if state != api.StateReady {
		whoFlags(cmd, &body.WhoBody)
	}
	return cmd
}

func newServerAddCommand(a *app) *cobra.Command {
	var body api.ServerBody
	var weight string
	cmd := a.serverCommand(cobra.Command{
		Use:   "add BACKEND/ADDRESS:PORT",
		Short: "Add an endpoint that no source lists",
		Long: `Add an endpoint that no source lists. It gets a slot as the others do, and stays
until it is removed, or for as long as --for says.`,
		Example: `  slotsync server add web/10.0.0.9:80 --name spare --for 2h
  slotsync server add web/[fd00::9]:80 --weight 10%`,
	}, &serverChange{
		who:  &body.WhoBody,
		what: func([]string) string { return "added" },
		check: func(args []string) error {
			if _, server, err := parseServer(args[0]); err != nil {
				return err
			} else if _, err := netip.ParseAddrPort(server); err != nil {
				return usageErrorf("%q is not ADDRESS:PORT, as in 10.0.0.1:80 or [fd00::1]:80", textfmt.Clip(server))
			}
			if weight == "" {
				return nil
			}
			return checkWeight(weight)
		},
		one: func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
			body.Address, body.Weight = server, api.Weight(weight)
			return c.AddServer(ctx, backend, body)
		},
	})
	whoFlags(cmd, &body.WhoBody)
	cmd.Flags().StringVar(&body.Name, "name", "", "what people call it")
	cmd.Flags().StringVar(&weight, "weight", "", "0 to 256, or a share of the configured weight as in 20%")
	return cmd
}

func newServerRemoveCommand(a *app) *cobra.Command {
	return a.serverCommand(cobra.Command{
		Use:     "remove BACKEND/SERVER",
		Short:   "Remove an endpoint that was added",
		Long:    "Remove an endpoint that was added. One that a source lists can be drained or stopped.",
		Example: `  slotsync server remove web/10.0.0.9:80`,
	}, &serverChange{
		what: func([]string) string { return "removed" },
		one: func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
			return c.RemoveServer(ctx, backend, server)
		},
	})
}

func newServerShutdownCommand(a *app) *cobra.Command {
	return a.serverCommand(cobra.Command{
		Use:   "shutdown BACKEND/SERVER | --address IP",
		Short: "End the sessions of a server, on all instances",
		Long: `End the sessions that a server has, on all instances: clients see their connections
break. It wants the unix socket or a token. A server that is ready gets new ones at
once: drain or stop it first. With --address it is every server that has it now.`,
		Example: `  slotsync server drain web/10.0.0.1:80
  slotsync server shutdown web/10.0.0.1:80
  slotsync server shutdown --address 10.0.0.1`,
	}, &serverChange{
		what:    func([]string) string { return "its sessions are ended" },
		instant: true,
		one: func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
			return c.ShutSessions(ctx, backend, server)
		},
		all: remote.ShutAddress,
	})
}

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

func newServerWeightCommand(a *app) *cobra.Command {
	var body api.WeightBody
	cmd := a.serverCommand(cobra.Command{
		Use:   "weight BACKEND/SERVER WEIGHT | --address IP WEIGHT",
		Short: "Give a server another weight",
		Long: `Give a server another weight: 0 to 256, or a share of the configured one as in 20%,
at least 1. 0 drains. "source" gives it back the weight that its source says.`,
		Example: `  slotsync server weight web/10.0.0.1:80 58
  slotsync server weight web/websrv3 20% --for 1h
  slotsync server weight web/websrv3 source
  slotsync server weight --address 10.0.0.1 20%`,
	}, &serverChange{
		who:  &body.WhoBody,
		more: 1,
		what: func(args []string) string { return "weight " + textfmt.Clip(args[len(args)-1]) },
		check: func(args []string) error {
			weight := args[len(args)-1]
			if weight == "source" {
				return nil
			}
			body.Weight = api.Weight(weight)
			return checkWeight(weight)
		},
		one: func(ctx context.Context, c *client.Client, backend, server string) (api.ServerRef, error) {
			return c.SetWeight(ctx, backend, server, body)
		},
		all: func(ctx context.Context, c *client.Client, ip netip.Addr) ([]api.ServerRef, error) {
			return c.SetAddressWeight(ctx, ip, body)
		},
	})
	whoFlags(cmd, &body.WhoBody)
	return cmd
}

// checkWeight refuses what is no weight, "" included.
func checkWeight(weight string) error {
	if err := api.CheckWeight(weight); err != nil {
		return &config.UsageError{Err: err}
	}
	return nil
}
